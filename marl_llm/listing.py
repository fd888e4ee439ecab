"""What there is, by name: ``marl-llm games``, ``agents`` and ``algorithms``; a list of everything, or one in full."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from inspect import getdoc
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table

from marl_llm import registry
from marl_llm.algorithm import Recipe
from marl_llm.catalogue import Entry, catalogue
from marl_llm.config import dump, parse
from marl_llm.errors import UserError
from marl_llm.game import Discrete, GameInfo
from marl_llm.papers import papers


@dataclass(frozen=True)
class Settings:
    name: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")] = None
    """the one to show; without it, all are listed"""
    json: bool = False
    """print one JSON object"""


@dataclass(frozen=True)
class AlgorithmSettings(Settings):
    papers: bool = False
    """list the papers behind the algorithms, or behind the one named, and those left out with the reason"""


def games(argv: Sequence[str]) -> int:
    """List the games, those of one family, or show one's facts and rules."""
    settings = parse(Settings(), argv, prog="marl-llm games", description="List games, the games of a family, or show one.")
    family = catalogue()["games"].get(settings.name or "")
    if settings.name is None:
        rows = [_installed(entry) for entry in catalogue()["games"].values()]
        return listed("games", rows, settings.json, GAMES | ENTRIES)
    if family and family.members:
        return listed("games", list(_members(family, family.members)), settings.json, GAMES | REFUSED)
    game = registry.game(settings.name)
    return shown({"spec": game.spec, **_info(game.info), "rules": game.rules(0)}, settings.json)


def agents(argv: Sequence[str]) -> int:
    """List the agents, or show one's entry."""
    settings = parse(Settings(), argv, prog="marl-llm agents", description="List agents, or show one.")
    entries = catalogue()["agents"]
    if settings.name is None:
        return listed("agents", map(_facts, entries.values()), settings.json, ENTRIES)
    entry = entries.get(settings.name.partition(":")[0])
    if entry is None:
        agent = registry.agent(settings.name)
        return shown({"agent": settings.name, "class": type(agent).__name__}, settings.json)
    return shown({**_facts(entry), "about": getdoc(registry.load(entry, "agent")) or ""}, settings.json)


def algorithms(argv: Sequence[str]) -> int:
    """List the algorithms or the papers behind them, or show one's settings."""
    settings = parse(AlgorithmSettings(), argv, prog="marl-llm algorithms", description="List algorithms or papers, or show one.")
    if settings.papers:
        rows = [asdict(paper) for paper in papers() if settings.name is None or settings.name in paper.here]
        return listed("papers", rows, settings.json, PAPERS)
    if settings.name is None:
        return listed("algorithms", map(_facts, catalogue()["algorithms"].values()), settings.json, ENTRIES)
    recipe = registry.recipe(settings.name)
    return shown({"algorithm": settings.name, "about": _about(settings.name, recipe), "settings": dump(recipe).rstrip()}, settings.json)


Facts = dict[str, Any]
Columns = dict[str, Callable[[Facts], Any]]

ENTRIES: Columns = {"name": lambda row: row["name"], "what it is": lambda row: row["summary"], "needs": lambda row: row["extra"]}
GAMES: Columns = {
    "name": lambda row: row["name"],
    "seats": lambda row: row.get("seats"),
    "kind": lambda row: _kind(row) if "seats" in row else None,
    "actions": lambda row: row.get("actions"),
    "decisions": lambda row: row.get("max_decisions"),
    "views": lambda row: _views(row) if "seats" in row else None,
}
PAPERS: Columns = {
    "paper": lambda row: row["paper"],
    "arXiv": lambda row: row["arxiv"],
    "here": lambda row: ", ".join(row["here"]) or f"left out: {row['left_out']}",
}
REFUSED: Columns = {"refused": lambda row: row.get("refused")}


def listed(section: str, rows: Iterable[Facts], as_json: bool, columns: Columns) -> int:
    """Print rows of facts: all facts as JSON, else the columns."""
    rows = list(rows)
    if as_json:
        print(json.dumps({section: rows}))
        return 0
    cells = [["" if (value := read(row)) is None else str(value) for read in columns.values()] for row in rows]
    if sys.stdout.isatty():
        table = Table(*columns, box=None, header_style="bold")
        for line in cells:
            table.add_row(*line)
        Console().print(table)
    else:
        for line in cells:
            print(*line, sep="\t")
    return 0


def shown(facts: Facts, as_json: bool) -> int:
    """Print facts about one thing."""
    if as_json:
        print(json.dumps(facts))
        return 0
    width = max(map(len, facts))
    for name, value in facts.items():
        first, *rest = str(value).splitlines() or [""]
        print(f"{name:<{width}}  {first}", *(f"{'':<{width}}  {line}" for line in rest), sep="\n")
    return 0


def _facts(entry: Entry) -> Facts:
    return {"name": entry.name, "summary": entry.summary, "target": entry.target, "extra": entry.extra, "from": entry.distribution}


def _about(name: str, recipe: Recipe) -> str:
    """What the module says in which an installed algorithm stands, with its paper and equations; else what its class says."""
    entry = catalogue()["algorithms"].get(name)
    return getdoc(import_module(entry.target.partition(":")[0]) if entry else type(recipe)) or ""


def _installed(entry: Entry) -> Facts:
    """A catalogue's game with what its info tells, unless it is a family or cannot be made here."""
    try:
        return _facts(entry) | ({} if entry.members else _info(registry.game(entry.name).info))
    except UserError:  # the list names the extra that is missing; showing the game tells all
        return _facts(entry)


def _members(family: Entry, members: str) -> Iterator[Facts]:
    for name, found in registry.load(replace(family, target=members), "game")():
        facts = {"refused": str(found)} if isinstance(found, UserError) else _info(found.info)
        yield {"name": f"{family.name}:{name}", **facts}


def _info(info: GameInfo) -> Facts:
    return {
        "seats": info.seats,
        "utility": info.utility,
        "returns": list(info.returns),
        "actions": info.action.n if isinstance(info.action, Discrete) else str(info.action),
        "message": None if info.message is None else str(info.message),
        "max_decisions": info.max_decisions,
        "simultaneous": info.simultaneous,
        "perfect_information": info.perfect_information,
        "anonymous": info.anonymous,
        "key": info.key_kind,
        "vector": None if info.vector is None else list(info.vector),
    }


def _kind(row: Facts) -> str:
    moves = "simultaneous" if row["simultaneous"] else "sequential"
    seen = "perfect" if row["perfect_information"] else "imperfect"
    more = [word for word, holds in (("population", row["anonymous"]), ("talk", row["message"])) if holds]
    return ", ".join([moves, f"{seen} information", row["utility"].replace("_", "-"), *more])


def _views(row: Facts) -> str:
    vector = "" if row["vector"] is None else f", vector {'x'.join(map(str, row['vector']))}"
    return f"text{vector}, key by {row['key']}"
