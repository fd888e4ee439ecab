"""Many matches of one game side by side, as columns: all that rollouts, agents and learners see of a game.

``StateBoards`` stacks the states of any ``Game``. A match whose rules raise, answer out of type or never end is taken
off the table with the rule it broke (``broken``), and the others go on.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from itertools import count, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marl_llm.answers import each, plain
from marl_llm.game import Action, Discrete, Factored, Game, GameInfo, Seat, State, View
from marl_llm.ragged import Ragged
from marl_llm.seeding import uniform

CHANCE_MOVES_IN_A_ROW = 1_000


class StaleView(RuntimeError):
    """A view was read after its match had moved on."""


class BrokenRule(RuntimeError):
    """A game broke its contract; the message names the rule and the answer."""


class BrokenView(BrokenRule):
    """A view raised; ``row`` is the board row whose match must be taken off the table."""

    def __init__(self, row: int, error: BaseException) -> None:
        super().__init__(f"view() raised {type(error).__name__}: {error}")
        self.row = row


class Codes:
    """Integer codes for strings, in order of first appearance."""

    def __init__(self) -> None:
        self.strings: list[str] = []
        self._code: defaultdict[str, int] = defaultdict(count().__next__)

    def of(self, strings: Sequence[str]) -> NDArray[np.int64]:
        """The code of each string; ``self.strings`` grows by the new ones."""
        codes = np.fromiter(map(self._code.__getitem__, strings), np.int64, len(strings))
        new = len(self._code) - len(self.strings)
        self.strings += [*islice(reversed(self._code), new)][::-1]
        return codes


class Views(ABC):
    """What the seats of some decisions may know, one row a decision, each form computed when asked."""

    game: Game
    codes: Sequence[str]
    """The strings that the integers of ``keys`` stand for."""

    @abstractmethod
    def keys(self) -> NDArray[np.int64]:
        """Integer code of each row's key."""

    @abstractmethod
    def texts(self) -> list[str]:
        """Each row as text."""

    @abstractmethod
    def vectors(self) -> NDArray[np.float32]:
        """Each row as numbers, shape [rows, \\*info.vector]."""

    def tables(self) -> NDArray[np.float32]:
        """Of each row the whole table, ``view(None)``, as numbers: [rows, \\*info.table]. For critics and mixers, never for who decides."""
        return np.stack([table_of(state, self.game.info) for state in self.states()])

    @abstractmethod
    def action_texts(self) -> list[list[str]]:
        """For each row its legal actions as text, in the order of ``Boards.legal``."""

    def next_legal(self, chosen: NDArray[np.int64]) -> Ragged:
        """For Factored actions that begin with ``chosen``, [rows, k], the values that factor k may take."""
        raise TypeError(f"{self.game.info.name} has no Factored actions")

    @abstractmethod
    def take(self, rows: NDArray[np.int64]) -> Views:
        """The given rows only."""

    @abstractmethod
    def states(self) -> list[State]:
        """Copies of the matches themselves, for search agents only: they must ``resample`` where information is hidden."""


class Boards(ABC):
    """``rows`` matches of one game. Rows end and are started again independently."""

    info: GameInfo
    broken: dict[int, str]
    """Rows whose match broke a rule of the game contract, with the rule; such a row counts as over."""
    cut: AbstractSet[int] = frozenset()
    """Rows that are over because a limit of the game's own stopped them."""

    @abstractmethod
    def start(self, row: NDArray[np.int64], seeds: NDArray[np.uint64]) -> None:
        """Begin a new match in each of ``row``."""

    @abstractmethod
    def acting(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Every (row, seat) that must move now, ordered by row, then seat."""

    @abstractmethod
    def legal(self, row: NDArray[np.int64], seat: NDArray[np.int64]) -> Ragged:
        """Legal actions of seats that must move."""

    @abstractmethod
    def views(self, row: NDArray[np.int64], seat: NDArray[np.int64]) -> Views:
        """Lazy views, valid until their rows move."""

    @abstractmethod
    def step(self, row: NDArray[np.int64], seat: NDArray[np.int64], moves: NDArray[Any]) -> NDArray[np.int64]:
        """Play legal moves for whole rows (every acting seat of each, ordered as by ``acting``); rows that are over."""

    @abstractmethod
    def stop(self, row: NDArray[np.int64]) -> None:
        """Take matches off the table before their end; nobody acts in them any more."""

    @abstractmethod
    def returns(self, row: NDArray[np.int64]) -> NDArray[np.float64]:
        """Cumulative returns, shape [len(row), seats]."""


class Line:
    """One match with every answer of its rules checked and, for games that give no key, each seat's own history."""

    __slots__ = ("info", "own", "state", "views")

    def __init__(self, info: GameInfo, state: State, own: dict[Seat, str] | None = None) -> None:
        self.info, self.state = info, checked(state, State, "start()")
        self.own: dict[Seat, str] = own or {}
        self.views: dict[Seat, View] = {}

    def clone(self) -> Line:
        return Line(self.info, self.state.clone(), dict(self.own))

    def view(self, seat: Seat) -> View:
        view = self.views.get(seat)
        if view is None:
            view = self.views[seat] = checked(self.state.view(seat), View, "view()")
        return view

    def key(self, seat: Seat) -> str:
        key = self.view(seat).key
        return f"seat {seat}{self.own.get(seat, '')}\n{self.view(seat).text}" if key is None else key

    def apply(self, moves: dict[Seat, Action]) -> None:
        for seat, action in moves.items() if self.info.key_kind == "history" else ():
            view = self.view(seat)
            if view.key is None:
                self.own[seat] = f"{self.own.get(seat, '')}\n{view.text}\n> {plain(action)}"
        self.state.apply(moves)
        self.views.clear()

    def apply_chance(self, outcome: int) -> None:
        self.state.apply_chance(outcome)
        self.views.clear()

    def chance(self) -> Sequence[tuple[int, float]]:
        outcomes = self.state.chance()
        if outcomes and not abs(sum(p for _, p in outcomes) - 1) < 1e-6:
            raise BrokenRule(f"chance() gave probabilities that sum to {sum(p for _, p in outcomes)!r}; expected 1")
        return outcomes

    def to_act(self) -> tuple[Seat, ...]:
        seats = checked(self.state.to_act(), tuple, "to_act()")
        if len(set(seats)) != len(seats) or any(not isinstance(seat, int) or not 0 <= seat < self.info.seats for seat in seats):
            raise BrokenRule(f"to_act() returned {seats!r}; expected distinct seats in 0..{self.info.seats - 1}")
        return tuple(sorted(seats))

    def legal(self, seat: Seat) -> list[int]:
        legal = list(self.state.legal(seat))
        if not isinstance(self.info.action, Discrete):
            if legal:
                kind = type(self.info.action).__name__
                raise BrokenRule(f"legal({seat}) returned {legal!r}; expected an empty list in a game of {kind} actions")
            return legal
        if not legal and self.info.message is None:
            raise BrokenRule(f"legal({seat}) is empty while seat {seat} must act; end the match or let it pass")
        n = self.info.action.n
        if any(not isinstance(a, (int, np.integer)) or not 0 <= a < n for a in legal):
            raise BrokenRule(f"legal({seat}) returned {legal!r}; expected integers in 0..{n - 1}")
        if len(set(legal)) != len(legal):
            raise BrokenRule(f"legal({seat}) returned {legal!r}; expected no repeats")
        return legal

    def next_legal(self, seat: Seat, chosen: tuple[int, ...]) -> list[int]:
        values = list(self.state.next_legal(seat, chosen))
        assert isinstance(self.info.action, Factored)
        n = self.info.action.sizes[len(chosen)]
        good = values and all(isinstance(v, (int, np.integer)) and 0 <= v < n for v in values) and len(set(values)) == len(values)
        if not good:
            raise BrokenRule(f"next_legal({seat}, {chosen!r}) returned {values!r}; expected distinct integers in 0..{n - 1}, at least one")
        return values

    def returns(self) -> list[float]:
        values = [float(value) for value in self.state.returns()]
        if len(values) != self.info.seats or not all(math.isfinite(value) for value in values):
            raise BrokenRule(f"returns() gave {values!r}; expected {self.info.seats} finite numbers")
        return values


def checked(value: Any, kind: type, rule: str) -> Any:
    if not isinstance(value, kind):
        raise BrokenRule(f"{rule} returned {value!r}; expected a {kind.__name__}")
    return value


def pick(outcomes: Sequence[tuple[int, float]], u: float) -> int:
    """The outcome that the uniform draw ``u`` falls on."""
    mass = 0.0
    for outcome, p in outcomes:
        mass += p
        if u < mass:
            return outcome
    return outcomes[-1][0]


class StateBoards(Boards):
    """Boards over the ``State`` objects of any game."""

    def __init__(self, game: Game, rows: int) -> None:
        self.game, self.info = game, game.info
        self.lines: list[Line] = [None] * rows  # type: ignore[list-item]  # a row is filled when it starts
        self.seeds, self.draws = [0] * rows, [0] * rows
        self.seats: list[tuple[Seat, ...]] = [()] * rows
        self.choices: dict[tuple[int, Seat], list[int]] = {}
        self.scores = np.zeros((rows, game.info.seats))
        self.broken = {}
        self.cut: set[int] = set()
        self.codes = Codes()
        self.clock = np.zeros(rows, np.int64)

    def start(self, row: NDArray[np.int64], seeds: NDArray[np.uint64]) -> None:
        self.clock[row] += 1
        for r, seed in zip(row.tolist(), seeds.tolist(), strict=True):
            self.broken.pop(r, None)
            self.cut.discard(r)
            self.scores[r] = 0
            self._guard(r, lambda r=r, seed=seed: self._begin(r, seed))

    def _begin(self, r: int, seed: int) -> None:
        self.seeds[r], self.draws[r] = seed, 0
        self.lines[r] = Line(self.info, self.game.start(seed))
        self._look(r)

    def _move(self, r: int, chosen: dict[Seat, Action]) -> None:
        self.lines[r].apply(chosen)
        self._look(r)

    def _look(self, r: int) -> None:
        """Let chance move, then read and check who acts next, what is legal and what has been gained."""
        line = self.lines[r]
        self.seats[r] = ()
        for _ in range(CHANCE_MOVES_IN_A_ROW):
            outcomes = line.chance()
            if not outcomes:
                break
            line.apply_chance(pick(outcomes, uniform(self.seeds[r], self.draws[r])))
            self.draws[r] += 1
        else:
            raise BrokenRule(f"chance() moved {CHANCE_MOVES_IN_A_ROW} times in a row without a decision")
        seats = line.to_act()
        for seat in seats:
            self.choices[r, seat] = line.legal(seat)
        if not (seats and self.info.rewards_at_end):
            self.scores[r] = line.returns()
        if not seats and checked(line.state.cut(), bool, "cut()"):
            self.cut.add(r)
        self.seats[r] = seats

    def _guard(self, r: int, call: Any) -> None:
        try:
            call()
        except (Exception, SystemExit) as error:  # a game's own fault ends its match and no other
            self.seats[r] = ()
            self.broken[r] = str(error) if isinstance(error, BrokenRule) else f"{type(error).__name__}: {error}"

    def acting(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        pairs = [(r, seat) for r, seats in enumerate(self.seats) for seat in seats]
        table = np.asarray(pairs, np.int64).reshape(-1, 2)
        return table[:, 0], table[:, 1]

    def legal(self, row: NDArray[np.int64], seat: NDArray[np.int64]) -> Ragged:
        return Ragged.of([self.choices[pair] for pair in zip(row.tolist(), seat.tolist(), strict=True)])

    def views(self, row: NDArray[np.int64], seat: NDArray[np.int64]) -> Views:
        return _StateViews(self, row.tolist(), seat.tolist())

    def step(self, row: NDArray[np.int64], seat: NDArray[np.int64], moves: NDArray[Any]) -> NDArray[np.int64]:
        self.clock[row] += 1
        joint: dict[int, dict[Seat, Action]] = {}
        for r, s, move in zip(row.tolist(), seat.tolist(), each(self.info, moves), strict=True):
            joint.setdefault(r, {})[s] = move
        for r, chosen in joint.items():
            self._guard(r, lambda r=r, chosen=chosen: self._move(r, chosen))
        return np.asarray([r for r in joint if not self.seats[r]], np.int64)

    def stop(self, row: NDArray[np.int64]) -> None:
        for r in row.tolist():
            self.seats[r] = ()

    def returns(self, row: NDArray[np.int64]) -> NDArray[np.float64]:
        return self.scores[row]


class _StateViews(Views):
    def __init__(self, boards: StateBoards, rows: list[int], seats: list[Seat]) -> None:
        self.game, self.codes = boards.game, boards.codes.strings
        self.boards, self.rows, self.seats, self.clock = boards, rows, seats, boards.clock[rows]

    def _each(self, read: Callable[[Line, int, Seat], Any]) -> list[Any]:
        if (self.clock != self.boards.clock[self.rows]).any():
            raise StaleView("this view's match has moved on; read text, vector and key before the next step")
        out = []
        for r, s in zip(self.rows, self.seats, strict=True):
            try:
                out.append(read(self.boards.lines[r], r, s))
            except (Exception, SystemExit) as error:
                raise BrokenView(r, error) from error
        return out

    def keys(self) -> NDArray[np.int64]:
        return self.boards.codes.of(self._each(lambda line, r, s: line.key(s)))

    def texts(self) -> list[str]:
        return self._each(lambda line, r, s: checked(line.view(s).text, str, "view().text"))

    def vectors(self) -> NDArray[np.float32]:
        return np.stack(self._each(lambda line, r, s: shaped(line.view(s).vector, self.game.info)))

    def tables(self) -> NDArray[np.float32]:
        return np.stack(self._each(lambda line, r, s: table_of(line.state, self.game.info)))

    def action_texts(self) -> list[list[str]]:
        choices = self.boards.choices
        return self._each(lambda line, r, s: [line.state.action_text(s, a) for a in choices[r, s]])

    def next_legal(self, chosen: NDArray[np.int64]) -> Ragged:
        so_far = iter(chosen.tolist())
        return Ragged.of(self._each(lambda line, r, s: line.next_legal(s, tuple(next(so_far)))))

    def take(self, rows: NDArray[np.int64]) -> Views:
        chosen = rows.tolist()
        views = _StateViews(self.boards, [self.rows[i] for i in chosen], [self.seats[i] for i in chosen])
        views.clock = self.clock[rows]
        return views

    def states(self) -> list[State]:
        return self._each(lambda line, r, s: line.state.clone())


def shaped(vector: NDArray[np.float32], info: GameInfo) -> NDArray[np.float32]:
    """A seat's view as numbers, checked."""
    return _numbers(vector, info.vector, "view().vector")


def table_of(state: State, info: GameInfo) -> NDArray[np.float32]:
    """The whole table of a match as numbers, checked; TypeError where the game has none."""
    if info.table is None:
        raise TypeError(f"{info.name} has no view of the whole table as numbers (GameInfo.table)")
    return _numbers(state.view(None).vector, info.table, "view(None).vector")


def _numbers(vector: NDArray[np.float32], shape: tuple[int, ...] | None, what: str) -> NDArray[np.float32]:
    if vector.shape != shape or not np.isfinite(vector).all():
        raise BrokenRule(f"{what} has shape {vector.shape}; expected finite numbers of shape {shape}")
    return vector
