"""Games played in rounds: all seats move at once, then all see what came of it; any number of matches step as arrays.

A game says in numpy what a round does (``Rounds``); ``RoundState`` plays one match of it and ``RoundBoards`` any number.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marl_llm.boards import Boards, StaleView, Views
from marl_llm.errors import UserError
from marl_llm.game import Action, Game, Seat, State, View
from marl_llm.ragged import Ragged, starts_of
from marl_llm.seeding import uniform

Positions = NDArray[np.int64]
SMALL = 50_000
"""Ways that a match can go, up to which a game's tree is small."""
CODES = 2**53
"""Codes of keys stay below, so that agents may multiply them by a few seats."""


class Rounds(Game):
    """What a round does. All that is public at a decision is one integer, the position: round * ``span`` + situation.

    Subclasses set the fields and ``info``. Chance moves before every round or never: ``opening`` has the probabilities of its
    outcomes before the first round, ``noise`` those before any other.
    """

    rounds: int
    span: int
    """Situations that a round can begin in; the first round begins in situation 0."""
    choices: NDArray[np.int64]
    """Actions of each seat, [seats]."""
    opening: NDArray[np.float64] = np.zeros(0)
    noise: NDArray[np.float64] = np.zeros(0)

    @abstractmethod
    def gains(self, position: Positions, moves: NDArray[np.int64]) -> NDArray[np.float64]:
        """What every seat gains, [n, seats], by the moves [n, seats] at positions [n]."""

    @abstractmethod
    def after(self, position: Positions, moves: NDArray[np.int64]) -> Positions:
        """The situations [n] that these moves lead to, before chance."""

    def disturbed(self, situation: Positions, outcome: NDArray[np.int64]) -> Positions:
        """The situations [n] that chance's outcomes [n] make of those that moves led to."""
        raise NotImplementedError

    @abstractmethod
    def text(self, position: int, seat: Seat | None) -> str:
        """What a seat reads, or a spectator."""

    @abstractmethod
    def vectors(self, position: Positions) -> NDArray[np.float32]:
        """What every seat sees, and the whole table too, as numbers: [n, *info.vector]."""

    def action_text(self, seat: Seat, action: Action) -> str:
        """An action as players write it."""
        return str(action)

    def key(self, position: int, seat: Seat | None) -> str:
        """``seat:round:situation``."""
        return f"{seat}:{position // self.span}:{position % self.span}"

    def small(self) -> bool:
        """Whether the game tree is small enough to be unrolled."""
        noise = math.log(max(1, len(self.noise)))
        ways = math.log(max(1, len(self.opening))) + self.rounds * float(np.log(self.choices).sum()) + (self.rounds - 1) * noise
        return ways <= math.log(SMALL)

    def start(self, seed: int) -> State:
        return RoundState(self, 0, (0.0,) * len(self.choices), waits=len(self.opening) > 0)

    def boards(self, rows: int) -> Boards:
        return RoundBoards(self, rows)


def whole(game: str, name: str, value: Any, low: int, high: int | None = None) -> int:
    """``value`` if it is an integer of ``low`` to ``high``; UserError otherwise."""
    if not isinstance(value, int) or isinstance(value, bool) or value < low or (high is not None and value > high):
        expected = f"at least {low}" if high is None else f"{low} to {high}"
        raise UserError(f"{game}: {name} is {value!r}; expected an integer of {expected}")
    return value


class RoundState(State):
    """One match: its position, what has been gained, and whether chance moves next."""

    def __init__(self, game: Rounds, position: int, gained: tuple[float, ...], *, waits: bool = False) -> None:
        self.game, self.position, self.gained, self.waits = game, position, gained, waits

    @property
    def over(self) -> bool:
        """Whether all rounds are played."""
        return self.position >= self.game.rounds * self.game.span

    def to_act(self) -> tuple[Seat, ...]:
        return () if self.over or self.waits else tuple(range(len(self.gained)))

    def legal(self, seat: Seat) -> Sequence[int]:
        return range(self.game.choices[seat])

    def apply(self, moves: Mapping[Seat, Action]) -> None:
        game, position = self.game, np.asarray([self.position])
        joint = np.asarray([[moves[seat] for seat in range(len(self.gained))]])
        self.gained = tuple((np.asarray(self.gained) + game.gains(position, joint)[0]).tolist())
        self.position = (self.position // game.span + 1) * game.span + int(game.after(position, joint)[0])
        self.waits = len(game.noise) > 0 and not self.over

    def returns(self) -> Sequence[float]:
        return self.gained

    def view(self, seat: Seat | None) -> View:
        game, position, over = self.game, self.position, self.over
        return View(
            text=lambda: "The match is over." if over else game.text(position, seat),
            vector=lambda: game.vectors(np.asarray([position]))[0],
            key=lambda: game.key(position, seat),
        )

    def chance(self) -> Sequence[tuple[int, float]]:
        if not self.waits:
            return ()
        return list(enumerate((self.game.opening if self.position < self.game.span else self.game.noise).tolist()))

    def apply_chance(self, outcome: int) -> None:
        span = self.game.span
        situation = self.game.disturbed(np.asarray([self.position % span]), np.asarray([outcome]))
        self.position, self.waits = self.position // span * span + int(situation[0]), False

    def action_text(self, seat: Seat, action: Action) -> str:
        return self.game.action_text(seat, action)

    def clone(self) -> State:
        return RoundState(self.game, self.position, self.gained, waits=self.waits)

    def resample(self, seat: Seat, seed: int) -> State:
        """Between rounds nothing that matters is hidden."""
        return self.clone()


class RoundBoards(Boards):
    """Columns over rows: ``position`` (-1: nobody plays here), ``gained`` [rows, seats], ``seeds``, ``clock``."""

    def __init__(self, game: Rounds, rows: int) -> None:
        self.game, self.info, self.broken, self.seats = game, game.info, {}, game.info.seats
        self.position, self.clock = np.full(rows, -1, np.int64), np.zeros(rows, np.int64)
        self.gained, self.seeds = np.zeros((rows, self.seats)), np.zeros(rows, np.uint64)
        self.opening, self.noise = np.cumsum(game.opening), np.cumsum(game.noise)

    def start(self, row: NDArray[np.int64], seeds: NDArray[np.uint64]) -> None:
        self.clock[row] += 1
        self.gained[row], self.position[row], self.seeds[row] = 0, 0, seeds
        if len(self.opening):
            self.position[row] = self._disturbed(row, self.position[row], self.opening)

    def _disturbed(self, row: NDArray[np.int64], position: Positions, mass: NDArray[np.float64]) -> Positions:
        """Positions after chance; the draw before round k is number k of the match's stream."""
        round_, situation = np.divmod(position, self.game.span)
        outcome = np.searchsorted(mass, uniform(self.seeds[row], round_), side="right").clip(max=len(mass) - 1)
        return round_ * self.game.span + self.game.disturbed(situation, outcome)

    def acting(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        row = np.flatnonzero(self.position >= 0)
        return np.repeat(row, self.seats), np.tile(np.arange(self.seats), len(row))

    def legal(self, row: NDArray[np.int64], seat: NDArray[np.int64]) -> Ragged:
        lengths = self.game.choices[seat]
        starts = starts_of(lengths)
        return Ragged(np.arange(starts[-1]) - np.repeat(starts[:-1], lengths), starts)

    def views(self, row: NDArray[np.int64], seat: NDArray[np.int64]) -> Views:
        return _Views(self, row, seat)

    def step(self, row: NDArray[np.int64], seat: NDArray[np.int64], moves: NDArray[Any]) -> NDArray[np.int64]:
        game, row, joint = self.game, row[:: self.seats], moves.reshape(-1, self.seats)
        position = self.position[row]
        self.clock[row] += 1
        self.gained[row] += game.gains(position, joint)
        position = (position // game.span + 1) * game.span + game.after(position, joint)
        over = position >= game.rounds * game.span
        if len(self.noise):
            position[~over] = self._disturbed(row[~over], position[~over], self.noise)
        self.position[row] = np.where(over, -1, position)
        return row[over]

    def stop(self, row: NDArray[np.int64]) -> None:
        self.position[row] = -1

    def returns(self, row: NDArray[np.int64]) -> NDArray[np.float64]:
        return self.gained[row]


class _Keys(Sequence[str]):
    """The key of code position * seats + seat, written when asked for."""

    def __init__(self, game: Rounds) -> None:
        self.game = game

    def __len__(self) -> int:
        return self.game.rounds * self.game.span * self.game.info.seats

    def __getitem__(self, code: Any) -> Any:
        return self.game.key(*divmod(code, self.game.info.seats))


class _Views(Views):
    def __init__(self, boards: RoundBoards, row: NDArray[np.int64], seat: NDArray[np.int64]) -> None:
        self.boards, self.row, self.seat, self.clock = boards, row, seat, boards.clock[row]
        self.game, self.codes = boards.game, _Keys(boards.game)

    def _positions(self) -> Positions:
        if (self.clock != self.boards.clock[self.row]).any():
            raise StaleView("this view's match has moved on; read text, vector and key before the next step")
        return self.boards.position[self.row]

    def keys(self) -> NDArray[np.int64]:
        return self._positions() * self.boards.seats + self.seat

    def texts(self) -> list[str]:
        known, place = np.unique(self.keys(), return_inverse=True)
        told = [self.boards.game.text(*divmod(code, self.boards.seats)) for code in known.tolist()]
        return [told[i] for i in place.tolist()]

    def vectors(self) -> NDArray[np.float32]:
        return self.boards.game.vectors(self._positions())

    def action_texts(self) -> list[list[str]]:
        game = self.boards.game
        named = [[game.action_text(seat, action) for action in range(n)] for seat, n in enumerate(game.choices.tolist())]
        return [named[seat] for seat in self.seat.tolist()]

    def take(self, rows: NDArray[np.int64]) -> Views:
        views = _Views(self.boards, self.row[rows], self.seat[rows])
        views.clock = self.clock[rows]
        return views

    def states(self) -> list[State]:
        gained = self.boards.gained
        places = zip(self._positions().tolist(), self.row.tolist(), strict=True)
        return [RoundState(self.boards.game, position, tuple(gained[r].tolist())) for position, r in places]
