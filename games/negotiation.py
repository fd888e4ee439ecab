"""Negotiation over a pot of items with private values, after Lewis et al. (2017), "Deal or No Deal?", arXiv 1706.05125.

A pot has 5 to 7 items of three kinds. The whole pot is worth 10 to every seat, but seats value the kinds differently and know
their own values only. They talk, then all claim their parts at once. Claims that fit into the pot are paid by each seat's own
values; if they do not, nobody gets anything. ``negotiation(seats=2,turns=2,words=20)``; without talk ``negotiation(turns=0)``.

Choices made here: claims may leave something in the pot (there two claims must be complements), values are drawn for every seat
alone (there some kind has a value for both), and the talk has a fixed length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np

from games.rounds import whole
from games.talk import Talk
from marl_llm.game import Action, Discrete, Game, GameInfo, Seat, State, View
from marl_llm.seeding import uniform

Items = tuple[int, ...]
"""A number for each kind: how many, or what one is worth."""
KINDS = ("books", "hats", "balls")
WORTH = 10
"""What the pot is worth to every seat."""
POTS: tuple[Items, ...] = tuple(pot for pot in product(range(1, 6), repeat=len(KINDS)) if 5 <= sum(pot) <= 7)
BASE = 1 + max(max(pot) for pot in POTS)
"""A claim of (a, b, c) is action a BASE^2 + b BASE + c."""


def negotiation(seats: int = 2, turns: int = 2, words: int = 20) -> Game:
    """``turns`` messages a seat, of at most ``words`` words, before the claims; none with 0."""
    division = Division(whole("negotiation", "seats", seats, 2))
    if not whole("negotiation", "turns", turns, 0):
        return division
    talk = Talk(division, turns, whole("negotiation", "words", words, 1))
    talk.info = replace(talk.info, name=f"negotiation(seats={seats},turns={turns},words={words})", summary="Negotiation with talk")
    return talk


class Division(Game):
    """The pot, the values and the claims, without talk."""

    def __init__(self, seats: int) -> None:
        self.info = GameInfo(
            name=f"negotiation(seats={seats},turns=0)",
            seats=seats,
            returns=(0, WORTH),
            max_decisions=seats,
            action=Discrete(BASE ** len(KINDS)),
            vector=(2 * len(KINDS),),
            rewards_at_end=True,
            simultaneous=True,
            key_kind="information",
            summary="Negotiation without talk",
        )

    def start(self, seed: int) -> State:
        return DivisionState(self.info.seats)

    def rules(self, seat: Seat) -> str:
        return (
            f"A negotiation of {self.info.seats} players over a pot of {', '.join(KINDS)}. The whole pot is worth {WORTH} to every player, "
            "but the players value the kinds differently, and each knows its own values only. All claim a part of the pot at once. If "
            "there is enough of every kind for all claims, each player gets what it claimed; if not, nobody gets anything. "
            f"A claim names all kinds, such as: {_listed((1,) * len(KINDS))}."
        )


class DivisionState(State):
    """``pot`` and what an item of each kind is worth to the seats, as far as they are drawn; then the ``claims``, once made."""

    def __init__(self, seats: int, pot: Items = (), values: tuple[Items, ...] = (), claims: tuple[Items, ...] = ()) -> None:
        self.seats, self.pot, self.values, self.claims = seats, pot, values, claims

    def chance(self) -> Sequence[tuple[int, float]]:
        if len(self.values) == self.seats:
            return ()
        count = len(worths(self.pot)) if self.pot else len(POTS)
        return [(k, 1 / count) for k in range(count)]

    def apply_chance(self, outcome: int) -> None:
        if not self.pot:
            self.pot = POTS[outcome]
        else:
            self.values = (*self.values, worths(self.pot)[outcome])

    def to_act(self) -> tuple[Seat, ...]:
        return () if self.claims or len(self.values) < self.seats else tuple(range(self.seats))

    def legal(self, seat: Seat) -> Sequence[int]:
        return _claimable(self.pot)

    def apply(self, moves: Mapping[Seat, Action]) -> None:
        self.claims = tuple(_claim(moves[seat]) for seat in range(self.seats))

    def returns(self) -> Sequence[float]:
        taken = [sum(kind) for kind in zip(*self.claims, strict=True)]
        if not self.claims or any(some > most for some, most in zip(taken, self.pot, strict=True)):
            return (0.0,) * self.seats
        return [float(np.dot(value, claim)) for value, claim in zip(self.values, self.claims, strict=True)]

    def view(self, seat: Seat | None) -> View:
        if seat is None:
            told = f"The pot: {_listed(self.pot)}. Values: {self.values}. Claims: {self.claims}."
            return View(text=lambda: told, key=lambda: told)
        own = self.values[seat]
        return View(
            text=lambda: f"You are player {seat + 1}. The pot: {_listed(self.pot)}. Worth to you, each: {_listed(own)}.",
            vector=lambda: np.asarray([*np.asarray(self.pot) / (BASE - 1), *np.asarray(own) / WORTH]),
            key=lambda: f"{seat}:{self.pot}:{own}",
        )

    def action_text(self, seat: Seat, action: Action) -> str:
        return _listed(_claim(action))

    def clone(self) -> State:
        return DivisionState(self.seats, self.pot, self.values, self.claims)

    def resample(self, seat: Seat, seed: int) -> State:
        """The others' values, every one as likely."""
        known = worths(self.pot)
        others = [known[int(uniform(seed, other) * len(known))] for other in range(self.seats)]
        return DivisionState(self.seats, self.pot, (*others[:seat], self.values[seat], *others[seat + 1 :]), self.claims)


@cache
def worths(pot: Items) -> tuple[Items, ...]:
    """All values of the kinds, whole numbers, that make ``pot`` worth ``WORTH``."""
    return tuple(value for value in product(range(WORTH + 1), repeat=len(pot)) if np.dot(value, pot) == WORTH)


@cache
def _claimable(pot: Items) -> tuple[int, ...]:
    return tuple(a for a in range(BASE ** len(pot)) if all(some <= most for some, most in zip(_claim(a), pot, strict=True)))


def _claim(action: int) -> Items:
    return tuple(action // BASE**k % BASE for k in reversed(range(len(KINDS))))


def _listed(items: Items) -> str:
    return ", ".join(f"{kind} {count}" for kind, count in zip(KINDS, items, strict=False))
