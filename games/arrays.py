"""Games whose matches are rows of arrays: all seats move at once, and a step of any number of matches is a few array operations.

A game says in numpy how matches begin, what a joint move does and what everyone sees (``ArrayGame``); ``ArrayState`` plays one match
of it and ``ArrayBoards`` any number. Randomness is a function of a match's seed and step, which are columns like all else.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marl_llm.boards import Boards, Codes, StaleView, Views
from marl_llm.game import Action, Discrete, Game, Seat, State, View
from marl_llm.ragged import Ragged, starts_of

Columns = dict[str, NDArray[Any]]
"""Of n matches, first axis n. ``seed`` (uint64) and ``step`` (joint moves made) are always among them."""


class ArrayGame(Game):
    """Subclasses set ``info`` and ``steps`` and write the rules. A match is over after ``steps`` joint moves, or when ``over`` says so."""

    steps: int

    @abstractmethod
    def begin(self, at: Columns) -> Columns:
        """The other columns of matches at their start."""

    @abstractmethod
    def advance(self, at: Columns, moves: NDArray[Any]) -> tuple[Columns, NDArray[np.float64]]:
        """The other columns after joint ``moves`` [n, seats, ...], and what each seat gains by them, [n, seats]."""

    @abstractmethod
    def observe(self, at: Columns) -> NDArray[np.float32]:
        """What each seat sees as numbers, [n, seats, *info.vector]; also all that it may know."""

    @abstractmethod
    def text(self, seen: NDArray[np.float32], seat: Seat) -> str:
        """What a seat reads that sees these numbers."""

    def table(self, at: Columns) -> NDArray[np.float32]:
        """The whole table as numbers, [n, *info.table]."""
        raise TypeError(f"{self.info.name} has no view of the whole table as numbers")

    @abstractmethod
    def picture(self, at: Columns) -> str:
        """One match as a spectator sees it."""

    def over(self, at: Columns) -> NDArray[np.bool_]:
        """Matches that end before their last step, [n]."""
        return np.zeros(len(at["step"]), bool)

    def allowed(self, at: Columns) -> NDArray[np.bool_]:
        """What each seat may do, [n, seats, actions], in a game of Discrete actions."""
        assert isinstance(self.info.action, Discrete)
        return np.ones((len(at["step"]), self.info.seats, self.info.action.n), bool)

    def action_text(self, seat: Seat, action: Action) -> str:
        """An action as players write it."""
        return str(action)

    def key(self, seen: NDArray[np.float32], seat: Seat) -> str:
        """Names what a seat sees."""
        return f"{seat}:{blake2b(seen.tobytes(), digest_size=8).hexdigest()}"

    def first(self, seeds: NDArray[np.uint64]) -> Columns:
        """Matches at their start."""
        at: Columns = {"seed": seeds, "step": np.zeros(len(seeds), np.int64)}
        return at | self.begin(at)

    def after(self, at: Columns, moves: NDArray[Any]) -> tuple[Columns, NDArray[np.float64], NDArray[np.bool_]]:
        """Matches after joint moves, what was gained, and which are over."""
        changed, gains = self.advance(at, moves)
        new = at | changed | {"step": at["step"] + 1}
        return new, gains, (new["step"] >= self.steps) | self.over(new)

    def start(self, seed: int) -> State:
        at = self.first(np.asarray([seed], np.uint64))
        return ArrayState(self, at, np.zeros(self.info.seats), done=bool(self.over(at)[0]))

    def boards(self, rows: int) -> Boards:
        return ArrayBoards(self, rows)


class ArrayState(State):
    """One match."""

    def __init__(self, game: ArrayGame, at: Columns, gained: NDArray[np.float64], *, done: bool) -> None:
        self.game, self.at, self.gained, self.done = game, at, gained, done

    def to_act(self) -> tuple[Seat, ...]:
        return () if self.done else tuple(range(self.game.info.seats))

    def legal(self, seat: Seat) -> Sequence[int]:
        if not isinstance(self.game.info.action, Discrete):
            return ()
        return np.flatnonzero(self.game.allowed(self.at)[0, seat]).tolist()

    def apply(self, moves: Mapping[Seat, Action]) -> None:
        joint = np.stack([np.asarray(moves[seat]) for seat in range(self.game.info.seats)])[None]
        self.at, gains, over = self.game.after(self.at, joint)
        self.gained = self.gained + gains[0]
        self.done = bool(over[0])

    def returns(self) -> Sequence[float]:
        return self.gained.tolist()

    def view(self, seat: Seat | None) -> View:
        game, at = self.game, self.at
        if seat is None:
            return View(text=lambda: game.picture(at), vector=lambda: game.table(at)[0])
        return View(
            text=lambda: game.text(game.observe(at)[0, seat], seat),
            vector=lambda: game.observe(at)[0, seat],
            key=lambda: game.key(game.observe(at)[0, seat], seat),
        )

    def action_text(self, seat: Seat, action: Action) -> str:
        return self.game.action_text(seat, action)

    def clone(self) -> State:
        return ArrayState(self.game, self.at, self.gained, done=self.done)  # columns are replaced, never changed


class ArrayBoards(Boards):
    """Columns over rows; ``live`` rows are being played."""

    def __init__(self, game: ArrayGame, rows: int) -> None:
        self.game, self.info, self.broken, self.seats = game, game.info, {}, game.info.seats
        self.at = {name: np.array(values) for name, values in game.first(np.zeros(rows, np.uint64)).items()}
        self.live, self.clock = np.zeros(rows, bool), np.zeros(rows, np.int64)
        self.gained = np.zeros((rows, self.seats))
        self.codes = Codes()

    def _put(self, row: NDArray[np.int64], new: Columns) -> None:
        self.clock[row] += 1
        for name, values in new.items():
            if len(row) == len(self.live):
                self.at[name] = values
            else:
                self.at[name][row] = values

    def of(self, row: NDArray[np.int64]) -> Columns:
        """The columns of some rows; all rows in order are not copied."""
        return self.at if len(row) == len(self.live) else {name: values[row] for name, values in self.at.items()}

    def start(self, row: NDArray[np.int64], seeds: NDArray[np.uint64]) -> None:
        order = np.argsort(row)
        row, begun = row[order], self.game.first(seeds[order])
        self._put(row, begun)
        self.gained[row] = 0
        self.live[row] = ~self.game.over(begun)

    def acting(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        row = np.flatnonzero(self.live)
        return np.repeat(row, self.seats), np.tile(np.arange(self.seats), len(row))

    def legal(self, row: NDArray[np.int64], seat: NDArray[np.int64]) -> Ragged:
        if not isinstance(self.info.action, Discrete):
            return Ragged(np.zeros(0, np.int64), np.zeros(len(row) + 1, np.int64))
        distinct, place = np.unique(row, return_inverse=True)
        allowed = self.game.allowed(self.of(distinct))[place, seat]
        return Ragged(np.nonzero(allowed)[1], starts_of(allowed.sum(1)))

    def views(self, row: NDArray[np.int64], seat: NDArray[np.int64]) -> Views:
        return _Views(self, row, seat)

    def step(self, row: NDArray[np.int64], seat: NDArray[np.int64], moves: NDArray[Any]) -> NDArray[np.int64]:
        row = row[:: self.seats]
        new, gains, over = self.game.after(self.of(row), moves.reshape(len(row), self.seats, *moves.shape[1:]))
        self._put(row, new)
        self.gained[row] += gains
        self.live[row] = ~over
        return row[over]

    def stop(self, row: NDArray[np.int64]) -> None:
        self.live[row] = False

    def returns(self, row: NDArray[np.int64]) -> NDArray[np.float64]:
        return self.gained[row]


class _Views(Views):
    def __init__(self, boards: ArrayBoards, row: NDArray[np.int64], seat: NDArray[np.int64]) -> None:
        self.boards, self.row, self.seat, self.clock = boards, row, seat, boards.clock[row]
        self.game: ArrayGame = boards.game
        self.codes = boards.codes.strings

    def _at(self) -> tuple[Columns, NDArray[np.int64]]:
        """The columns of the matches that are seen, and every row's place among them."""
        if (self.clock != self.boards.clock[self.row]).any():
            raise StaleView("this view's match has moved on; read text, vector and key before the next step")
        distinct, place = np.unique(self.row, return_inverse=True)
        return self.boards.of(distinct), place

    def vectors(self) -> NDArray[np.float32]:
        at, place = self._at()
        return self.game.observe(at)[place, self.seat]

    def tables(self) -> NDArray[np.float32]:
        at, place = self._at()
        return self.game.table(at)[place]

    def _told(self, tell: Any) -> list[str]:
        """``tell(seen, seat)`` for every row, once for rows that are alike."""
        seen = self.vectors().reshape(len(self.row), -1)
        coded = np.ascontiguousarray(np.column_stack([seen, self.seat.astype(np.float32)]))
        _, first, place = np.unique(coded.view(f"V{coded.itemsize * coded.shape[1]}"), return_index=True, return_inverse=True)
        shape = self.game.info.vector or ()
        told = [tell(seen[i].reshape(shape), int(self.seat[i])) for i in first.tolist()]
        return [told[i] for i in place.ravel().tolist()]

    def keys(self) -> NDArray[np.int64]:
        return self.boards.codes.of(self._told(self.game.key))

    def texts(self) -> list[str]:
        return self._told(self.game.text)

    def action_texts(self) -> list[list[str]]:
        legal = self.boards.legal(self.row, self.seat)
        return [[self.game.action_text(seat, a) for a in legal[i].tolist()] for i, seat in enumerate(self.seat.tolist())]

    def take(self, rows: NDArray[np.int64]) -> Views:
        views = _Views(self.boards, self.row[rows], self.seat[rows])
        views.clock = self.clock[rows]
        return views

    def states(self) -> list[State]:
        self._at()
        rows = [np.asarray([r]) for r in self.row.tolist()]
        return [ArrayState(self.game, {n: v[r] for n, v in self.boards.at.items()}, self.boards.gained[r][0], done=False) for r in rows]
