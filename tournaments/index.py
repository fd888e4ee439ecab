"""The index beside the record: the columns of its matches in SQLite, so that a folder with millions of them opens at once.

The record is the truth. Every row here stands for the lines that were added to it together, with their place and checksum;
where both disagree, or the index is missing or broken, it is made again from the record.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from io import BufferedIOBase
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from tournaments.results import Results

COLUMNS = {"id": np.uint64, "deal": np.int64, "seating": np.int64, "end": np.int8, "returns": float, "turns": np.int64, "faults": np.int64}
SCHEMA = f"""CREATE TABLE IF NOT EXISTS pieces (
  start INTEGER PRIMARY KEY, bytes INTEGER, crc INTEGER, {", ".join(f'"{name}" BLOB' for name in COLUMNS)}, errors TEXT, players TEXT)"""


class Index:
    """Rows of ``path`` in order of the record; ``sqlite3.DatabaseError`` where the file is no such index."""

    def __init__(self, path: Path, seats: int) -> None:
        self.seats = seats
        self._base = sqlite3.connect(path, isolation_level=None)
        try:
            self._base.execute("PRAGMA journal_mode=WAL")  # a page may read while a host writes
            self._base.execute("PRAGMA synchronous=OFF")  # what a power cut takes is made again from the record
            self._base.execute(SCHEMA)
        except sqlite3.DatabaseError:
            self.close()
            raise

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._base.close()

    def add(self, start: int, data: bytes, results: Results) -> None:
        """Note that the lines of ``results`` stand in the record from byte ``start`` on."""
        blobs = [getattr(results, name).tobytes() for name in COLUMNS]
        told = [json.dumps(results.errors), json.dumps(results.players)]
        marks = ",".join("?" * (len(COLUMNS) + 5))
        self._base.execute(f"INSERT INTO pieces VALUES ({marks})", [start, len(data), crc32(data), *blobs, *told])

    def read(self, record: BufferedIOBase) -> Iterator[tuple[int, Results]]:
        """The pieces that agree with the record, from its first byte on, and where each ends; what follows them is forgotten."""
        end = 0
        names = ", ".join(f'"{name}"' for name in COLUMNS)
        for start, size, crc, *blobs, errors, players in self._base.execute(
            f"SELECT start, bytes, crc, {names}, errors, players FROM pieces ORDER BY start"
        ):
            record.seek(start)
            if start != end or crc32(record.read(size)) != crc:
                break
            end += size
            column = {name: np.frombuffer(blob, kind) for (name, kind), blob in zip(COLUMNS.items(), blobs, strict=True)}
            yield end, self._results(column, errors, players)
        self._base.execute("DELETE FROM pieces WHERE start >= ?", [end])

    def _results(self, column: dict[str, NDArray[np.generic]], errors: str, players: str) -> Results:
        column |= {name: column[name].reshape(-1, width) for name, width in (("returns", self.seats), ("turns", self.seats), ("faults", 4))}
        told = tuple((row, text) for row, text in json.loads(errors))
        return Results(**column, errors=told, players=tuple(map(tuple, json.loads(players))))  # type: ignore[arg-type]
