"""Recipes beside each other: the same games, the same number of matches, several seeds, and an interval on every figure.

A cell is one recipe with its flags on one game with one seed. Its figures are written when it is done, so an interrupted
comparison goes on where it stopped, and more seeds can be added later.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from marl_llm import checkpoint, config, curves, intervals, registry
from marl_llm.agents.pool import AgentPool
from marl_llm.algorithm import Algorithm, Recipe, Setup
from marl_llm.anchors import meet, scored
from marl_llm.errors import MissingExtra, UserError
from marl_llm.evaluate import Truth, truth_of
from marl_llm.game import Game
from marl_llm.interrupt import interruptible
from marl_llm.iteration import played
from marl_llm.league import League
from marl_llm.matches import self_play
from marl_llm.play import play
from marl_llm.progress import progress
from marl_llm.records import Batch

SCORED = 512
"""Self-play matches that a trained agent's return is measured on, on deals of their own."""
POINTS = 20
"""Measurements along a learning curve, besides the first."""
MET = 50
"""Deals against a random player at each, where nothing exact is known."""
SCORING = 1 << 40
"""Seed of these deals."""


@dataclass(frozen=True)
class Comparison:
    """Settings of ``marl-llm compare RECIPE...``; a recipe with flags is quoted: 'mars --credit.baseline seat'."""

    game: tuple[str, ...] = ()
    """One or more games; every recipe learns each alone."""
    model: str | None = None
    """What ``train --model`` takes."""
    seeds: int = 5
    first_seed: int = 0
    matches: int = 65536
    """Matches that each cell learns from."""
    in_flight: int = 4096
    out: Path = Path("runs/compare")
    """Where the cells' figures are kept, and curves.png, the learning curves."""
    json: bool = False
    """Print one JSON object as the last line."""


@dataclass(frozen=True)
class Cell:
    """One training run to be."""

    recipe: str
    game: str
    seed: int

    def file(self, settings: Comparison) -> Path:
        """Where its figures are kept: a name for what decides them."""
        told = json.dumps([self.recipe, self.game, self.seed, settings.model, settings.matches, POINTS])
        return settings.out / f"{blake2b(told.encode(), digest_size=8).hexdigest()}.json"


def recipe_of(told: str) -> Recipe:
    """The recipe that a quoted argument means."""
    name, *flags = shlex.split(told)
    recipe = registry.recipe(name)
    return config.parse(recipe, flags, prog=f"marl-llm compare '{name} ...'", description="Settings of a recipe.") if flags else recipe


def run(cell: Cell, settings: Comparison) -> dict[str, Any] | None:
    """Train one cell; its figures, or None if it was interrupted."""
    with TemporaryDirectory() as folder:
        return _run(cell, settings, Path(folder))


def _run(cell: Cell, settings: Comparison, folder: Path) -> dict[str, Any] | None:
    """``folder`` is for past policies, where the recipe plays against them."""
    recipe, began = recipe_of(cell.recipe), perf_counter()
    league = League(folder, lambda player, into: algorithm.save_past(player, into))
    algorithm: Algorithm = recipe.build(Setup((cell.game,), registry.game, settings.model, cell.seed, league=league))
    player, agent = next(iter(algorithm.agents.items()))
    game = registry.game(cell.game)
    pool, truth, done, step = AgentPool(algorithm.agents, league.members), truth_of(game, agent), 0, 0
    curve: list[dict[str, float]] = []
    measured_s, due = 0.0, 0.0
    with progress(settings.matches, f"{cell.recipe} on {cell.game}, seed {cell.seed}") as bar, interruptible() as stopped:
        while True:
            if done >= min(due, settings.matches):
                now = perf_counter()
                curve.append({"matches": done, "seconds": now - began - measured_s, **point(algorithm, player, game, truth)})
                measured_s += perf_counter() - now
                due = done + settings.matches / POINTS
            if done >= settings.matches:
                break
            if truth:
                truth.observe(agent, step)
            batch = played(algorithm, step, pool, registry.game, in_flight=settings.in_flight, stop=stopped)
            if stopped():
                return None
            league.observe(batch)
            algorithm.learn(batch)
            done, step = done + len(batch), step + 1
            bar.advance(len(batch))
    figures = truth.measure(agent) if truth else {}
    figures["return"] = score(algorithm, player, cell.game)
    told = {"recipe": cell.recipe, "game": cell.game, "seed": cell.seed, "matches": done, "seconds": perf_counter() - began}
    return {**told, **figures, "curve": curve}


def point(algorithm: Algorithm, player: str, game: Game, truth: Truth | None) -> dict[str, float]:
    """The figure of a learning curve now: a team's return, else exploitability where it is exact, else the return against random play."""
    agent = algorithm.agents[player]
    if game.info.utility == "team":
        return {"return": score(algorithm, player, game.spec)}
    if truth:
        return {"exploitability": truth.measure(agent)["exploitability"]}
    return {"return against random": scored(game, meet(game, agent, registry.agent("random"), MET, SCORING)).gain.mean}


def score(algorithm: Algorithm, player: str, game: str) -> float:
    """Mean return of a seat in self-play."""
    matches = self_play(game, player, registry.game(game).info.seats, SCORED, SCORING)
    batch = Batch.concat(play(matches, AgentPool(algorithm.agents), registry.game, keys=False))
    return float(batch["seat.return"].mean())


def table(cells: Sequence[Mapping[str, Any]], recipes: Sequence[str]) -> Iterator[dict[str, Any]]:
    """One row a game, recipe and figure: its mean over seeds, and that of its difference from the first recipe, seed by seed."""
    for game in dict.fromkeys(cell["game"] for cell in cells):
        by = {recipe: {cell["seed"]: cell for cell in cells if (cell["game"], cell["recipe"]) == (game, recipe)} for recipe in recipes}
        for recipe in recipes:
            for figure in ("exploitability", "exploitability_average", "return"):
                seeds = [seed for seed, cell in by[recipe].items() if figure in cell and seed in by[recipes[0]]]
                if seeds:
                    values = np.asarray([by[recipe][seed][figure] for seed in seeds])
                    first = np.asarray([by[recipes[0]][seed][figure] for seed in seeds])
                    told = {"mean": intervals.mean(values), "difference": intervals.mean(values - first)}
                    yield {"game": game, "recipe": recipe, "figure": figure, "seeds": len(seeds), **told}


def main(argv: Sequence[str]) -> int:
    """``marl-llm compare RECIPE... --game G --seeds N``."""
    at = next((i for i, word in enumerate(argv) if word.startswith("-")), len(argv))
    recipes, prog = list(dict.fromkeys(argv[:at])), "marl-llm compare RECIPE..."
    settings = config.parse(Comparison(), argv[at:], prog=prog, description="Train recipes side by side.")
    if not recipes or not settings.game:
        raise UserError(
            "compare needs recipes first and then a game; expected marl-llm compare RECIPE... --game G (see marl-llm algorithms)"
        )
    if settings.seeds < 2:
        raise UserError(f"--seeds is {settings.seeds}; expected at least 2, for an interval")
    for recipe in recipes:
        recipe_of(recipe)
    games = [registry.game(game).spec for game in settings.game]
    seeds = range(settings.first_seed, settings.first_seed + settings.seeds)
    cells = [Cell(recipe, game, seed) for game in games for seed in seeds for recipe in recipes]
    settings.out.mkdir(parents=True, exist_ok=True)
    for cell in cells:
        if not cell.file(settings).exists():
            figures = run(cell, settings)
            if figures is None:
                print(f"stopped; the same command goes on from {cell.recipe} on {cell.game}, seed {cell.seed}", file=sys.stderr)
                return 130
            aside = cell.file(settings).with_suffix(".part")
            checkpoint.save_json(aside, figures)
            aside.rename(cell.file(settings))
    found = [checkpoint.load_json(cell.file(settings)) for cell in cells]
    rows = list(table(found, recipes))
    show(rows, recipes[0], settings)
    try:
        curves.draw(found, recipes, settings.out / "curves.png")
    except MissingExtra as missing:  # the figures are there all the same
        print(missing, file=sys.stderr)
    if settings.json:
        print(json.dumps([{**row, "mean": row["mean"].json(), "difference": row["difference"].json()} for row in rows]))
    return 0


def show(rows: Sequence[Mapping[str, Any]], first: str, settings: Comparison) -> None:
    """For people, on stderr."""
    shown = Table(title=f"{settings.seeds} seeds of {settings.matches} matches each, 95% intervals over seeds", box=None, padding=(0, 2))
    for column in ("game", "recipe", "figure", "mean", f"minus {first}"):
        shown.add_column(column)
    for row in rows:
        difference = "" if row["recipe"] == first else str(row["difference"])
        shown.add_row(row["game"], row["recipe"], row["figure"].replace("_", " of the "), str(row["mean"]), difference)
    Console(stderr=True, highlight=False).print(shown)
