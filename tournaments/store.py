"""A tournament's folder: what is played (``tournament.json``) and an append-only line for every finished match.

A host may die at any byte: the torn last line is cut off when the folder is next opened. A match counts once by its id,
and one that was void is played again. The lock is the kernel's (flock), so it ends with the process that holds it.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from types import TracebackType

from marl_llm.errors import UserError
from tournaments.formats import Tournament
from tournaments.results import Result

SETTINGS, RESULTS, LOCK = "tournament.json", "results.jsonl", "lock"


class Store:
    """Results by match id, kept in ``folder`` (in memory alone if there is none). Use it in a ``with`` statement.

    Raises UserError where another host is at work, where the folder holds another tournament, or this one without ``resume``.
    """

    def __init__(self, tournament: Tournament, folder: Path | None, *, resume: bool = False) -> None:
        self.tournament, self.folder, self.resume = tournament, folder, resume
        self.results: dict[int, Result] = {}

    def __enter__(self) -> Store:
        if self.folder is None:
            return self
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = (self.folder / LOCK).open("a+")
        except OSError as error:
            raise UserError(f"cannot write to --out {self.folder}: {error.strerror}") from error
        try:
            self._take_lock(self.folder)
            self._check_settings(self.folder)
            self._file = (self.folder / RESULTS).open("a+b")
            self._read()
        except BaseException:
            self._lock.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.folder is not None:
            self._file.close()
            if error is not None and not self.results:  # refused before the first match ended: leave nothing half-written
                (self.folder / RESULTS).unlink()
                (self.folder / SETTINGS).unlink()
            self._lock.close()

    def finished(self, match: int) -> bool:
        """Whether a match has a result that stands."""
        return match in self.results and self.results[match].end != "void"

    def append(self, results: Iterable[Result]) -> None:
        """Add finished matches; when this returns they are on disk."""
        results = list(results)
        self._count(results)
        if self.folder is not None:
            self._file.write("".join(f"{result.line()}\n" for result in results).encode())
            self._file.flush()
            os.fsync(self._file.fileno())

    def _count(self, results: Iterable[Result]) -> None:
        for result in results:
            if not self.finished(result.id):
                self.results[result.id] = result

    def _take_lock(self, folder: Path) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.seek(0)
            holder = self._lock.read().strip() or "unknown"
            raise UserError(f"--out {folder} is in use by another host, process {holder}; wait for it or choose another folder") from error
        self._lock.truncate(0)
        self._lock.write(str(os.getpid()))
        self._lock.flush()

    def _check_settings(self, folder: Path) -> None:
        settings = folder / SETTINGS
        mine = json.loads(json.dumps(asdict(self.tournament)))
        if settings.exists():
            theirs = json.loads(settings.read_text())
            other = [name for name in mine if name != "rounds" and theirs.get(name) != mine[name]]
            if other:
                name = other[0]
                was, now = theirs.get(name), mine[name]
                raise UserError(f"--out {folder} holds another tournament: its {name} is {was!r}, not {now!r}; choose another folder")
            if not self.resume:
                raise UserError(f"--out {folder} holds this tournament already; add --resume to go on, or choose another folder")
            if theirs["rounds"] > mine["rounds"]:
                raise UserError(
                    f"--rounds is {mine['rounds']}, and --out {folder} was begun with {theirs['rounds']}; give at least as many"
                )
        elif any(path.name != LOCK for path in folder.iterdir()):
            raise UserError(f"--out {folder} is not empty and holds no tournament; choose another folder")
        aside = folder / f"{SETTINGS}.new"
        aside.write_text(json.dumps(mine, indent=1) + "\n")
        os.replace(aside, settings)

    def _read(self) -> None:
        self._file.seek(0)
        whole, number = 0, 0
        for number, line in enumerate(self._file, start=1):
            if not line.endswith(b"\n"):
                break
            try:
                self._count([Result.parse(line)])
            except (ValueError, KeyError, TypeError) as error:
                raise UserError(f"{self._file.name} line {number} is not a result; remove the line and resume") from error
            whole += len(line)
        self._file.truncate(whole)
