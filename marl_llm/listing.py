"""What there is, by name: ``marl-llm games``, ``agents`` and ``algorithms``. Listing imports none of it; showing one does."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from inspect import getdoc
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table

from marl_llm import registry
from marl_llm.catalogue import Entry, catalogue
from marl_llm.config import dump, parse


@dataclass(frozen=True)
class Settings:
    name: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")] = None
    """the one to show; without it, all are listed"""
    json: bool = False
    """print one JSON object"""


def games(argv: Sequence[str]) -> int:
    """List the games, or show one's facts and rules."""
    settings = parse(Settings(), argv, prog="marl-llm games", description="List games, or show one.")
    if settings.name is None:
        return listed("games", settings.json)
    game = registry.game(settings.name)
    info = game.info
    facts: dict[str, Any] = {
        "spec": game.spec,
        "seats": info.seats,
        "utility": info.utility,
        "returns": list(info.returns),
        "actions": str(info.action),
        "max_decisions": info.max_decisions,
        "simultaneous": info.simultaneous,
        "perfect_information": info.perfect_information,
        "key": info.key_kind,
        "vector": None if info.vector is None else list(info.vector),
        "rules": game.rules(0),
    }
    return shown(facts, settings.json)


def agents(argv: Sequence[str]) -> int:
    """List the agents, or show one's entry."""
    settings = parse(Settings(), argv, prog="marl-llm agents", description="List agents, or show one.")
    if settings.name is None:
        return listed("agents", settings.json)
    entry = catalogue()["agents"].get(settings.name.partition(":")[0])
    if entry is None:
        agent = registry.agent(settings.name)
        return shown({"agent": settings.name, "class": type(agent).__name__}, settings.json)
    return shown({**_facts(entry), "about": getdoc(registry.load(entry, "agent")) or ""}, settings.json)


def algorithms(argv: Sequence[str]) -> int:
    """List the algorithms, or show one's settings."""
    settings = parse(Settings(), argv, prog="marl-llm algorithms", description="List algorithms, or show one.")
    if settings.name is None:
        return listed("algorithms", settings.json)
    recipe = registry.recipe(settings.name)
    return shown({"algorithm": settings.name, "about": getdoc(type(recipe)) or "", "settings": dump(recipe).rstrip()}, settings.json)


def listed(section: str, as_json: bool) -> int:
    """Print a section of the catalogues."""
    entries = catalogue()[section].values()
    if as_json:
        print(json.dumps({section: [_facts(entry) for entry in entries]}))
    elif sys.stdout.isatty():
        table = Table(box=None, header_style="bold")
        for column in ("name", "what it is", "needs"):
            table.add_column(column)
        for entry in entries:
            table.add_row(entry.name, entry.summary, entry.extra or "")
        Console().print(table)
    else:
        for entry in entries:
            print(entry.name, entry.summary, entry.extra or "", sep="\t")
    return 0


def shown(facts: dict[str, Any], as_json: bool) -> int:
    """Print facts about one thing."""
    if as_json:
        print(json.dumps(facts))
        return 0
    width = max(map(len, facts))
    for name, value in facts.items():
        first, *rest = str(value).splitlines() or [""]
        print(f"{name:<{width}}  {first}", *(f"{'':<{width}}  {line}" for line in rest), sep="\n")
    return 0


def _facts(entry: Entry) -> dict[str, Any]:
    return {"name": entry.name, "summary": entry.summary, "target": entry.target, "extra": entry.extra, "from": entry.distribution}
