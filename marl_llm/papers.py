"""Published work and where it is here: the ``papers.yaml`` beside a package's catalogue, a list of

{paper: NAME, arxiv: "2402.03300", here: [names of algorithms or games]}      or      {paper: NAME, arxiv: ..., left_out: REASON}
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from marl_llm.catalogue import files
from marl_llm.errors import UserError, unknown

FILE = "papers.yaml"


@dataclass(frozen=True, kw_only=True)
class Paper:
    """One entry: what is ``here`` of it, or why it is ``left_out``. ``arxiv`` is None for work that is not there."""

    paper: str
    arxiv: str | None = None
    here: tuple[str, ...] = ()
    left_out: str = ""


def papers() -> list[Paper]:
    """Those of all installed packages; UserError for an entry that is malformed, or says neither where nor why not."""
    return [_paper(entry, path) for catalogue in files() for path in [catalogue.with_name(FILE)] if path.exists() for entry in _list(path)]


def _list(path: Path) -> list[Any]:
    try:
        entries = yaml.safe_load(path.read_text()) or []
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(entries, list):
        raise UserError(f"{path} is a {type(entries).__name__}; expected a list of papers")
    return entries


def _paper(entry: Any, path: Path) -> Paper:
    known = [field.name for field in fields(Paper)]
    if not isinstance(entry, dict) or "paper" not in entry:
        raise UserError(f"{path} has the entry {entry!r}; expected a mapping with a paper, and here or left_out")
    for key in entry:
        if key not in known:
            raise unknown(f"key of {entry['paper']!r} in {path}", str(key), known)
    if bool(entry.get("here")) == bool(entry.get("left_out")):
        raise UserError(
            f"{entry['paper']!r} in {path} must say where it is, here: [NAME], or why it is not, left_out: REASON; one of the two"
        )
    arxiv = entry.get("arxiv")
    if arxiv is not None and not isinstance(arxiv, str):
        raise UserError(f"{entry['paper']!r} in {path} has arxiv {arxiv!r}; quote it, for a number loses zeros")
    return Paper(**{**entry, "here": tuple(entry.get("here", ()))})
