"""Which matches to play: a match is data, its id a hash of the rest, and schedules are balanced over seats and paired in deals."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import permutations, product
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from marl_llm.game import Seat, Spec
from marl_llm.seeding import fold, name_key

OnFault = Literal["random", "forfeit", "void"]


@dataclass(frozen=True, slots=True)
class Rules:
    """What follows a fault: ``retries`` further attempts at the turn, then a random legal move (never learned from),
    the game lost by the offender, or the match set aside."""

    retries: int = 1
    then: OnFault = "random"


HOUSE_RULES = Rules()


@dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    """One match to play: who sits where, on which deal, and whose turns may be learned from."""

    game: Spec
    seed: int
    players: tuple[str, ...]
    learn: frozenset[Seat] = frozenset()
    opening: int = 0
    """First moves of the match that are never learned from: half of them are random."""
    sample: int = 0
    """Tells matches apart that are alike in all else: the deal is the same, what players draw is not."""
    streams: tuple[int, ...] = ()
    """One number a seat, or none: on one deal, a seat draws alike in all matches that give it the same number, whoever it meets."""
    history: tuple[tuple[Any, ...], ...] = ()
    """The first moves of every seat, or none: the match is a fork, it goes on from where they lead. They are never learned from."""
    rules: Rules = HOUSE_RULES
    tags: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False)

    @property
    def kind(self) -> tuple[Any, ...]:
        """All but the deal, hashable."""
        tags = tuple(self.tags.items()) if self.tags else ()
        return self.game, self.players, self.learn, self.opening, self.sample, self.streams, self.history, self.rules, tags

    @property
    def id(self) -> int:
        """64 bits, equal in every process; a replayed match keeps it."""
        return fold(kind_key(self.kind), self.seed)


@lru_cache(maxsize=4096)
def kind_key(kind: tuple[Any, ...]) -> int:
    """The 64-bit integer that stands for a kind of match; a match's id is this folded with its seed."""
    game, players, learn, opening, sample, streams, history, rules, tags = kind
    told = [game, players, sorted(learn), opening, sample, rules.retries, rules.then, sorted(tags)]
    return name_key(json.dumps([*told, streams, history] if streams or history else told))


def deal_seed(seed: int, k: Any) -> Any:
    """Seed of the ``k``-th deal of a schedule (an int, or an array of them); one deal serves every seating and every pairing."""
    return fold(seed, k) >> 1


def _deals(seed: int, count: int) -> Iterator[int]:
    for start in range(0, count, 1024):
        yield from deal_seed(seed, np.arange(start, min(start + 1024, count))).tolist()


def self_play(game: Spec, player: str, seats: int, count: int, seed: int, *, opening: int = 0) -> Iterator[Match]:
    """``count`` matches in which ``player`` holds and learns from every seat."""
    everyone = frozenset(range(seats))
    for deal in _deals(seed, count):
        yield Match(game=game, seed=deal, players=(player,) * seats, learn=everyone, opening=opening)


def seatings(agents: Sequence[str], seats: int) -> list[tuple[str, ...]]:
    """Every ordered seating of distinct agents; of all agents with repeats where there are fewer than ``seats``."""
    if len(agents) >= seats:
        return list(permutations(agents, seats))
    return [table for table in product(agents, repeat=seats) if len(set(table)) == len(agents)]


def round_robin(game: Spec, agents: Sequence[str], seats: int, rounds: int, seed: int, rules: Rules = HOUSE_RULES) -> Iterator[Match]:
    """``rounds`` deals, each played by every ordered seating, so that luck and seats cancel in every comparison."""
    tables = seatings(agents, seats)
    for deal in _deals(seed, rounds):
        for table in tables:
            yield Match(game=game, seed=deal, players=table, rules=rules)
