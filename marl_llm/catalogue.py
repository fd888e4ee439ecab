"""What is installed, by name: every package declares one entry point that points to a text file, and reading it imports nothing.

The entry point's group is ``marl_llm.catalogue`` and its value ``package:file.yaml``. The file has the sections below, each
a mapping of names to ``{target: "module:attribute", summary: ..., extra: ..., argument: ..., members: ...}``; only ``target`` is needed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from marl_llm.errors import UserError, unknown

GROUP = "marl_llm.catalogue"
OURS = "marl-llm"
SECTIONS = ("games", "agents", "algorithms", "commands", "loaders")


@dataclass(frozen=True)
class Entry:
    """One name. ``extra`` is the optional dependency its target needs. A game with an ``argument`` is built from that string.
    A name for a whole family of games, ``NAME:GAME``, may have ``members``, the ``module:function`` that yields every
    (GAME, Game or UserError)."""

    name: str
    target: str
    summary: str = ""
    extra: str | None = None
    argument: str | None = None
    members: str | None = None
    distribution: str = field(default=OURS, kw_only=True)


@cache
def catalogue() -> Mapping[str, Mapping[str, Entry]]:
    """All installed names by section; UserError for a catalogue that is malformed or shadowed by another package, and for ours
    where it is missing (another's is passed over with a warning)."""
    found: dict[str, dict[str, Entry]] = {section: {} for section in SECTIONS}
    for path, distribution in files().items():
        for section, entry in _entries(path, distribution):
            other = found[section].setdefault(entry.name, entry)
            if other is not entry:
                raise UserError(
                    f"{section[:-1]} {entry.name!r} is declared by {other.distribution} and again by {entry.distribution} ({path}); "
                    "uninstall one of them"
                )
    return found


def files() -> Mapping[Path, str]:
    """Every installed catalogue's file, and the distribution that declares it; UserError where there is none."""
    points = entry_points(group=GROUP)
    if not points:
        raise UserError("marl-llm is not installed, so nothing has a name; run: pip install -e . in its folder, or pip install marl-llm")
    found: dict[Path, str] = {}
    for point in points:
        path = _file(point)
        if path is not None:
            found.setdefault(path, point.dist.name if point.dist else "?")
    return found


def lookup(section: str, name: str) -> Entry:
    """The entry of ``name``; UserError with the nearest names."""
    entries = catalogue()[section]
    if name not in entries:
        raise unknown(section[:-1], name, entries)
    return entries[name]


def _file(point: EntryPoint) -> Path | None:
    """The catalogue's file, found without importing its package; the first, where a folder that one stands in has another."""
    package, _, file = point.value.partition(":")
    top, *rest = package.split(".")
    spec = find_spec(top)
    folders = [Path(folder) for folder in (spec.submodule_search_locations or [])] if spec else []
    found = next((path for path in (folder.joinpath(*rest, file).resolve() for folder in folders) if path.is_file()), None)
    if found is None:
        owner = point.dist.name if point.dist else "?"
        if spec and spec.origin:
            raise UserError(
                f"{Path(spec.origin).parent} is a package named {top!r} that hides the one of {owner}; "
                "rename that folder, or delete its __init__.py so that both can be used"
            )
        message = f"{owner} declares the catalogue {point.value}, and there is no such file; reinstall or uninstall {owner}"
        if owner == OURS:
            raise UserError(message)
        logging.getLogger("marl_llm").warning("passed over: %s", message)  # somebody's plug-in must not stop the rest
    return found


def _entries(path: Path, distribution: str) -> Iterator[tuple[str, Entry]]:
    try:
        text = yaml.safe_load(path.read_text()) or {}
    except yaml.YAMLError as error:
        raise UserError(f"catalogue {path} of {distribution} is not YAML: {' '.join(str(error).split())}") from error
    known = {f.name for f in fields(Entry)} - {"name", "distribution"}
    for section, names in _mapping(text, f"catalogue {path}").items():
        if section not in SECTIONS:
            raise unknown(f"section of catalogue {path}", str(section), SECTIONS)
        for name, values in _mapping(names or {}, f"{section} in catalogue {path}").items():
            where = f"{section}: {name} in catalogue {path}"
            for key in _mapping(values, where):
                if key not in known:
                    raise unknown(f"key of {where}", str(key), known)
            if ":" not in str(values.get("target")):
                raise UserError(f"{where} has target {values.get('target')!r}; expected 'module:attribute'")
            yield section, Entry(str(name), **values, distribution=distribution)


def _mapping(value: Any, where: str) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise UserError(f"{where} is {value!r}; expected a mapping")
    return value
