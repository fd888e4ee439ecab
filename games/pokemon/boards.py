"""Battles side by side: rows are dealt to the workers, and whatever is asked of many rows is one message a worker."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from games.pokemon.battles import Battle, Turn, advance, look
from games.pokemon.game import Pokemon, PokemonState
from games.pokemon.worker import Worker, cores, workers
from marl_llm.boards import Boards, Codes, StaleView, Views
from marl_llm.game import Discrete, State
from marl_llm.ragged import Ragged

ROWS_A_WORKER = 8
"""A worker more is started only where each has so many rows."""


class PokemonBoards(Boards):
    def __init__(self, game: Pokemon, rows: int, crew: list[Worker] | None = None) -> None:
        self.game, self.info, self.broken = game, game.info, {}
        self.crew = crew or workers(max(1, min(cores(), rows // ROWS_A_WORKER)))
        self.listed = isinstance(game.info.action, Discrete)
        self.battles: list[Battle] = [None] * rows  # type: ignore[list-item]  # a row is filled when it starts
        self.live, self.clock = np.zeros(rows, bool), np.zeros(rows, np.int64)
        self.codes = Codes()

    def start(self, row: NDArray[np.int64], seeds: NDArray[np.uint64]) -> None:
        self.clock[row] += 1
        rows = row.tolist()
        for r, seed in zip(rows, seeds.tolist(), strict=True):
            self.broken.pop(r, None)
            self.battles[r] = self.game.battle(seed, self.crew[r % len(self.crew)])
        self._advance(rows)

    def _advance(self, rows: list[int]) -> None:
        advance([self.battles[r] for r in rows])
        for r in rows:
            battle = self.battles[r]
            self.live[r] = not battle.over
            if battle.fault:
                self.broken[r] = battle.fault

    def turn(self, row: int, seat: int) -> Turn:
        """What a seat that acts may do."""
        turn = self.battles[row].turn(seat)
        assert turn is not None
        return turn

    def acting(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        pairs = [(r, seat) for r in np.flatnonzero(self.live).tolist() for seat in (0, 1) if self.battles[r].turn(seat)]
        table = np.asarray(pairs, np.int64).reshape(-1, 2)
        return table[:, 0], table[:, 1]

    def legal(self, row: NDArray[np.int64], seat: NDArray[np.int64]) -> Ragged:
        if not self.listed:
            return Ragged(np.zeros(0, np.int64), np.zeros(len(row) + 1, np.int64))
        return Ragged.of([self.turn(r, s).slots[0] for r, s in zip(row.tolist(), seat.tolist(), strict=True)])

    def views(self, row: NDArray[np.int64], seat: NDArray[np.int64]) -> Views:
        return PokemonViews(self, row, seat)

    def step(self, row: NDArray[np.int64], seat: NDArray[np.int64], moves: NDArray[Any]) -> NDArray[np.int64]:
        actions = np.asarray(moves, np.int64).reshape(len(row), -1).tolist()
        joint: dict[int, list[tuple[int, list[int]]]] = {}
        for r, s, action in zip(row.tolist(), seat.tolist(), actions, strict=True):
            joint.setdefault(r, []).append((s, action))
        rows = np.asarray(list(joint), np.int64)
        self.clock[rows] += 1
        self._advance([r for r, chosen in joint.items() if self.battles[r].choose(chosen)])
        return rows[~self.live[rows]]

    def stop(self, row: NDArray[np.int64]) -> None:
        self.live[row] = False

    def returns(self, row: NDArray[np.int64]) -> NDArray[np.float64]:
        result = np.asarray([self.battles[r].result for r in row.tolist()], np.float64)
        return np.stack([result, -result], 1)


class PokemonViews(Views):
    """Lazy: each form is asked of the workers when it is asked for here."""

    def __init__(self, boards: PokemonBoards, row: NDArray[np.int64], seat: NDArray[np.int64]) -> None:
        self.boards, self.row, self.seat, self.clock = boards, row, seat, boards.clock[row]
        self.game: Pokemon = boards.game
        self.codes = boards.codes.strings

    def _turns(self) -> list[Turn]:
        self._now()
        return [self.boards.turn(r, s) for r, s in zip(self.row.tolist(), self.seat.tolist(), strict=True)]

    def _now(self) -> None:
        if (self.clock != self.boards.clock[self.row]).any():
            raise StaleView("this view's match has moved on; read text, vector and key before the next step")

    def _look(self, what: str, seats: list[int] | None = None) -> tuple[list[Any], NDArray[np.float32]]:
        self._now()
        rows = [self.boards.battles[r] for r in self.row.tolist()]
        return look(what, list(zip(rows, self.seat.tolist() if seats is None else seats, strict=True)))

    def keys(self) -> NDArray[np.int64]:
        return self.boards.codes.of([turn.key for turn in self._turns()])

    def texts(self) -> list[str]:
        return self._look("texts")[0]

    def vectors(self) -> NDArray[np.float32]:
        return self._look("vectors")[1].reshape(len(self.row), *(self.game.info.vector or ()))

    def tables(self) -> NDArray[np.float32]:
        sides = [self._look("vectors", [seat] * len(self.row))[1].reshape(len(self.row), *(self.game.info.vector or ())) for seat in (0, 1)]
        return np.stack(sides, 1)

    def pictures(self) -> list[dict[str, Any]]:
        """Each row as a structure, that of picture.js: for agents that go by rules of thumb."""
        return self._look("pictures")[0]

    def options(self) -> list[Turn]:
        """What each slot of every row may do, also where a seat decides for one after the other."""
        self._now()
        turns = [self.boards.battles[r].turns[s] for r, s in zip(self.row.tolist(), self.seat.tolist(), strict=True)]
        return [turn for turn in turns if turn]

    def action_texts(self) -> list[list[str]]:
        if not self.boards.listed:
            return [[] for _ in self.row]
        pairs = [(self.boards.battles[r], seat) for r, seat in zip(self.row.tolist(), self.seat.tolist(), strict=True)]
        labels = [battle.labels(seat, told)[0] for (battle, seat), told in zip(pairs, self._look("labels")[0], strict=True)]
        return [[named[action] for action in turn.slots[0]] for named, turn in zip(labels, self._turns(), strict=True)]

    def next_legal(self, chosen: NDArray[np.int64]) -> Ragged:
        turns = self._turns()
        return Ragged.of([turn.open(first) for turn, first in zip(turns, chosen.tolist(), strict=True)])

    def take(self, rows: NDArray[np.int64]) -> Views:
        views = PokemonViews(self.boards, self.row[rows], self.seat[rows])
        views.clock = self.clock[rows]
        return views

    def states(self) -> list[State]:
        self._now()
        return [PokemonState(self.game, self.boards.battles[r].fork()) for r in self.row.tolist()]
