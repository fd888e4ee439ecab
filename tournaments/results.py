"""Finished matches: one line of JSON each, which with the game replays the match exactly, and columns of all for the figures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marl_llm.agent import FAULTS, OK
from marl_llm.ragged import starts_of
from marl_llm.records import ENDS, VOID, Batch, End

encode = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Result:
    """A finished match. ``returns``, ``turns`` (attempts included) and ``faults`` have an entry a seat; ``moves`` are in
    order of play, at a simultaneous move in order of seats."""

    id: int
    deal: int
    players: tuple[str, ...]
    returns: tuple[float, ...]
    end: End
    turns: tuple[int, ...]
    faults: tuple[dict[str, int], ...]
    moves: tuple[Any, ...]
    error: str | None = None

    @staticmethod
    def parse(line: bytes) -> Result:
        """Read one of ``lines``; ValueError, KeyError or TypeError for anything else."""
        row = json.loads(line)
        players = tuple(row["players"])
        faults = tuple(row.get("faults") or [{}] * len(players))
        if row["end"] not in ENDS or not len(players) == len(row["returns"]) == len(row["turns"]) == len(faults):
            raise ValueError("not a result")
        if any(kind not in FAULTS for mine in faults for kind in mine):
            raise ValueError("not a fault")
        returns, turns = tuple(map(float, row["returns"])), tuple(map(int, row["turns"]))
        return Result(
            int(row["id"], 16), int(row["deal"]), players, returns, row["end"], turns, faults, tuple(row["moves"]), row.get("error")
        )


@dataclass(frozen=True)
class Results:
    """Matches as columns: ``id``, ``deal``, ``end`` (place in ``ENDS``) and ``seating`` (place in ``players``) of [matches],
    ``returns`` and ``turns`` of [matches, seats]. ``faults`` has rows (match, seat, fault, count), ``errors`` (match, text)."""

    id: NDArray[np.uint64]
    deal: NDArray[np.int64]
    seating: NDArray[np.int64]
    end: NDArray[np.int8]
    returns: NDArray[np.float64]
    turns: NDArray[np.int64]
    faults: NDArray[np.int64]
    errors: tuple[tuple[int, str], ...]
    players: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return len(self.id)

    @staticmethod
    def empty(seats: int) -> Results:
        return Results.of([], seats)

    @staticmethod
    def of(results: Sequence[Result], seats: int) -> Results:
        """The columns of some results."""
        codes: dict[tuple[str, ...], int] = {}
        seating = [codes.setdefault(result.players, len(codes)) for result in results]
        faults = [
            (row, seat, FAULTS.index(kind), count)
            for row, result in enumerate(results)
            for seat, mine in enumerate(result.faults)
            for kind, count in mine.items()
        ]
        return Results(
            np.asarray([result.id for result in results], np.uint64),
            np.asarray([result.deal for result in results], np.int64),
            np.asarray(seating, np.int64),
            np.asarray([ENDS.index(result.end) for result in results], np.int8),
            np.asarray([result.returns for result in results], np.float64).reshape(-1, seats),
            np.asarray([result.turns for result in results], np.int64).reshape(-1, seats),
            np.asarray(faults, np.int64).reshape(-1, 4),
            tuple((row, result.error) for row, result in enumerate(results) if result.error is not None),
            tuple(codes),
        )

    @staticmethod
    def played(batch: Batch) -> Results:
        """The columns of a batch."""
        count, seats = len(batch), batch.size("seat") // len(batch)
        codes, seating = np.unique(batch["seat.player"].reshape(count, seats), axis=0, return_inverse=True)
        names, cells = batch.tables["player"], count * seats
        turns, faults = np.zeros(cells, np.int64), np.zeros((0, 4), np.int64)
        if "turn.fault" in batch:
            of, fault = batch.up("turn", "seat"), batch["turn.fault"].astype(np.int64)
            turns = np.bincount(of, minlength=cells)
            if (fault != OK).any():
                cell, many = np.unique(of[fault != OK] * len(FAULTS) + fault[fault != OK], return_counts=True)
                place, kind = np.divmod(cell, len(FAULTS))
                faults = np.column_stack([*np.divmod(place, seats), kind, many])
        error = batch["match.error"]
        return Results(
            batch["match.id"].astype(np.uint64),
            batch["match.seed"].astype(np.int64),
            seating.reshape(-1),
            batch["match.end"].astype(np.int8),
            batch["seat.return"].reshape(count, seats),
            turns.reshape(count, seats),
            faults,
            tuple((row, batch.tables["error"][error[row]]) for row in np.flatnonzero(error >= 0).tolist()),
            tuple(tuple(names[code] for code in row) for row in codes.tolist()),
        )

    @staticmethod
    def concat(parts: Sequence[Results]) -> Results:
        """All rows of ``parts`` (one at least), in order."""
        codes: dict[tuple[str, ...], int] = {}
        places = [np.asarray([codes.setdefault(table, len(codes)) for table in part.players], np.int64) for part in parts]
        first = np.cumsum([0, *(len(part) for part in parts)]).tolist()
        columns = {
            field.name: np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(Results)
            if field.name in ("id", "deal", "end", "returns", "turns")
        }
        return Results(
            seating=np.concatenate([place[part.seating] for place, part in zip(places, parts, strict=True)]),
            faults=np.concatenate([part.faults + np.asarray([start, 0, 0, 0]) for start, part in zip(first, parts, strict=False)]),
            errors=tuple((start + row, text) for start, part in zip(first, parts, strict=False) for row, text in part.errors),
            players=tuple(codes),
            **columns,
        )

    def take(self, rows: NDArray[np.int64]) -> Results:
        """The given rows, each once, in the order given."""
        place = np.full(len(self), -1)
        place[rows] = np.arange(len(rows))
        faults = self.faults[place[self.faults[:, 0]] >= 0]
        return Results(
            self.id[rows],
            self.deal[rows],
            self.seating[rows],
            self.end[rows],
            self.returns[rows],
            self.turns[rows],
            np.column_stack([place[faults[:, 0]], faults[:, 1:]]),
            tuple(sorted((int(place[row]), text) for row, text in self.errors if place[row] >= 0)),
            self.players,
        )

    def settled(self) -> Results:
        """Every match once, by deal: a result that stands counts, however often it was written; a void one only in want of any."""
        order = np.lexsort((np.arange(len(self)), self.end == VOID, self.id))
        first = np.ones(len(self), bool)
        first[1:] = self.id[order][1:] != self.id[order][:-1]
        rows = order[first]
        return self.take(rows[np.lexsort((self.id[rows], self.deal[rows]))])

    def seats(self, agents: Sequence[str]) -> NDArray[np.int64]:
        """Who sat where, as places in ``agents``, [matches, seats]."""
        number = {name: i for i, name in enumerate(agents)}
        table = np.asarray([[number[name] for name in names] for names in self.players], np.int64)
        return table.reshape(-1, self.returns.shape[1])[self.seating]


def lines(batch: Batch, columns: Results) -> Iterator[str]:
    """Every match of a batch, of which ``columns`` are the columns, as JSON, without a newline."""
    faults: dict[int, list[dict[str, int]]] = {}
    for row, seat, kind, many in columns.faults.tolist():
        faults.setdefault(row, [{} for _ in range(columns.returns.shape[1])])[seat][FAULTS[kind]] = many
    more = {row: f',"faults":{encode(mine)}' for row, mine in faults.items()}
    for row, text in columns.errors:
        more[row] = more.get(row, "") + f',"error":{encode(text)}'
    heads = [f'"players":{encode(table)},"returns":[' for table in columns.players]
    ends = [f'],"end":"{end}","turns":[' for end in ENDS]
    rows = zip(
        columns.id.tolist(),
        columns.deal.tolist(),
        columns.seating.tolist(),
        _inside(columns.returns.tolist(), plain=bool(np.isfinite(columns.returns).all())),
        columns.end.tolist(),
        _inside(columns.turns.tolist(), plain=True),
        _inside(
            _moves(batch),
            plain="turn.said" not in batch
            and "turn.action" in batch
            and batch["turn.action"].dtype.kind == "i"
            and batch["turn.action"].ndim == 1,
        ),
        strict=True,
    )
    for i, (number, deal, seating, returns, end, turns, moves) in enumerate(rows):
        yield f'{{"id":"{number:016x}","deal":{deal},{heads[seating]}{returns}{ends[end]}{turns}],"moves":[{moves}]{more.get(i, "")}}}'


def _moves(batch: Batch) -> list[list[Any]]:
    """The faultless answers of every match in order of play."""
    if "turn.fault" not in batch:
        return [[] for _ in range(len(batch))]
    match, ply, seat = batch.up("turn", "match"), batch["turn.ply"], batch["turn.seat"]
    made = np.flatnonzero(batch["turn.fault"] == OK)
    place = (match * (ply.max(initial=0) + 1) + ply) * (seat.max(initial=0) + 1) + seat
    made = made[np.argsort(place[made], kind="stable")]
    answers, starts = batch.answers(), starts_of(np.bincount(match[made], minlength=len(batch))).tolist()
    played = [answers[turn] for turn in made.tolist()]
    return [played[first:last] for first, last in pairwise(starts)]


def _inside(rows: list[list[Any]], *, plain: bool) -> list[str]:
    """What stands between the brackets of every row as JSON. ``plain`` rows are integers or finite floats, of which str makes JSON too,
    all rows at once."""
    return str(rows)[2:-2].split("], [") if plain else [encode(row)[1:-1] for row in rows]
