"""Ground truth while training and after: exact where the game is small, fixed anchors and a sampled best response elsewhere.

The self-play return is never a measure of progress: it looks healthy while play collapses.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marl_llm import checkpoint, config, registry
from marl_llm.agent import Agent
from marl_llm.agents.saved import of_checkpoint
from marl_llm.anchors import anchors_of, computed, played, policy_in
from marl_llm.errors import UserError
from marl_llm.exact import AveragedPolicy, NotExact, best_responses, expected_returns, exploitability, policy_of
from marl_llm.figures import show
from marl_llm.game import Discrete, Game
from marl_llm.private import private_tv, twins
from marl_llm.progress import Progress, progress
from marl_llm.report.page import EVALUATION, write_report
from marl_llm.sampled import sampled_response
from marl_llm.tree import TooLarge, Tree, tree_of


class Truth:
    """Exact exploitability of a learning agent on one small game, of its last policy and of the average over its iterations.

    The average is realisation-weighted, iteration t counting t + 1. It is kept only where it is defined: not where equal
    positions are one node, reached by different own moves.
    """

    def __init__(self, tree: Tree) -> None:
        self.tree, self.twins = tree, twins(tree)
        self.average = AveragedPolicy(tree) if tree.perfect_recall and not tree.merged else None

    def observe(self, agent: Agent, step: int) -> None:
        """Count the policy of iteration ``step`` into the average."""
        if self.average:
            self.average.add(policy_of(self.tree, agent), step + 1.0)

    def measure(self, agent: Agent) -> dict[str, float]:
        """``exploitability``, ``best_response_SEAT`` (the most that seat could gain) and, where they are defined,
        ``exploitability_average`` and ``private_tv``."""
        policy, seats = policy_of(self.tree, agent), self.tree.info.seats
        best = best_responses(self.tree, policy)
        figures = {"exploitability": float((best - expected_returns(self.tree, policy)).sum()) / seats}
        if self.average:
            figures["exploitability_average"] = exploitability(self.tree, self.average.policy())
        figures |= {f"best_response_{seat}": float(value) for seat, value in enumerate(best)}
        if (distance := private_tv(self.tree, policy, self.twins)) is not None:
            figures["private_tv"] = distance
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
    except (NotExact, TooLarge, TypeError):  # no perfect recall, or an agent without a policy over the legal actions
        return None
    return truth


@dataclass(frozen=True)
class Evaluation:
    """Settings of ``marl-llm evaluate RUN``."""

    games: str = ""
    """Games separated by commas; the run's own if left out."""
    anchors: str = ""
    """Agents to play against, separated by commas; if left out random and the strongest that fits."""
    deals: int = 200
    """Deals against an anchor where the figure is not exact; every deal is played in every seat."""
    response_deals: int = 1000
    """Deals of the sampled best response, where no exact one is possible: half fit it, half score it; 0 leaves it out."""
    seed: int = 0
    json: bool = False
    """Print one JSON object as the last line."""


def evaluate(agent: Agent, game: Game, anchors: Sequence[str], settings: Evaluation, average: Path | None = None) -> dict[str, Any]:
    """All figures of ``agent`` on one game; ``average`` is a checkpoint's folder with the averaged policy."""
    opponents = {name: registry.agent(name) for name in anchors or anchors_of(game)}
    figures: dict[str, Any] = {"exploitability": None, "exploitability_average": None}
    truth = truth_of(game, agent)
    if truth:
        if average:
            truth.load(average)
        measured = truth.measure(agent)
        figures["best_response"] = [measured.pop(f"best_response_{seat}") for seat in range(game.info.seats)]
        if truth.average is None or truth.average.mass is None:
            measured.pop("exploitability_average", None)
        figures |= measured
    elif settings.response_deals and isinstance(game.info.action, Discrete) and game.info.message is None:
        bases = [opponent for name, opponent in opponents.items() if name != "random"]
        with progress(settings.response_deals, f"{game.info.name}: sampled best response") as bar:
            found = sampled_response(game, agent, settings.response_deals, settings.seed, bases=bases, advance=bar.advance)
        gains = [gain.json() for gain in found.gains]
        figures["exploitability_estimate"] = {**found.exploitability.json(), "seats": gains}
    policy, figures["anchors"] = policy_in(game, agent), {}
    for name, opponent in opponents.items():
        met = None if policy is None else computed(game, policy, opponent)
        if met is None:
            with progress(settings.deals * game.info.seats, f"{game.info.name}: against {name}") as bar:
                met = played(game, agent, opponent, settings.deals, settings.seed, advance=bar.advance)
        figures["anchors"][name] = met.json()
    return figures


def main(argv: Sequence[str]) -> int:
    """``marl-llm evaluate RUN``."""
    if not argv or (argv[0].startswith("-") and argv[0] not in ("-h", "--help")):
        raise UserError("evaluate needs a run; expected marl-llm evaluate RUN, a folder that marl-llm train wrote")
    flags = argv if argv[0].startswith("-") else argv[1:]
    settings = config.parse(Evaluation(), flags, prog="marl-llm evaluate RUN", description="Measure what a run has trained.")
    if settings.deals < 2:
        raise UserError(f"--deals is {settings.deals}; expected at least 2, for an interval")
    if settings.response_deals and settings.response_deals < 4:
        raise UserError(f"--response-deals is {settings.response_deals}; expected at least 4, for an interval, or 0 to leave it out")
    folder = checkpoint.newest(Path(argv[0]))
    own: Mapping[str, Any] = checkpoint.load_json(folder / "run.json")
    games = [registry.game(spec) for spec in _listed(settings.games) or own["games"]]
    anchors = _listed(settings.anchors)
    agent = of_checkpoint(folder)
    result = {}
    for game in games:
        average = folder / f"truth{own['games'].index(game.spec)}" if game.spec in own["games"] else None
        result[game.spec] = evaluate(agent, game, anchors, settings, average)
        show(f"{game.spec}, step {own['step']}", result[game.spec])
    run = Path(argv[0])
    checkpoint.save_json(run / EVALUATION, {"step": own["step"], "games": result})
    write_report(run, lambda line: print(line, file=sys.stderr))
    if settings.json:
        one = next(iter(result.values()))
        print(json.dumps({"step": own["step"], **(one if len(result) == 1 else {"games": result})}))
    return 0


def _listed(text: str) -> list[str]:
    """Names separated by commas; a comma inside parentheses belongs to its name."""
    return [name.strip() for name in re.split(r",(?![^()]*\))", text) if name.strip()]


def say_truth(bar: Progress, step: int, figures: Mapping[str, float], note: str = "") -> None:
    """Report exact figures of a step above a progress bar."""
    told = [f"{_words(name)} {value:.4f}" for name, value in figures.items() if "best_response" not in name]
    bar.say(f"step {step}{note}: {', '.join(told)}")


def _words(name: str) -> str:
    return name.replace("exploitability_average", "exploitability of the average")
