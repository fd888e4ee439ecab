"""One random match of a game, examined: every answer is checked, and the match is played again from a clone and from its seed."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marl_llm.answers import drawn, each, open_kind, plain
from marl_llm.boards import CHANCE_MOVES_IN_A_ROW, BrokenRule, Line, checked, pick, shaped, table_of
from marl_llm.game import Action, Game, Seat, State
from marl_llm.ragged import Ragged
from marl_llm.seeding import fold, uniform

POSITIONS = 2000
"""Positions of one match that are examined; a longer match is left there."""
TRIES, WORLDS = 4, 8


class Breach(Exception):
    """A rule of the contract does not hold; its name, and what happened."""

    def __init__(self, rule: str, problem: str) -> None:
        super().__init__(problem)
        self.rule = rule


@dataclass(frozen=True)
class Look:
    """All that can be asked at one position; equal positions give equal looks."""

    seats: tuple[Seat, ...]
    legal: tuple[tuple[int, ...], ...]
    chance: tuple[tuple[int, float], ...]
    returns: tuple[float, ...]
    keys: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    vectors: tuple[bytes, ...] = ()
    actions: tuple[tuple[str, ...], ...] = ()


Step = int | dict[Seat, Action]
"""A chance outcome or a joint move."""


class Examiner:
    """What has been seen of one game so far. Any breach of a rule is raised as ``Breach``."""

    def __init__(self, game: Game) -> None:
        self.game, self.info = game, game.info
        self.tested: set[str] = set()
        """Rules of which some case came up."""
        self.seed: int | None = None
        self.moves: list[tuple[Seat, Action]] = []
        self.known: dict[str, tuple[Seat, str, tuple[int, ...], Any]] = {}
        """By key: its seat, text, legal actions, and the seat's own decision before it."""
        self.resamples = True

    @contextmanager
    def rule(self, rule: str, what: str) -> Iterator[None]:
        """Whatever the game raises in here breaks ``rule``."""
        self.tested.add(rule)
        try:
            yield
        except Breach:
            raise
        except BrokenRule as error:
            raise Breach(rule, str(error)) from error
        except (Exception, SystemExit) as error:
            raise Breach(rule, f"{what} raised {type(error).__name__}: {' '.join(str(error).split())}") from error

    def expect(self, rule: str, holds: Any, problem: str) -> None:
        self.tested.add(rule)
        if not holds:
            raise Breach(rule, problem)

    def match(self, seed: int) -> None:
        """One random match with everything checked on the way, then the same again by clone and by seed."""
        self.seed, self.moves = seed, []
        info = self.info
        before = _globals()
        line = self.begin(seed)
        steps: list[Step] = []
        looks: list[Look] = []
        own: dict[Seat, Any] = {}
        fork_at = int(uniform(seed, 1, 0) * min(2 * info.seats + 4, info.max_decisions))
        fork: tuple[Line, int] | None = None
        by_chance = 0
        while len(looks) < POSITIONS:
            look = self.look(line)
            looks.append(look)
            line.views.clear()
            self.expect("views", self.look(line) == look, "asked twice at one position, the game gives two answers")
            if info.table is not None and look.seats:
                with self.rule("table", "view(None).vector"):
                    table_of(line.state, info)
            self.position(line, look, own)
            if not look.chance and not look.seats:
                self.ended(look)
                break
            if len(self.moves) >= fork_at and fork is None:
                fork = self.clone(line), len(steps)
            by_chance = by_chance + 1 if look.chance else 0
            self.expect("chance", by_chance <= CHANCE_MOVES_IN_A_ROW, f"chance() moved {by_chance} times in a row without a decision")
            step = self.choose(line, look, len(steps))
            self.others(line, look, len(steps))
            self.apply(line, step)
            steps.append(step)
            if isinstance(step, dict):
                self.moves += _plain(step)
                for seat, key in zip(look.seats, look.keys, strict=True):
                    own[seat] = key, plain(step[seat])
            self.expect("max_decisions", len(self.moves) <= info.max_decisions, f"{len(self.moves)} decisions, and the match goes on; "
                        f"info.max_decisions is {info.max_decisions}")  # fmt: skip
        if fork:
            self.again("clone", *fork, steps, looks)
        self.again("seed", self.begin(seed), 0, steps, looks)
        if info.enumerable:
            self.again("enumerable", self.begin(seed + 1), 0, steps, looks)
        self.expect(
            "globals", _globals() == before, "a match moved random, numpy.random or the working folder; keep a generator of your own"
        )

    def begin(self, seed: int) -> Line:
        with self.rule("start", f"start({seed})"):
            return Line(self.info, self.game.start(seed))

    def clone(self, line: Line) -> Line:
        with self.rule("clone", "clone()"):
            copy = line.clone()
            checked(copy.state, State, "clone()")
            return copy

    def look(self, line: Line) -> Look:
        with self.rule("chance", "chance()"):
            chance = tuple(line.chance())
            for outcome, p in chance:
                if not isinstance(outcome, (int, np.integer)) or not 0 <= p <= 1:
                    raise BrokenRule(f"chance() gave {(outcome, p)!r}; expected an integer and a probability")
        with self.rule("to_act", "to_act()"):
            seats = line.to_act()
            if chance and seats:
                raise BrokenRule(f"to_act() returned {seats!r} while chance() has outcomes; expected ()")
        with self.rule("returns", "returns()"):
            returns = tuple(line.returns())
        legal = []
        for seat in seats:
            with self.rule("legal", f"legal({seat})"):
                legal.append(tuple(line.legal(seat)))
        read = [self.read(line, seat, actions) for seat, actions in zip(seats, legal, strict=True)]
        return Look(seats, tuple(legal), chance, returns, *(tuple(column) for column in zip(*read, strict=True)))

    def read(self, line: Line, seat: Seat, legal: tuple[int, ...]) -> tuple[str, str, bytes, tuple[str, ...]]:
        """Key, text, vector and action texts of one seat."""
        with self.rule("text", f"view({seat}).text"):
            text = checked(line.view(seat).text, str, "view().text")
        with self.rule("key", f"view({seat}).key"):
            key = checked(line.key(seat), str, "view().key")
            if line.view(seat).key is None and self.info.key_kind != "history":
                raise BrokenRule(f"view({seat}).key is missing, and info.key_kind is {self.info.key_kind!r}; give View(key=...)")
        vector = b""
        if self.info.vector is not None:
            with self.rule("vector", f"view({seat}).vector"):
                vector = shaped(line.view(seat).vector, self.info).tobytes()
        with self.rule("action_text", f"action_text({seat}, ...)"):
            actions = tuple(checked(line.state.action_text(seat, action), str, "action_text()") for action in legal)
            if len(set(actions)) != len(actions):
                raise BrokenRule(f"action_text({seat}, ...) gave {actions!r} for the legal actions {legal!r}; expected distinct texts")
        return key, text, vector, actions

    def position(self, line: Line, look: Look, own: dict[Seat, Any]) -> None:
        """Rules that compare a position with what has been claimed and seen before."""
        info = self.info
        if info.rewards_at_end and (look.seats or look.chance):
            self.expect("rewards_at_end", not any(look.returns), f"returns() gave {look.returns!r} before the end; expected zeros")
        for seat, legal, key, text in zip(look.seats, look.legal, look.keys, look.texts, strict=True):
            first = self.known.setdefault(key, (seat, text, legal, own.get(seat)))
            self.expect("key", first[0] == seat, f"key {key!r} belongs to seat {first[0]} and to seat {seat}; put the seat into the key")
            self.expect("text", first[1] == text, f"one key, {key!r}, and two texts: {first[1]!r} and {text!r}")
            self.expect("legal_by_key", first[2] == legal, f"one key, {key!r}, and two legal sets: {first[2]} and {legal}")
            if info.key_kind != "state":
                recalls = first[3] == own.get(seat)
                self.expect("perfect_recall", recalls, f"key {key!r} is reached after {first[3]!r} and after {own.get(seat)!r}")
        if self.resamples and look.seats and len(self.moves) < WORLDS:
            self.resampled(line, look)

    def resampled(self, line: Line, look: Look) -> None:
        seat = look.seats[0]
        with self.rule("resample", f"resample({seat}, ...)"):
            try:
                world = line.state.resample(seat, int(fold(self.seed, len(self.moves))) >> 1)
            except NotImplementedError:
                self.resamples = False
                self.tested.discard("resample")
                return
            other = Line(self.info, checked(world, State, "resample()"), dict(line.own))
            same = other.to_act() == look.seats and other.key(seat) == look.keys[0] and tuple(other.legal(seat)) == look.legal[0]
            if not same:
                raise BrokenRule(
                    f"resample({seat}, ...) gave a world that seat {seat} can tell apart: key {other.key(seat)!r}, not {look.keys[0]!r}"
                )

    def choose(self, line: Line, look: Look, k: int, stream: int = 0) -> Step:
        if look.chance:
            return pick(look.chance, uniform(self.seed, k))
        return {seat: self.action(line, seat, legal, k, stream) for seat, legal in zip(look.seats, look.legal, strict=True)}

    def action(self, line: Line, seat: Seat, legal: tuple[int, ...], k: int, stream: int) -> Action:
        kind = open_kind(self.info)
        if legal or kind is None:
            return legal[int(uniform(self.seed, k, seat, stream) * len(legal))]

        def next_legal(chosen: NDArray[np.int64]) -> Ragged:
            with self.rule("next_legal", f"next_legal({seat}, ...)"):
                return Ragged.of([line.next_legal(seat, tuple(chosen[0].tolist()))])

        return each(self.info, drawn(kind, fold(self.seed, k, seat, np.asarray([stream])), next_legal))[0]

    def apply(self, line: Line, step: Step) -> None:
        if isinstance(step, dict):
            with self.rule("apply", f"apply({step})"):
                line.apply(dict(step))
        else:
            with self.rule("chance", f"apply_chance({step})"):
                line.apply_chance(step)

    def others(self, line: Line, look: Look, k: int) -> None:
        """Other steps from here, on clones, must be possible and must not move this match."""
        for stream in range(1, TRIES):
            step: Step = look.chance[(k + stream) % len(look.chance)][0] if look.chance else self.choose(line, look, k, stream)
            copy = self.clone(line)
            try:
                self.apply(copy, step)
            except Breach:
                self.moves += _plain(step) if isinstance(step, dict) else ()
                raise
        line.views.clear()
        self.expect("clone", self.look(line) == look, "a move on a clone changed the match it was cloned from")

    def again(self, rule: str, line: Line, start: int, steps: Sequence[Step], looks: Sequence[Look]) -> None:
        """Play ``steps[start:]`` once more; every position must look as it did."""
        for k in range(start, len(looks)):
            with self.rule(rule, "the same match, played again,"):
                look = self.look(line)
            for name in ("seats", "legal", "chance", "returns", "keys", "texts", "vectors", "actions"):
                one, two = getattr(looks[k], name), getattr(look, name)
                if one != two:
                    raise Breach(rule, f"played again, the match differs at step {k}: {name} {short(one)} and {short(two)}")
            if k < len(steps):
                self.apply(line, steps[k])
        self.tested.add(rule)

    def ended(self, look: Look) -> None:
        low, high = self.info.returns
        inside = all(low - 1e-6 <= value <= high + 1e-6 for value in look.returns)
        self.expect("returns", inside, f"returns() ended with {look.returns!r}; info.returns says between {low:g} and {high:g}")
        info, total = self.info, math.fsum(look.returns)
        if info.utility == "zero_sum":
            self.expect("zero_sum", abs(total) < 1e-6, f"returns() gave {look.returns!r}, which sum to {total:g}; expected 0")
        if info.utility == "team":
            teams = info.teams or (tuple(range(info.seats)),)
            equal = all(abs(look.returns[seat] - look.returns[team[0]]) < 1e-6 for team in teams for seat in team)
            self.expect("team", equal, f"returns() gave {look.returns!r}; expected equal values in each team of {teams}")


def _plain(step: dict[Seat, Action]) -> list[tuple[Seat, Action]]:
    return [(seat, plain(action)) for seat, action in step.items()]


def short(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 200 else f"{text[:197]}..."


def _globals() -> tuple[Any, ...]:
    name, keys, *rest = np.random.get_state()  # read to see that nobody moved it
    return random.getstate(), name, np.asarray(keys).tobytes(), *rest, os.getcwd()
