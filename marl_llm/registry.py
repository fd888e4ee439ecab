"""From names to things: games, agents and recipes, out of the installed catalogues, an importable module, or a file.

game("kuhn_poker")   game("leduc_poker(players=3)")   game("openspiel:liars_dice")   game("my.module:Nim(piles=2)")   game("nim.py:Nim")
agent("random")      agent("mcts:100")                agent("checkpoint:runs/demo")  agent("my.module:choose")
recipe("mars")       recipe("my.module:recipe")
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Callable
from dataclasses import is_dataclass
from hashlib import sha256
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from marl_llm.agent import Agent
from marl_llm.algorithm import Recipe
from marl_llm.catalogue import Entry, catalogue, lookup
from marl_llm.errors import MissingExtra, UserError, unknown
from marl_llm.game import Game, Spec

_FILE = re.compile(r"(?P<file>.+\.py):(?P<attribute>[A-Za-z_][\w.]*)")
_SPEC = re.compile(r"""(?P<name>[^"']*\.py:[^()]*|[^()]+)(\((?P<parameters>.*)\))?""", re.DOTALL)
_GAMES: dict[Spec, Game] = {}


def game(spec: Spec) -> Game:
    """The game of ``spec``; equal specs give the same object. Its ``spec`` names it in any other process.

    Raises UserError with one line for an unknown name (the nearest ones), a missing extra (the pip line), parameters that
    the game does not take, and a file or module that cannot be imported.
    """
    made = _GAMES.get(spec)
    if made is None:
        name, parameters = _split(spec)
        if file := _FILE.fullmatch(name):
            name = f"{Path(file['file']).resolve()}:{file['attribute']}"
        full = name if parameters is None else f"{name}({parameters})"
        made = _GAMES[spec] = _GAMES.setdefault(full, _GAMES.get(full) or _build(full, name, parameters))
        made.spec = full
    return made


def agent(name: str) -> Agent:
    """The agent of ``name``: an installed one, with its argument after the first colon, or ``module:callable``."""
    head, colon, argument = name.partition(":")
    entries = catalogue()["agents"]
    if head in entries:
        target = load(entries[head], "agent")
        if _parameters(target):
            return target(argument if colon else None)
        if colon:
            raise UserError(f"agent {name!r}: {head} takes no argument; write {head!r}")
        return target()
    if colon and head and (_FILE.fullmatch(name) or find_spec(head.split(".")[0])):
        from marl_llm.agents.callable import agent_of

        return agent_of(attribute(name), name)
    raise unknown("agent", name, [*entries, *(f"{entry}:{argument}" for entry in entries if colon)])


def recipe(name: str) -> Recipe:
    """The recipe of ``name``, as its author set it; configuration re-numbers a copy."""
    entries = catalogue()["algorithms"]
    if name not in entries and ":" not in name:
        raise unknown("algorithm", name, entries)
    target = load(entries[name], "algorithm") if name in entries else attribute(name)
    made: Any = target() if isinstance(target, type) else target
    if not is_dataclass(made) or not hasattr(made, "build"):
        raise UserError(f"algorithm {name!r} is a {type(made).__name__}; expected a recipe: a dataclass with build(setup)")
    return cast(Recipe, made)


def load(entry: Entry, kind: str) -> Any:
    """The target of a catalogue entry; MissingExtra where a package of its extra is not installed."""
    try:
        return attribute(entry.target)
    except _NotInstalled as error:
        if entry.extra is None:
            raise
        raise MissingExtra(f"{kind} {entry.name!r}", entry.extra, entry.distribution) from error


def attribute(reference: str) -> Any:
    """What ``module:attribute`` or ``path/to/file.py:attribute`` names."""
    place, _, name = reference.rpartition(":")
    try:
        value: Any = _file_module(Path(place).resolve()) if place.endswith(".py") else import_module(place)
    except (Exception, SystemExit) as error:  # importing somebody's code may do anything
        if isinstance(error, UserError):
            raise
        what = f"cannot import {place}: {type(error).__name__}: {error}"
        if isinstance(error, ModuleNotFoundError):
            own = bool(error.name) and f"{place}.".startswith(f"{error.name}.")
            fix = "check the name, or run where Python finds it" if own else f"install {error.name}"
            raise (UserError if own else _NotInstalled)(f"{what}; {fix}") from error
        raise UserError(what) from error
    for part in name.split("."):
        try:
            value = getattr(value, part)
        except AttributeError:
            raise unknown(f"name in {place}", name, [known for known in vars(value) if not known.startswith("_")]) from None
    return value


def file_hash(spec: Spec) -> str | None:
    """SHA-256 of the file that a spec by path names, to record with a run; None for any other spec."""
    file = _FILE.fullmatch(_split(spec)[0])
    return sha256(Path(file["file"]).read_bytes()).hexdigest() if file else None


class _NotInstalled(UserError):
    """A module that the imported code needs is missing."""


def _split(spec: Spec) -> tuple[str, str | None]:
    match = _SPEC.fullmatch(spec.strip())
    if not match:
        raise UserError(f"game {spec!r} cannot be read; expected NAME, NAME(key=value, ...), module:Class or path/to/file.py:Class")
    return match["name"].strip(), match["parameters"]


def _build(spec: Spec, name: str, parameters: str | None) -> Game:
    entries = catalogue()["games"]
    head, colon, rest = name.partition(":")
    if name in entries or head in entries:
        entry = lookup("games", name if name in entries else head)
        target = load(entry, "game")
        string = rest if colon else entry.argument
        made = _call(spec, target, parameters) if string is None else _made(spec, target, _appended(string, parameters))
    elif not colon:
        raise unknown("game", name, entries)
    else:
        made = _call(spec, attribute(name), parameters)
    if not isinstance(made, Game):
        raise UserError(f"game {spec!r} is a {type(made).__name__}; expected a marl_llm.game.Game")
    return made


def _appended(argument: str, parameters: str | None) -> str:
    if parameters is None:
        return argument
    return f"{argument[:-1]},{parameters})" if argument.endswith(")") else f"{argument}({parameters})"


def _call(spec: Spec, target: Callable[..., Any], parameters: str | None) -> Any:
    try:
        call = ast.parse(f"f({parameters or ''})", mode="eval").body
        if not isinstance(call, ast.Call) or call.args:
            raise ValueError("a value without a name")
        values = {word.arg or "**": _value(word.value) for word in call.keywords}
    except (SyntaxError, ValueError) as error:
        raise UserError(f"game {spec!r}: cannot read ({parameters}); expected key=value, separated by commas") from error
    try:
        inspect.signature(target).bind(**values)
    except TypeError as error:
        takes = ", ".join(_parameters(target)) or "none"
        raise UserError(f"game {spec!r}: {error}; parameters: {takes}") from error
    return _made(spec, target, **values)


def _made(spec: Spec, target: Callable[..., Any], *arguments: Any, **values: Any) -> Any:
    try:
        return target(*arguments, **values)
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # a game's own fault is its user's to read, in one line
        raise UserError(f"game {spec!r} cannot be made: {type(error).__name__}: {' '.join(str(error).split())}") from error


def _value(node: ast.expr) -> Any:
    return node.id if isinstance(node, ast.Name) else ast.literal_eval(node)


def _parameters(target: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(target).parameters)


def _file_module(path: Path) -> ModuleType:
    """The module of a file, executed once as long as its text stays the same."""
    if not path.is_file():
        raise UserError(f"there is no file {path}; expected path/to/file.py:Name")
    name = f"file_{sha256(str(path).encode() + path.read_bytes()).hexdigest()[:16]}"
    if name not in sys.modules:
        spec = spec_from_file_location(name, path)
        assert spec is not None  # for a .py file there is always one, with a loader
        assert spec.loader is not None
        module = sys.modules[name] = module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]
