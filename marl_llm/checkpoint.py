"""Folders that are either whole or absent: written aside, synced, marked with the hash of every file, then renamed.

A run's checkpoints stand in ``RUN/checkpoints/STEP``. Files are JSON and safetensors (or a model's own); nothing here
reads or writes pickle.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from hashlib import file_digest
from pathlib import Path
from typing import Any, Literal

import numpy as np

from marl_llm.errors import MissingExtra, UserError

MARKER = "complete.json"
FORMAT = 1
_ASIDE = ".partial"


class Damaged(UserError):
    """A checkpoint is not what was written; the message names the file."""


def write(folder: Path, fill: Callable[[Path], None]) -> Path:
    """Make ``folder`` with what ``fill`` puts into it, or leave everything as it was. An older folder of the name is replaced."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(f".*{_ASIDE}"):  # of a run that was killed
        shutil.rmtree(left)
    aside, old = (folder.parent / f".{folder.name}{end}{_ASIDE}" for end in ("", ".old"))
    aside.mkdir()
    try:
        fill(aside)
        files = {path.relative_to(aside).as_posix(): _seal(path) for path in _files(aside)}
        save_json(aside / MARKER, {"format": FORMAT, "files": files})
        _sync(aside / MARKER)
        _sync(aside)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    if folder.exists():
        folder.rename(old)
    aside.rename(folder)
    _sync(folder.parent)
    shutil.rmtree(old, ignore_errors=True)
    return folder


def verify(folder: Path) -> None:
    """Raise ``Damaged`` unless every file is the one that was written."""
    if not folder.is_dir():
        raise Damaged(f"there is no checkpoint {folder}")
    try:
        marker = load_json(folder / MARKER)
        files = dict(marker["files"])
    except (OSError, ValueError, KeyError, TypeError, UserError) as error:
        raise Damaged(f"checkpoint {folder} was never finished, or lost its {MARKER}") from error
    if marker.get("format") != FORMAT:
        raise Damaged(f"checkpoint {folder} has format {marker.get('format')!r}; this version reads {FORMAT}")
    for name, known in files.items():
        path = folder / name
        if not path.is_file():
            raise Damaged(f"checkpoint {folder}: {name} is missing")
        if path.stat().st_size != known["bytes"]:
            raise Damaged(f"checkpoint {folder}: {name} has {path.stat().st_size} bytes, and {known['bytes']} were written")
        if _hash(path) != known["sha256"]:
            raise Damaged(f"checkpoint {folder}: {name} was altered after it was written")


def path_of(run: Path, step: int) -> Path:
    """Where the checkpoint of ``step`` stands."""
    return run / "checkpoints" / f"{step:06d}"


def steps(run: Path) -> list[int]:
    """Steps of a run's checkpoints, good or bad, in order."""
    return sorted(int(path.name) for path in (run / "checkpoints").glob("[0-9]*") if path.name.isdigit())


def at(run: Path, step: int) -> Path:
    """The verified checkpoint of ``step``."""
    if step not in steps(run):
        raise UserError(f"run {run} has no checkpoint of step {step}; it has {', '.join(map(str, steps(run))) or 'none'}")
    verify(path_of(run, step))
    return path_of(run, step)


def newest(run: Path, report: Callable[[str], None] = lambda line: print(line, file=sys.stderr)) -> Path:
    """The newest checkpoint that is whole; ``report`` gets a line about refused ones and the one offered instead."""
    refused = []
    for step in reversed(steps(run)):
        folder = path_of(run, step)
        try:
            verify(folder)
        except Damaged as damage:
            refused.append(str(damage))
            continue
        if refused:
            report(f"refused: {'; '.join(refused)}. Taking {folder}, the newest good one")
        return folder
    if refused:
        raise UserError(f"run {run} has no good checkpoint: {'; '.join(refused)}")
    raise UserError(f"run {run} has no checkpoint; expected a folder that marl-llm train wrote")


def keep(run: Path, count: int) -> None:
    """Remove all but the first checkpoint, which is the yardstick, and the newest ``count``."""
    for step in steps(run)[1:][:-count]:
        shutil.rmtree(path_of(run, step))


def save_json(path: Path, value: Any) -> None:
    """Write ``value`` as JSON."""
    path.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n")


def load_json(path: Path) -> Any:
    """Read a JSON file; UserError names one that is not JSON."""
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}") from error


def save_tensors(path: Path, tensors: Mapping[str, Any]) -> None:
    """Write torch tensors, or numpy arrays, by name (.safetensors)."""
    torch = sys.modules.get("torch")
    try:
        if torch and any(isinstance(value, torch.Tensor) for value in tensors.values()):
            from safetensors.torch import save_file as save_torch

            save_torch({name: torch.as_tensor(value).detach().contiguous().clone() for name, value in tensors.items()}, path)
        else:
            from safetensors.numpy import save_file as save_numpy

            save_numpy({name: np.ascontiguousarray(value) for name, value in tensors.items()}, path)
    except ImportError as error:
        raise MissingExtra("saving tensors", "llm") from error


def load_tensors(path: Path, framework: Literal["torch", "numpy"] = "torch") -> dict[str, Any]:
    """Tensors that ``save_tensors`` wrote, on the CPU, as torch tensors or numpy arrays."""
    try:
        from safetensors import safe_open
    except ImportError as error:
        raise MissingExtra("reading tensors", "llm") from error
    with safe_open(path, framework={"torch": "pt", "numpy": "np"}[framework]) as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _seal(path: Path) -> dict[str, Any]:
    _sync(path)
    return {"bytes": path.stat().st_size, "sha256": _hash(path)}


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    """Put a file, or a folder's entries, on the disk; without it a rename may survive a power cut and the data not."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
