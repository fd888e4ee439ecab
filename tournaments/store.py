"""A tournament's folder: what is played (``tournament.json``) and an append-only line for every finished match.

A host may die at any byte: the torn last line is cut off when the folder is next opened. A match counts once by its id,
and one that was void is played again. The lock is the kernel's (flock), so it ends with the process that holds it.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from marl_llm.errors import UserError
from marl_llm.matches import Match, kind_key
from marl_llm.records import VOID, Batch
from marl_llm.seeding import fold
from tournaments.formats import Tournament
from tournaments.index import Index
from tournaments.results import Result, Results, lines

SETTINGS, RESULTS, INDEX, LOCK = "tournament.json", "results.jsonl", "index.sqlite", "lock"
CHUNK = 4096


class Store:
    """Results by match id, kept in ``folder`` (in memory alone if there is none). Use it in a ``with`` statement.

    Raises UserError where another host is at work, where the folder holds another tournament, or this one without ``resume``.
    """

    def __init__(self, tournament: Tournament, seats: int, folder: Path | None, *, resume: bool = False) -> None:
        self.tournament, self.seats, self.folder, self.resume = tournament, seats, folder, resume
        self._parts = [Results.empty(seats)]
        self._bytes = 0
        """Length of the record that is whole."""

    def __enter__(self) -> Store:
        if self.folder is None:
            return self
        try:
            with ExitStack() as opened:
                self.folder.mkdir(parents=True, exist_ok=True)
                lock = opened.enter_context((self.folder / LOCK).open("a+"))
                take_lock(lock, self.folder)
                _check_settings(self.tournament, self.folder, self.resume)
                self._file = opened.enter_context((self.folder / RESULTS).open("a+b", buffering=0))
                self._read(self.folder, opened)
                self._opened = opened.pop_all()
        except (OSError, sqlite3.Error) as error:
            raise UserError(f"cannot write to --out {self.folder}: {error}; choose another folder, or make room") from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.folder is not None:
            if error is not None and not self._bytes:  # refused before the first match ended: leave nothing half-written
                self._index.close()
                for path in (self.folder / RESULTS, self.folder / SETTINGS, *self.folder.glob(f"{INDEX}*")):
                    path.unlink()
            self._opened.close()

    def results(self) -> Results:
        """Every match that has ended, once, by deal."""
        self._parts = [Results.concat(self._parts)]
        return self._parts[0].settled()

    def of(self, matches: Iterable[Match]) -> Results:
        """Those of the given matches."""
        found = self.results()
        ids = np.asarray([match.id for match in matches], np.uint64)
        return found.take(np.flatnonzero(np.isin(found.id, ids)))

    def finished(self) -> int:
        """How many matches have a result that stands."""
        return int((self.results().end != VOID).sum())

    def unfinished(self, matches: Iterable[Match]) -> Iterator[Match]:
        """Those of ``matches`` that have no result that stands."""
        found = self.results()
        known = np.sort(found.id[found.end != VOID])
        if not len(known):
            yield from matches
            return
        matches = iter(matches)
        while chunk := list(islice(matches, CHUNK)):
            kinds: dict[tuple[Any, ...], int] = {}  # the hash of a match takes long, and most are of few kinds
            kind = np.asarray([kinds.setdefault(match.kind, len(kinds)) for match in chunk])
            keys = np.asarray([kind_key(one) for one in kinds], np.uint64)
            ids = fold(keys[kind], np.asarray([match.seed for match in chunk], np.uint64))
            place = np.minimum(np.searchsorted(known, ids), len(known) - 1)
            yield from (chunk[i] for i in np.flatnonzero(known[place] != ids).tolist())

    def append(self, batch: Batch) -> None:
        """Add finished matches; when this returns they are on disk. UserError where the disk takes no more: nothing is lost
        but what was to be added."""
        found = Results.played(batch)
        if self.folder is not None:
            data = "".join(f"{line}\n" for line in lines(batch, found)).encode()
            try:
                self._write(data)
                self._index.add(self._bytes, data, found)
            except (OSError, sqlite3.Error) as error:
                os.truncate(self._file.fileno(), self._bytes)
                raise UserError(
                    f"cannot write to --out {self.folder}: {error}; all matches before are kept: make room, and go on with --resume"
                ) from error
            self._bytes += len(data)
        self._parts.append(found)

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:  # a disk that fills up takes a part first
            left = left[self._file.write(left) :]
        os.fsync(self._file.fileno())

    def _read(self, folder: Path, opened: ExitStack) -> None:
        """What the record holds; the index gives what it knows, the rest is parsed."""
        try:
            self._index = opened.enter_context(Index(folder / INDEX, self.seats))
            with (folder / RESULTS).open("rb") as record:
                for end, part in self._index.read(record):
                    self._parts.append(part)
                    self._bytes = end
        except sqlite3.DatabaseError:  # cut short by a power failure, or no such index
            for path in folder.glob(f"{INDEX}*"):
                path.unlink()
            self._index = opened.enter_context(Index(folder / INDEX, self.seats))
            self._bytes, self._parts = 0, [Results.empty(self.seats)]
        number = sum(len(part) for part in self._parts)
        with (folder / RESULTS).open("rb") as record:
            record.seek(self._bytes)
            while chunk := list(islice(record, CHUNK)):
                if not chunk[-1].endswith(b"\n"):
                    chunk.pop()
                found = []
                for number, line in enumerate(chunk, start=number + 1):  # noqa: B020  # counts on
                    try:
                        found.append(Result.parse(line))
                        if len(found[-1].players) != self.seats:
                            raise ValueError("another number of seats")
                    except (ValueError, KeyError, TypeError, AttributeError) as error:
                        raise UserError(f"{folder / RESULTS} line {number} is not a result; remove the line and resume") from error
                part, data = Results.of(found, self.seats), b"".join(chunk)
                if chunk:
                    self._index.add(self._bytes, data, part)
                self._bytes += len(data)
                self._parts.append(part)
        self._file.truncate(self._bytes)


def take_lock(lock: Any, folder: Path) -> None:
    """Hold the lock of a folder as long as its file is open; UserError names the process that holds it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.seek(0)
        holder = lock.read().strip() or "unknown"
        raise UserError(f"--out {folder} is in use by another host, process {holder}; wait for it or choose another folder") from error
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()


def _check_settings(tournament: Tournament, folder: Path, resume: bool) -> None:
    settings = folder / SETTINGS
    mine = json.loads(json.dumps(asdict(tournament)))
    if settings.exists():
        theirs = json.loads(settings.read_text())
        other = [name for name in mine if name != "rounds" and theirs.get(name) != mine[name]]
        if other:
            name = other[0]
            was, now = theirs.get(name), mine[name]
            raise UserError(f"--out {folder} holds another tournament: its {name} is {was!r}, not {now!r}; choose another folder")
        if not resume:
            raise UserError(f"--out {folder} holds this tournament already; add --resume to go on, or choose another folder")
        if theirs["rounds"] > mine["rounds"]:
            raise UserError(f"--rounds is {mine['rounds']}, and --out {folder} was begun with {theirs['rounds']}; give at least as many")
    elif any(path.name != LOCK for path in folder.iterdir()):
        raise UserError(f"--out {folder} is not empty and holds no tournament; choose another folder")
    aside = folder / f"{SETTINGS}.new"
    aside.write_text(json.dumps(mine, indent=1) + "\n")
    os.replace(aside, settings)
