"""The matches of one game in progress, as columns over board rows, and the turns recorded of them until they are sealed.

A cell is one seat of one row: cell ``row * seats + seat`` of the flat columns.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marl_llm.agent import OK, Decision
from marl_llm.answers import recorded, room
from marl_llm.game import Game, Spec
from marl_llm.matches import Match, kind_key
from marl_llm.ragged import Ragged, starts_of
from marl_llm.records import FORFEIT, VOID, Batch
from marl_llm.seeding import fold

Rows = NDArray[np.int64]
STREAM = 5  # name of a random stream; the others are named in play.py
RANDOM, GIVEN, AGENTS = 0, 1, 2  # the agents that play openings and given moves, and their number


class Table:
    """The matches of one game that are in progress, and what has been recorded of them."""

    def __init__(self, game: Game, spec: Spec, rows: int) -> None:
        self.game, self.spec, self.boards = game, spec, game.boards(rows)
        self.seats = seats = game.info.seats
        self.free = list(range(rows))
        self.match: list[Any] = [None] * rows
        """Of every row (plan number, replays so far, match)."""
        self.number = np.full(rows, -1)
        """Admission number of the match in a row; -1 where the row is free."""
        self.admitted = self.done = 0
        self.id, self.seed, self.draws = (np.zeros(rows, np.uint64) for _ in range(3))
        self.plan, self.opening, self.ply, self.acting, self.sample, self.tag = (np.zeros(rows, np.int64) for _ in range(6))
        self.sampled = np.zeros(rows, bool)
        """Rows of a population of which the turns of learning seats are recorded and no others."""
        cells = rows * seats
        self.player, self.turn, self.attempt = (np.zeros(cells, np.int64) for _ in range(3))
        self.fault = np.zeros(cells, np.int8)
        self.learn, self.waiting, self.have = (np.zeros(cells, bool) for _ in range(3))
        self.stream = np.zeros(cells, np.uint64)
        """What each seat's draws are a function of, beside its turn."""
        self.given = np.zeros(cells, np.int64)
        """How many of its first moves are given."""
        self.memory = np.full(cells, None, object)
        self.move = room(game.info, cells)
        self.chunks: list[Batch] = []
        self.ended: list[dict[str, NDArray[Any]]] = []
        self.tags: dict[str, int] = {}
        self.errors: dict[int, str] = {}
        """Why a match was set aside, by plan number."""

    def cells(self, row: Rows) -> Rows:
        """All cells of some rows, shape [rows, seats]."""
        return row[:, None] * self.seats + np.arange(self.seats)

    def start(self, entries: Sequence[tuple[int, int, Match]], code: Callable[[str], int]) -> Rows:
        """Begin matches in free rows; the rows."""
        count, seats = len(entries), self.seats
        rows, self.free = self.free[:count], self.free[count:]
        kinds: dict[tuple[Any, ...], int] = {}
        kind = np.asarray([kinds.setdefault(match.kind, len(kinds)) for _, _, match in entries])
        for _, players, _, _, _, streams, history, *_ in kinds:
            if len(players) != seats:
                raise ValueError(f"{self.spec} has {seats} seats, and the match names {len(players)} players: {', '.join(players)}")
            for what, given in (("streams", streams), ("histories", history)):
                if given and len(given) != seats:
                    raise ValueError(
                        f"{self.spec} has {seats} seats, and the match gives {len(given)} {what}; expected one a seat, or none"
                    )
        for r, entry in zip(rows, entries, strict=True):
            self.match[r] = entry
        row = np.asarray(rows, np.int64)
        cells = self.cells(row)
        self.number[row] = self.admitted + np.arange(count)
        self.admitted += count
        self.plan[row] = [number for number, _, _ in entries]
        self.seed[row] = np.asarray([match.seed for _, _, match in entries], np.uint64)
        self.id[row] = fold(np.asarray([kind_key(key) for key in kinds], np.uint64)[kind], self.seed[row])
        self.opening[row] = np.asarray([opening for _, _, _, opening, *_ in kinds])[kind]
        self.sample[row] = sample = np.asarray([sample for _, _, _, _, sample, *_ in kinds])[kind]
        self.tag[row] = np.asarray([self.tags.setdefault(json.dumps(dict(tags)), len(self.tags)) for *_, tags in kinds])[kind]
        self.draws[row] = np.where(sample > 0, fold(self.seed[row], sample), self.seed[row])
        self.stream[cells] = self.draws[row][:, None]
        if any(streams for _, _, _, _, _, streams, *_ in kinds):
            streams = np.asarray([streams or (-1,) * seats for _, _, _, _, _, streams, *_ in kinds])[kind]
            self.stream[cells] = np.where(streams < 0, self.stream[cells], fold(self.seed[row][:, None], STREAM, streams))
        self.given[cells] = np.asarray([[len(moves) for moves in history] or [0] * seats for _, _, _, _, _, _, history, *_ in kinds])[kind]
        self.player[cells] = np.asarray([[code(player) for player in players] for _, players, *_ in kinds])[kind]
        self.learn[cells] = np.asarray([[seat in learn for seat in range(seats)] for _, _, learn, *_ in kinds])[kind]
        self.sampled[row] = self.game.info.anonymous & self.learn[cells].any(1)
        self.ply[row] = 0
        for column in (self.turn, self.attempt, self.fault, self.waiting, self.have):
            column[cells] = 0
        self.memory[cells] = None
        self.boards.start(row, self.seed[row])
        return row

    def moves_given(self, row: Rows, seat: Rows) -> list[Any]:
        """The move that every seat's match gives it now."""
        turn = self.turn[row * self.seats + seat].tolist()
        return [self.match[r][2].history[s][t] for r, s, t in zip(row.tolist(), seat.tolist(), turn, strict=True)]

    def record(self, row: Rows, seat: Rows, decision: Decision, fault: Any, keys: Any, learn: Any) -> None:
        cell = row * self.seats + seat
        if self.sampled[row].any():
            kept = np.flatnonzero(self.learn[cell] | ~self.sampled[row])
            row, seat, cell, fault, keys, learn = (column[kept] for column in (row, seat, cell, fault, keys, learn))
            decision = decision.take(kept)
        gain = np.zeros(len(row)) if self.game.info.rewards_at_end else self.boards.returns(row)[np.arange(len(row)), seat]
        columns: dict[str, NDArray[Any]] = {
            "turn.number": self.number[row],
            "turn.seat": seat,
            "turn.index": self.turn[cell],
            "turn.ply": self.ply[row],
            "turn.key": keys,
            "turn.fault": fault,
            "turn.attempt": self.attempt[cell],
            "turn.learn": self.learn[cell] & learn,
            "turn.version": np.full(len(row), decision.version),
            "turn.gain": gain,
        }
        answers, tables = recorded(self.game.info, decision.action, fault == OK)
        columns |= answers
        starts: dict[str, NDArray[np.int64]] = {}
        for name, values in decision.record.items():
            if isinstance(values, Ragged):
                columns[name], starts[name.split(".")[0]] = values.data, values.starts
            else:
                columns[name] = values
        streams = {} if decision.streams is None else {"stream": decision.streams}
        self.chunks.append(Batch(columns, starts, {**tables, **streams}))

    def end(self, row: Rows, how: int, offender: int) -> None:
        returns = self.boards.returns(row).copy()
        if how == FORFEIT:
            low = self.game.info.returns[0]
            if self.game.info.utility == "zero_sum":
                returns[:] = -low / (self.seats - 1)
            returns[:, offender] = low
        kind, cells = np.full(len(row), how, np.int8), self.cells(row)
        for i, r in enumerate(row.tolist() if self.boards.broken else ()):
            if r in self.boards.broken:
                kind[i] = VOID
                self.errors[int(self.plan[r])] = self.boards.broken[r]
        ended = {name: getattr(self, name) for name in ("id", "seed", "plan", "number", "sample", "tag")}
        taken: dict[str, NDArray[Any]] = {name: column[row] for name, column in ended.items()}
        self.ended.append(taken | {"end": kind, "return": returns, "player": self.player[cells] - AGENTS, "learn": self.learn[cells]})
        self.done += len(row)
        self.release(row)

    def release(self, row: Rows) -> None:
        """Give the places of matches back; one that will be played again is forgotten so."""
        cells = self.cells(row)
        self.number[row] = -1
        self.waiting[cells] = False
        self.have[cells] = False
        self.free += row.tolist()

    def seal(self, names: list[str]) -> Batch:
        """Batch of the matches that have ended, in plan order; turns of the others stay."""
        ended = {name: np.concatenate([part[name] for part in self.ended]) for name in self.ended[0]}
        order = np.argsort(ended["plan"])
        ended = {name: column[order] for name, column in ended.items()}
        count, seats = len(order), self.seats
        turns, pair = self._turns(ended.pop("number"))
        errors, self.errors = self.errors, {}
        self.ended, self.done = [], 0
        columns, tables = dict(turns.columns), dict(turns.tables)
        turn_starts = starts_of(np.bincount(pair, minlength=count * seats))
        starts = {**turns.starts, "turn": turn_starts, "seat": np.arange(count + 1) * seats}
        returns = ended["return"].reshape(-1)
        initial = returns.copy()
        voided = ended["end"] == VOID
        if len(pair):
            gain = columns.pop("turn.gain")
            last = np.ones(len(pair), bool)
            last[:-1] = pair[1:] != pair[:-1]
            after = np.where(last, returns[pair], np.roll(gain, -1))
            columns["turn.reward"] = after - gain
            moved = np.diff(turn_starts) > 0
            initial[moved] = gain[turn_starts[:-1][moved]]
            columns["turn.learn"] = columns["turn.learn"] & ~voided[pair // seats]
            codes, columns["turn.key"] = _compact(columns["turn.key"])
            strings = self.boards.views(order[:0], order[:0]).codes
            tables["key"] = [strings[code] for code in codes.tolist()]
        tables |= {"game": [self.spec], "player": list(names), "error": list(errors.values()), "tags": list(self.tags)}
        error_of = {plan: code for code, plan in enumerate(errors)}
        columns |= {
            "match.id": ended["id"],
            "match.seed": ended["seed"],
            "match.plan": ended["plan"],
            "match.game": np.zeros(count, np.int64),
            "match.end": ended["end"],
            "match.sample": ended["sample"],
            "match.tags": ended["tag"],
            "match.error": np.asarray([error_of.get(plan, -1) for plan in ended["plan"].tolist()]) if errors else np.full(count, -1),
            "seat.seat": np.tile(np.arange(seats), count),
            "seat.player": ended["player"].reshape(-1),
            "seat.learn": (ended["learn"] & ~voided[:, None]).reshape(-1),
            "seat.return": returns,
            "seat.initial": initial,
        }
        return Batch(columns, starts, tables)

    def _turns(self, number: NDArray[np.int64]) -> tuple[Batch, NDArray[np.int64]]:
        """The turns of ended matches, ordered by match, seat and time, and of each its place (match, seat); others are kept."""
        if not self.chunks:
            return Batch({}, {}, {}), np.zeros(0, np.int64)
        turns = Batch.concat(self.chunks)
        of = turns["turn.number"]
        first = min(int(of.min()), int(number.min()))
        match_of = np.full(self.admitted - first, -1)
        match_of[number - first] = np.arange(len(number))
        match = match_of[of - first]
        open_ = np.flatnonzero(match < 0)
        if len(open_):
            live = np.zeros(len(match_of), bool)
            live[self.number[self.number >= first] - first] = True
            keep = open_[live[of[open_] - first]]  # the rest are of matches that are played again
            self.chunks = [turns.take(keep, "turn")] if len(keep) else []
            ended = np.flatnonzero(match >= 0)
        else:
            self.chunks, ended = [], np.arange(len(match))
        pair = match[ended] * self.seats + turns["turn.seat"][ended]
        # chunks stand in order of time; a stable sort of small integers is a radix sort
        order = np.argsort(pair.astype(np.min_scalar_type(len(number) * self.seats)), kind="stable")
        turns = turns.take(ended[order], "turn")
        return Batch({name: column for name, column in turns.columns.items() if name != "turn.number"}, turns.starts, turns.tables), pair[
            order
        ]


def _compact(codes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Distinct non-negative codes, and every code's place among them (-1 stays)."""
    known, place = np.unique(codes, return_inverse=True)
    if len(known) and known[0] < 0:
        return known[1:], place - 1
    return known, place
