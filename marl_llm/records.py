"""What was played, as columns: token < turn < seat < match, with offsets between the levels.

A column's name begins with its level. ``match``: id, seed, game (code), end (code), error (code), sample, tags (code;
see ``Batch.tag``). ``seat`` (one row a
match and seat): seat, player (code), learn, return, initial, version. ``turn``: seat, index (own turns), ply (all
decisions of the match), action, said (code, where seats speak), key (code), fault, attempt, learn, reward, and what the
agent recorded. ``legal`` and ``token`` hang under turn, ``support`` under token. Codes are read through ``tables``;
``tables["stream"]`` holds prompts' tokens.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from marl_llm.agent import FAULTS
from marl_llm.ragged import Ragged, spans, starts_of

PARENT = {"seat": "match", "turn": "seat", "legal": "turn", "token": "turn", "support": "token"}
CHILDREN = {"match": ["seat"], "seat": ["turn"], "turn": ["legal", "token"], "token": ["support"]}
CODED = {
    "match.game": "game",
    "match.error": "error",
    "match.tags": "tags",
    "seat.player": "player",
    "turn.key": "key",
    "turn.stream": "stream",
    "turn.said": "said",
}
"""Columns of codes, and the table that explains each."""

End = Literal["played", "cut", "forfeit", "void"]
ENDS: tuple[End, ...] = get_args(End)
PLAYED, CUT, FORFEIT, VOID = range(len(ENDS))


@dataclass(frozen=True)
class Batch:
    """Finished matches. ``starts[level]`` are offsets of a level's rows inside its parent's rows."""

    columns: Mapping[str, NDArray[Any]]
    starts: Mapping[str, NDArray[np.int64]]
    tables: Mapping[str, Any]

    def __getitem__(self, column: str) -> NDArray[Any]:
        try:
            return self.columns[column]
        except KeyError:
            raise KeyError(f"no column {column!r} in this batch; it has {', '.join(sorted(self.columns))}") from None

    def __contains__(self, column: str) -> bool:
        return column in self.columns

    def __len__(self) -> int:
        """The number of matches."""
        return self.size("match")

    def size(self, level: str) -> int:
        """Rows of a level; 0 for one that this batch does not have."""
        if level in self.starts:
            return int(self.starts[level][-1])
        return next((len(values) for name, values in self.columns.items() if name.split(".")[0] == level), 0)

    def up(self, child: str, parent: str) -> NDArray[np.int64]:
        """For every row of ``child`` its row of ``parent``, to broadcast: ``batch["seat.return"][batch.up("turn", "seat")]``."""
        rows = np.arange(self.size(child))
        while child != parent:
            rows = np.repeat(np.arange(len(self.starts[child]) - 1), np.diff(self.starts[child]))[rows]
            child = PARENT[child]
        return rows

    def ragged(self, column: str) -> Ragged:
        """A column as one row a parent: ``ragged("token.id")`` has a row a turn."""
        return Ragged(self[column], self.starts[column.split(".")[0]])

    def with_columns(self, **columns: NDArray[Any]) -> Batch:
        """A batch with further (or replaced) columns, each as long as its level; names as in ``{"turn.advantage": x}``."""
        for name, values in columns.items():
            if len(values) != self.size(name.split(".")[0]):
                raise ValueError(f"column {name!r} has {len(values)} rows; its level has {self.size(name.split('.')[0])}")
        return replace(self, columns={**self.columns, **columns})

    def tag(self, name: str, default: str = "") -> NDArray[Any]:
        """What every match's tag ``name`` says, as strings, shape [matches]."""
        said = np.asarray([json.loads(tags).get(name, default) for tags in self.tables["tags"]] or [default], object)
        return said[self["match.tags"]]

    def answers(self) -> list[Any]:
        """Every turn's answer: an integer, a list of integers or floats, or what was said; -1 or NaN for a fault."""
        answers: list[Any] = self["turn.action"].tolist()
        if "turn.said" in self:
            table = self.tables["said"]
            answers = [table[code] if code >= 0 else answer for answer, code in zip(answers, self["turn.said"].tolist(), strict=True)]
        return answers

    def take(self, rows: NDArray[np.int64], level: str = "match") -> Batch:
        """The given rows of a level with all that hangs under them; rows of the levels above stay only for ``match``."""
        columns, starts = dict(self.columns), dict(self.starts)
        for name in [name for name in columns if name.split(".")[0] == level]:
            columns[name] = columns[name][rows]
        self._take_below(level, rows, columns, starts)
        return Batch(columns, starts, self.tables)

    def _take_below(self, level: str, rows: NDArray[np.int64], columns: dict[str, Any], starts: dict[str, Any]) -> None:
        for child in CHILDREN.get(level, []):
            if child in starts:
                entries, starts[child] = spans(self.starts[child], rows)
                for name in [name for name in columns if name.split(".")[0] == child]:
                    columns[name] = columns[name][entries]
                self._take_below(child, entries, columns, starts)

    @staticmethod
    def concat(batches: Iterable[Batch]) -> Batch:
        """All matches of ``batches``, in order; codes are unified."""
        batches = list(batches)
        if len(batches) == 1:
            return batches[0]
        tables: dict[str, Any] = {}
        recoded: list[dict[str, NDArray[Any]]] = [dict(batch.columns) for batch in batches]
        for table in dict.fromkeys(table for batch in batches for table in batch.tables):
            merged: dict[Any, int] = {}
            for batch, columns in zip(batches, recoded, strict=True):
                entries = batch.tables.get(table, [])
                hashable = [entries[i].tobytes() for i in range(len(entries))] if table == "stream" else entries
                codes = np.asarray([merged.setdefault(entry, len(merged)) for entry in hashable], np.int64)
                for name in [name for name, t in CODED.items() if t == table and name in columns]:
                    known = columns[name] >= 0
                    columns[name] = np.where(known, codes[columns[name]] if len(codes) else -1, -1)
            if table == "stream":
                tables[table] = Ragged.of([np.frombuffer(entry, np.int32) for entry in merged], np.int32)
            else:
                tables[table] = list(merged)
        names = list(dict.fromkeys(name for columns in recoded for name in columns))
        levels = list(dict.fromkeys(level for batch in batches for level in batch.starts))
        starts = {level: starts_of(np.concatenate([_lengths(batch, level) for batch in batches])) for level in levels}
        like = {name: next(columns[name] for columns in recoded if name in columns) for name in names}
        parts = list(zip(batches, recoded, strict=True))
        joined = {name: np.concatenate([_column(*part, name, like[name]) for part in parts]) for name in names}
        return Batch(joined, starts, tables)

    def save(self, path: Path) -> None:
        """Write to ``path`` (.npz), without pickle."""
        tables = {name: (table if isinstance(table, list) else None) for name, table in self.tables.items()}
        arrays = {f"column/{name}": values for name, values in self.columns.items()}
        arrays |= {f"starts/{name}": values for name, values in self.starts.items()}
        stream = self.tables.get("stream")
        if stream is not None:
            arrays |= {"stream/data": stream.data, "stream/starts": stream.starts}
        text = np.frombuffer(json.dumps(tables).encode(), np.uint8)
        np.savez_compressed(path, tables=text, **arrays)  # type: ignore[arg-type]

    @staticmethod
    def load(path: Path) -> Batch:
        """Read what ``save`` wrote."""
        with np.load(path, allow_pickle=False) as file:
            tables = json.loads(file["tables"].tobytes())
            if "stream/data" in file:
                tables["stream"] = Ragged(file["stream/data"], file["stream/starts"])
            columns = {name[7:]: file[name] for name in file.files if name.startswith("column/")}
            starts = {name[7:]: file[name] for name in file.files if name.startswith("starts/")}
        return Batch(columns, starts, tables)

    def episode(self, i: int) -> Episode:
        """Match ``i`` for people to read."""
        one = self.take(np.asarray([i]))
        moves, answers = [], one.answers() if one.size("turn") else []
        for t in np.argsort(one["turn.ply"], kind="stable").tolist():
            key = int(one["turn.key"][t])
            moves.append(
                Move(
                    ply=int(one["turn.ply"][t]),
                    seat=int(one["turn.seat"][t]),
                    action=answers[t],
                    key=None if key < 0 else self.tables["key"][key],
                    fault=FAULTS[one["turn.fault"][t]],
                    reward=float(one["turn.reward"][t]),
                )
            )
        error = int(one["match.error"][0])
        return Episode(
            game=self.tables["game"][one["match.game"][0]],
            seed=int(one["match.seed"][0]),
            end=ENDS[one["match.end"][0]],
            players=tuple(self.tables["player"][code] for code in one["seat.player"]),
            returns=tuple(one["seat.return"].tolist()),
            moves=moves,
            error=None if error < 0 else self.tables["error"][error],
        )


def _lengths(batch: Batch, level: str) -> NDArray[np.int64]:
    return np.diff(batch.starts[level]) if level in batch.starts else np.zeros(batch.size(PARENT[level]), np.int64)


def _column(batch: Batch, columns: Mapping[str, NDArray[Any]], name: str, like: NDArray[Any]) -> NDArray[Any]:
    """A batch's column, or where only others, such as ``like``, have one, rows of -1 (whole numbers), False or NaN."""
    if name in columns:
        return columns[name]
    rows = batch.size(name.split(".")[0])
    nothing = {"i": -1, "b": False}.get(like.dtype.kind, np.nan)
    return np.full((rows, *like.shape[1:]), nothing, like.dtype if like.dtype.kind in "ib" else None) if rows else like[:0]


@dataclass(frozen=True)
class Move:
    """One decision of an episode."""

    ply: int
    seat: int
    action: Any
    key: str | None
    fault: str
    reward: float


@dataclass(frozen=True)
class Episode:
    """A match as people see it. With its game, seed and moves it replays exactly."""

    game: str
    seed: int
    end: End
    players: tuple[str, ...]
    returns: tuple[float, ...]
    moves: Sequence[Move]
    error: str | None = None
