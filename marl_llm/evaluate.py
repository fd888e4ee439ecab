"""Ground truth while training and after: exact where the game is small, and fixed anchors with intervals everywhere.

The self-play return is never a measure of progress: it looks healthy while play collapses.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from marl_llm import checkpoint, config, intervals, registry
from marl_llm.agent import Agent
from marl_llm.agents.pool import AgentPool
from marl_llm.agents.saved import of_checkpoint
from marl_llm.errors import UserError
from marl_llm.exact import AveragedPolicy, NotExact, exploitability, policy_of
from marl_llm.game import Game
from marl_llm.intervals import Interval
from marl_llm.matches import Match, deal_seed
from marl_llm.play import play
from marl_llm.progress import Progress
from marl_llm.records import Batch
from marl_llm.seeding import fold
from marl_llm.tree import Tree, tree_of

NAME = "trained"


class Truth:
    """Exact exploitability of a learning agent on one small game, of its last policy and of the average over its iterations.

    The average is realisation-weighted, iteration t counting t + 1. It is kept only where it is defined: not where equal
    positions are one node, reached by different own moves.
    """

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.average = AveragedPolicy(tree) if tree.perfect_recall and not tree.merged else None

    def observe(self, agent: Agent, step: int) -> None:
        """Count the policy of iteration ``step`` into the average."""
        if self.average:
            self.average.add(policy_of(self.tree, agent), step + 1.0)

    def measure(self, agent: Agent) -> dict[str, float]:
        """``exploitability`` and, where it is defined, ``exploitability_average``."""
        figures = {"exploitability": exploitability(self.tree, policy_of(self.tree, agent))}
        if self.average:
            figures["exploitability_average"] = exploitability(self.tree, self.average.policy())
        return figures

    def save(self, folder: Path) -> None:
        """Write the average's mass into ``folder``."""
        if self.average and self.average.mass is not None:
            checkpoint.save_tensors(folder / "average.safetensors", {"mass": self.average.mass})

    def load(self, folder: Path) -> None:
        """Read what ``save`` wrote; nothing if no policy had been counted."""
        file = folder / "average.safetensors"
        if self.average and file.exists():
            self.average.mass = checkpoint.load_tensors(file, "numpy")["mass"]


def truth_of(game: Game, agent: Agent) -> Truth | None:
    """Exact evaluation of ``agent`` on ``game``, or None where it would not be exact or affordable."""
    if not game.info.enumerable:
        return None
    try:
        truth = Truth(tree_of(game))
        truth.measure(agent)
    except (NotExact, TypeError):  # no perfect recall, or an agent without a policy over the legal actions
        return None
    return truth


def against(game: Game, agent: Agent, anchor: str, deals: int, seed: int) -> Interval:
    """Mean return of ``agent`` against ``anchor`` in all other seats, in every seat on every deal, with its interval."""
    seats = game.info.seats
    pool = AgentPool({NAME: agent})
    matches = (
        Match(game=game.spec, seed=deal_seed(fold(seed, 1), k), players=tuple(NAME if s == seat else anchor for s in range(seats)))
        for k in range(deals)
        for seat in range(seats)
    )
    batch = Batch.concat(play(matches, pool, registry.game, keys=False))
    mine = np.flatnonzero(np.asarray(batch.tables["player"])[batch["seat.player"]] == NAME)
    return intervals.mean(batch["seat.return"][mine], batch["match.seed"][batch.up("seat", "match")][mine])


def anchors_of(game: Game) -> list[str]:
    """The anchors a game is measured against unless told: random, and the strongest that fits."""
    strong = ["minimax", "mcts:100"] if game.info.perfect_information else ["cfr", "ismcts:100"]
    fitting = strong[0] if game.info.enumerable else strong[1]
    native = game.info.seats == 2 and hasattr(game, "native")  # search and CFR are OpenSpiel's and play its games
    return ["random", fitting] if native else ["random"]


@dataclass(frozen=True)
class Evaluation:
    """Settings of ``marl-llm evaluate RUN``."""

    games: str = ""
    """Games separated by commas; the run's own if left out."""
    anchors: str = ""
    """Agents to play against, separated by commas; if left out random and the strongest that fits."""
    deals: int = 200
    """Deals against each anchor; every deal is played in every seat."""
    seed: int = 0
    json: bool = False
    """Print one JSON object as the last line."""


def evaluate(agent: Agent, spec: str, anchors: Sequence[str], deals: int, seed: int, average: Path | None = None) -> dict[str, Any]:
    """All figures of ``agent`` on one game; ``average`` is a checkpoint's folder with the averaged policy."""
    game = registry.game(spec)
    figures: dict[str, Any] = {"exploitability": None, "exploitability_average": None}
    truth = truth_of(game, agent)
    if truth:
        if average:
            truth.load(average)
        measured = truth.measure(agent)
        counted = truth.average is not None and truth.average.mass is not None
        figures |= {name: value for name, value in measured.items() if counted or name == "exploitability"}
    figures["anchors"] = {anchor: against(game, agent, anchor, deals, seed).json() for anchor in anchors or anchors_of(game)}
    return figures


def main(argv: Sequence[str]) -> int:
    """``marl-llm evaluate RUN``."""
    if not argv or (argv[0].startswith("-") and argv[0] not in ("-h", "--help")):
        raise UserError("evaluate needs a run; expected marl-llm evaluate RUN, a folder that marl-llm train wrote")
    flags = argv if argv[0].startswith("-") else argv[1:]
    settings = config.parse(Evaluation(), flags, prog="marl-llm evaluate RUN", description="Measure what a run has trained.")
    run = Path(argv[0])
    folder = checkpoint.newest(run)
    own: Mapping[str, Any] = checkpoint.load_json(folder / "run.json")
    agent = of_checkpoint(folder)
    specs = [spec for spec in settings.games.split(",") if spec] or own["games"]
    anchors = [anchor for anchor in settings.anchors.split(",") if anchor]
    if settings.deals < 2:
        raise UserError(f"--deals is {settings.deals}; expected at least 2, for an interval")
    result = {}
    for spec in specs:
        average = folder / f"truth{own['games'].index(spec)}" if spec in own["games"] else None
        result[spec] = evaluate(agent, spec, anchors, settings.deals, settings.seed, average)
        show(spec, result[spec])
    if settings.json:
        print(json.dumps({"step": own["step"], **(result[specs[0]] if len(specs) == 1 else {"games": result})}))
    return 0


def show(spec: str, figures: Mapping[str, Any]) -> None:
    """A few lines for people, on stderr."""
    for name in ("exploitability", "exploitability_average"):
        if figures[name] is not None:
            print(f"{spec}  {name.replace('_', ' of the ')}  {figures[name]:.4f}", file=sys.stderr)
    for anchor, found in figures["anchors"].items():
        print(
            f"{spec}  against {anchor}  {found['mean']:+.3f} [{found['low']:+.3f}, {found['high']:+.3f}], {found['games']} games",
            file=sys.stderr,
        )


def say_truth(bar: Progress, step: int, figures: Mapping[str, float], note: str = "") -> None:
    """Report exact figures of a step above a progress bar."""
    parts = [f"{name.replace('_', ' of the ')} {value:.4f}" for name, value in figures.items()]
    bar.say(f"step {step}{note}: {', '.join(parts)}")
