"""Boards straight over pyspiel states, for sequential games too large to unroll: few calls a decision and no object of ours."""

from __future__ import annotations

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


class SpielBoards(Boards):
    """``rows`` states of one sequential game. Moves are checked by the caller, never by pyspiel (which would abort)."""

    def __init__(self, game: OpenSpiel, rows: int) -> None:
        self.game, self.info, self.broken = game, game.info, {}
        self.states: list[Any] = [None] * rows
        self.seat = np.full(rows, -1, np.int64)
        self.seeds, self.draws = [0] * rows, [0] * rows
        self.codes = Codes()
        self.clock = np.zeros(rows, np.int64)

    def start(self, row: NDArray[np.int64], seeds: NDArray[np.uint64]) -> None:
        self.clock[row] += 1
        new = self.game.native.new_initial_state
        players = []
        for r, seed in zip(row.tolist(), seeds.tolist(), strict=True):
            state = self.states[r] = new()
            self.seeds[r], self.draws[r] = seed, 0
            player = state.current_player()
            players.append(self._settle(r, state) if player == CHANCE else player)
        self.seat[row] = players

    def _settle(self, r: int, state: Any) -> int:
        while (player := state.current_player()) == CHANCE:
            state.apply_action(pick(state.chance_outcomes(), uniform(self.seeds[r], self.draws[r])))
            self.draws[r] += 1
        return player

    def acting(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        row = np.flatnonzero(self.seat >= 0)
        return row, self.seat[row]

    def legal(self, row: NDArray[np.int64], seat: NDArray[np.int64]) -> Ragged:
        states = self.states
        flat: list[int] = []
        lengths = []
        for r in row.tolist():
            legal = states[r].legal_actions()
            flat += legal
            lengths.append(len(legal))
        return Ragged(np.asarray(flat, np.int64), starts_of(np.asarray(lengths, np.int64)))

    def views(self, row: NDArray[np.int64], seat: NDArray[np.int64]) -> Views:
        return _SpielViews(self, row, seat)

    def step(self, row: NDArray[np.int64], seat: NDArray[np.int64], moves: NDArray[Any]) -> NDArray[np.int64]:
        self.clock[row] += 1
        states = self.states
        players = []
        for r, move in zip(row.tolist(), moves.tolist(), strict=True):
            state = states[r]
            state.apply_action(move)
            player = state.current_player()
            players.append(self._settle(r, state) if player == CHANCE else player)
        self.seat[row] = players
        return row[self.seat[row] < 0]

    def stop(self, row: NDArray[np.int64]) -> None:
        self.seat[row] = -1

    def returns(self, row: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray([self.states[r].returns() for r in row.tolist()], np.float64).reshape(len(row), self.info.seats)


class _SpielViews(Views):
    def __init__(self, boards: SpielBoards, row: NDArray[np.int64], seat: NDArray[np.int64]) -> None:
        self.boards, self.row, self.seat, self.clock = boards, row, seat, boards.clock[row]
        self.game, self.codes = boards.game, boards.codes.strings

    def _pairs(self) -> list[tuple[Any, int]]:
        if (self.clock != self.boards.clock[self.row]).any():
            raise StaleView("this view's match has moved on; read text, vector and key before the next step")
        states = self.boards.states
        return [(states[r], s) for r, s in zip(self.row.tolist(), self.seat.tolist(), strict=True)]

    def keys(self) -> NDArray[np.int64]:
        code, key = self.boards.codes.code, self.boards.game.key
        return np.asarray([code(key(state, seat)) for state, seat in self._pairs()], np.int64)

    def texts(self) -> list[str]:
        view = self.boards.game.text.view
        return [view(state, seat) for state, seat in self._pairs()]

    def vectors(self) -> NDArray[np.float32]:
        read = self.boards.game.tensor
        if read is None:
            raise TypeError(f"{self.game.info.name} has no vector view; OpenSpiel gives no tensor for it")
        return np.asarray([getattr(state, read)(seat) for state, seat in self._pairs()], np.float32)

    def action_texts(self) -> list[list[str]]:
        text = self.boards.game.text.actions
        return [text(state, seat) for state, seat in self._pairs()]

    def take(self, rows: NDArray[np.int64]) -> Views:
        views = _SpielViews(self.boards, self.row[rows], self.seat[rows])
        views.clock = self.clock[rows]
        return views

    def states(self) -> list[State]:
        from games.openspiel.game import SpielState

        return [SpielState(self.boards.game, state.clone()) for state, _ in self._pairs()]
