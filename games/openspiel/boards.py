"""Boards straight over pyspiel states, for sequential games too large to unroll: few calls a decision and no object of ours."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pyspiel
from numpy.typing import NDArray

from marl_llm.boards import Boards, Codes, StaleView, Views, pick
from marl_llm.game import State
from marl_llm.ragged import Ragged, starts_of
from marl_llm.seeding import uniform

if TYPE_CHECKING:
    from games.openspiel.game import OpenSpiel

CHANCE = int(pyspiel.PlayerId.CHANCE)
Native = pyspiel.State


class SpielBoards(Boards):
    """``rows`` states of one sequential game. Moves are checked by the caller, never by pyspiel (which would abort)."""

    def __init__(self, game: OpenSpiel, rows: int) -> None:
        self.game, self.info, self.broken = game, game.info, {}
        self.states = np.full(rows, None, object)
        self.seat = np.full(rows, -1, np.int64)
        self.seeds, self.draws = [0] * rows, [0] * rows
        self.codes = Codes()
        self.key = Native.observation_string if game.by_observation else Native.information_state_string
        self.clock = np.zeros(rows, np.int64)

    def start(self, row: NDArray[np.int64], seeds: NDArray[np.uint64]) -> None:
        self.clock[row] += 1
        new = self.game.native.new_initial_state
        for r, seed in zip(row.tolist(), seeds.tolist(), strict=True):
            self.states[r], self.seeds[r], self.draws[r] = new(), seed, 0
        self._settle(row)

    def _settle(self, row: NDArray[np.int64]) -> None:
        """Let chance move where it is its turn, and read who is next."""
        self.seat[row] = list(map(Native.current_player, self.on(row)))
        for r in row[self.seat[row] == CHANCE].tolist():
            state = self.states[r]
            while state.is_chance_node():
                state.apply_action(pick(state.chance_outcomes(), uniform(self.seeds[r], self.draws[r])))
                self.draws[r] += 1
            self.seat[r] = state.current_player()

    def on(self, row: NDArray[np.int64]) -> list[Any]:
        """The pyspiel states of some rows."""
        return self.states[row].tolist()

    def acting(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        row = np.flatnonzero(self.seat >= 0)
        return row, self.seat[row]

    def legal(self, row: NDArray[np.int64], seat: NDArray[np.int64]) -> Ragged:
        flat: list[int] = []
        lengths: list[int] = []
        for legal in map(Native.legal_actions, self.on(row)):  # none outlives its turn, or the garbage collector would look at all
            flat += legal
            lengths.append(len(legal))
        return Ragged(np.fromiter(flat, np.int64, len(flat)), starts_of(np.fromiter(lengths, np.int64, len(lengths))))

    def views(self, row: NDArray[np.int64], seat: NDArray[np.int64]) -> Views:
        return _SpielViews(self, row, seat)

    def step(self, row: NDArray[np.int64], seat: NDArray[np.int64], moves: NDArray[Any]) -> NDArray[np.int64]:
        self.clock[row] += 1
        deque(map(Native.apply_action, self.on(row), moves.tolist()), maxlen=0)
        self._settle(row)
        return row[self.seat[row] < 0]

    def stop(self, row: NDArray[np.int64]) -> None:
        self.seat[row] = -1

    def returns(self, row: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray(list(map(Native.returns, self.on(row))), np.float64).reshape(len(row), self.info.seats)


class _SpielViews(Views):
    def __init__(self, boards: SpielBoards, row: NDArray[np.int64], seat: NDArray[np.int64]) -> None:
        self.boards, self.row, self.seat, self.clock = boards, row, seat, boards.clock[row]
        self.game, self.codes = boards.game, boards.codes.strings

    def _each(self, read: Callable[[Any, int], Any]) -> Iterator[Any]:
        if (self.clock != self.boards.clock[self.row]).any():
            raise StaleView("this view's match has moved on; read text, vector and key before the next step")
        return map(read, self.boards.on(self.row), self.seat.tolist())

    def keys(self) -> NDArray[np.int64]:
        strings = self._each(self.boards.key)
        return self.boards.codes.of([f"{seat}:{string}" for seat, string in zip(self.seat.tolist(), strings, strict=True)])

    def texts(self) -> list[str]:
        return list(self._each(self.boards.game.text.view))

    def vectors(self) -> NDArray[np.float32]:
        read, observation = self.boards.game.tensor, self.boards.game.observation
        if read is None:
            raise TypeError(f"{self.game.info.name} has no vector view; OpenSpiel gives no tensor for it")
        if observation is None:
            return np.asarray(list(self._each(getattr(Native, read))), np.float32)
        rows = np.empty((len(self.row), observation.tensor.size), np.float32)
        for i, _ in enumerate(self._each(observation.set_from)):
            rows[i] = observation.tensor
        return rows

    def action_texts(self) -> list[list[str]]:
        return list(self._each(self.boards.game.text.actions))

    def take(self, rows: NDArray[np.int64]) -> Views:
        views = _SpielViews(self.boards, self.row[rows], self.seat[rows])
        views.clock = self.clock[rows]
        return views

    def states(self) -> list[State]:
        from games.openspiel.game import SpielState

        return list(self._each(lambda state, seat: SpielState(self.boards.game, state.clone())))
