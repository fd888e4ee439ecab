"""The matches of one game in progress, as columns over board rows, and the turns recorded of them until they are sealed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marl_llm.agent import OK, Decision
from marl_llm.game import Discrete, Game, Spec
from marl_llm.matches import Match
from marl_llm.ragged import Ragged, starts_of
from marl_llm.records import FORFEIT, VOID, Batch


class Table:
    """The matches of one game that are in progress, and what has been recorded of them."""

    def __init__(self, game: Game, spec: Spec, rows: int) -> None:
        self.game, self.spec, self.boards = game, spec, game.boards(rows)
        seats = game.info.seats
        self.discrete = isinstance(game.info.action, Discrete)
        shape, dtype = ((rows, seats), np.int64) if self.discrete else ((rows, seats), object)
        self.free = list(range(rows - 1, -1, -1))
        self.match: list[Any] = [None] * rows
        self.number = np.full(rows, -1)
        """Admission number of the match in a row; -1 where the row is free."""
        self.admitted = 0
        self.seed = np.zeros(rows, np.uint64)
        self.opening, self.ply, self.acting = (np.zeros(rows, np.int64) for _ in range(3))
        self.player, self.turn = np.zeros((rows, seats), np.int64), np.zeros((rows, seats), np.int64)
        self.attempt, self.fault = np.zeros((rows, seats), np.int64), np.zeros((rows, seats), np.int8)
        self.learn, self.waiting, self.have = (np.zeros((rows, seats), bool) for _ in range(3))
        self.memory = np.full((rows, seats), None, object)
        self.move = np.zeros(shape, dtype)
        self.chunks: list[Batch] = []
        self.dropped: set[int] = set()
        self.ended: list[tuple[int, int, Match, int, NDArray[np.float64], str | None, NDArray[np.int64]]] = []

    def start(self, entries: list[tuple[int, int, Match]], code: Callable[[str], int]) -> None:
        row = np.asarray([self.free.pop() for _ in entries], np.int64)
        seats = self.game.info.seats
        for r, entry in zip(row.tolist(), entries, strict=True):
            match = entry[2]
            if len(match.players) != seats:
                raise ValueError(f"{self.spec} has {seats} seats, and the match names {len(match.players)} players: {', '.join(match.players)}")
            self.match[r] = entry
        self.number[row] = self.admitted + np.arange(len(entries))
        self.admitted += len(entries)
        self.seed[row] = [match.seed for _, _, match in entries]
        self.opening[row] = [match.opening for _, _, match in entries]
        self.player[row] = [[code(player) for player in match.players] for _, _, match in entries]
        self.learn[row] = [[seat in match.learn for seat in range(seats)] for _, _, match in entries]
        for column in (self.ply, self.turn, self.attempt, self.fault, self.waiting, self.have):
            column[row] = 0
        self.memory[row] = None
        self.boards.start(row, self.seed[row])

    def record(self, row: Any, seat: Any, decision: Decision, fault: Any, keys: Any, *, learn: bool) -> None:
        now = self.boards.returns(row)[np.arange(len(row)), seat] if not self.game.info.rewards_at_end else np.zeros(len(row))
        columns: dict[str, NDArray[Any]] = {
            "turn.number": self.number[row],
            "turn.seat": seat,
            "turn.index": self.turn[row, seat],
            "turn.ply": self.ply[row],
            "turn.action": np.where(fault == OK, decision.action, -1) if self.discrete else decision.action,
            "turn.key": keys,
            "turn.fault": fault,
            "turn.attempt": self.attempt[row, seat],
            "turn.learn": self.learn[row, seat] & learn,
            "turn.version": np.full(len(row), decision.version),
            "turn.gain": now,
        }
        starts: dict[str, NDArray[np.int64]] = {}
        for name, values in decision.record.items():
            if isinstance(values, Ragged):
                columns[name], starts[name.split(".")[0]] = values.data, values.starts
            else:
                columns[name] = values
        self.chunks.append(Batch(columns, starts, {} if decision.streams is None else {"stream": decision.streams}))

    def end(self, row: NDArray[np.int64], how: int, offender: int) -> None:
        returns = self.boards.returns(row).copy()
        if how == FORFEIT:
            low, seats = self.game.info.returns[0], self.game.info.seats
            if self.game.info.utility == "zero_sum":
                returns[:] = -low / (seats - 1)
            returns[:, offender] = low
        for i, r in enumerate(row.tolist()):
            number, _, match = self.match[r]
            error = self.boards.broken.get(r) if self.boards.broken else None
            kind = VOID if error else how
            self.ended.append((number, int(self.number[r]), match, kind, returns[i], error, self.player[r] - 1))
            self.free.append(r)
        self.number[row] = -1
        self.waiting[row] = False
        self.have[row] = False

    def drop(self, r: int) -> None:
        """Forget a match that will be played again."""
        self.dropped.add(int(self.number[r]))
        self.number[r], self.waiting[r], self.have[r] = -1, False, False
        self.free.append(r)

    def seal(self, names: list[str]) -> Batch:
        """Batch of the matches that have ended, in plan order; turns of the others stay."""
        ended, self.ended = sorted(self.ended, key=lambda entry: entry[0]), []
        seats, count = self.game.info.seats, len(ended)
        turns = Batch.concat(self.chunks) if self.chunks else Batch({}, {}, {})
        match_of = np.full(self.admitted, -1)
        match_of[[entry[1] for entry in ended]] = np.arange(count)
        if turns.columns:
            match = match_of[turns["turn.number"]]
            open_ = np.flatnonzero((match < 0) & ~np.isin(turns["turn.number"], list(self.dropped)))
            order = np.lexsort((turns["turn.attempt"], turns["turn.index"], turns["turn.seat"], match))
            order = order[match[order] >= 0]
            self.chunks = [turns.take(open_, "turn")] if len(open_) else []
            turns = turns.take(order, "turn")
            pair = match[order] * seats + turns["turn.seat"]
        else:
            pair = np.zeros(0, np.int64)
        returns = np.asarray([entry[4] for entry in ended]).reshape(-1)
        columns, tables = dict(turns.columns), dict(turns.tables)
        starts = {**turns.starts, "turn": starts_of(np.bincount(pair, minlength=count * seats)), "seat": np.arange(count + 1) * seats}
        initial = returns.copy()
        if len(pair):
            gain = columns.pop("turn.gain")
            columns.pop("turn.number")
            last = np.ones(len(pair), bool)
            last[:-1] = pair[1:] != pair[:-1]
            after = np.where(last, returns[pair], np.roll(gain, -1))
            columns["turn.reward"] = after - gain
            first = starts["turn"][:-1][np.diff(starts["turn"]) > 0]
            initial[np.diff(starts["turn"]) > 0] = gain[first]
            codes, columns["turn.key"] = _compact(columns["turn.key"])
            strings = self.boards_codes()
            tables["key"] = [strings[code] for code in codes.tolist()]
        errors = [entry[5] for entry in ended]
        tables |= {"game": [self.spec], "player": list(names), "error": [error for error in errors if error]}
        voided = np.asarray([entry[3] == VOID for entry in ended])
        learn = np.asarray([[seat in entry[2].learn for seat in range(seats)] for entry in ended]) & ~voided[:, None]
        columns |= {
            "match.id": np.asarray([entry[2].id for entry in ended], np.uint64),
            "match.seed": np.asarray([entry[2].seed for entry in ended], np.uint64),
            "match.plan": np.asarray([entry[0] for entry in ended]),
            "match.game": np.zeros(count, np.int64),
            "match.end": np.asarray([entry[3] for entry in ended], np.int8),
            "match.error": np.where([bool(e) for e in errors], np.cumsum([bool(e) for e in errors]) - 1, -1),
            "seat.seat": np.tile(np.arange(seats), count),
            "seat.player": np.asarray([entry[6] for entry in ended]).reshape(-1),
            "seat.learn": learn.reshape(-1),
            "seat.return": returns,
            "seat.initial": initial,
        }
        if len(pair):
            columns["turn.learn"] = columns["turn.learn"] & ~np.repeat(np.repeat(voided, seats), np.diff(starts["turn"]))
        return Batch(columns, starts, tables)

    def boards_codes(self) -> Any:
        row = np.zeros(0, np.int64)
        return self.boards.views(row, row).codes


def _compact(codes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Distinct non-negative codes, and every code's place among them (-1 stays)."""
    known, place = np.unique(codes, return_inverse=True)
    if len(known) and known[0] < 0:
        return known[1:], place - 1
    return known, place
