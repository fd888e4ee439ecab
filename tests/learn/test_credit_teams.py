"""Credit for teams against a return that all share, on equal samples and fresh seeds; a crowd of 50 seats; and evolution."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from algorithms.composed import Composed
from algorithms.counterfactual import Counterfactual
from algorithms.credit import TurnLevel
from algorithms.evolution import ESSA
from algorithms.mixer import Mixed
from algorithms.population import Population
from algorithms.samplers import Groups, SelfPlay
from algorithms.terms import Terms
from marl_llm import intervals, registry
from marl_llm.agents.pool import AgentPool
from marl_llm.algorithm import Setup
from marl_llm.iteration import played
from marl_llm.matches import self_play
from marl_llm.play import play
from marl_llm.records import Batch
from tests.inference.models import random_agent

pytestmark = pytest.mark.learn
CREDITS = {"vdn": Mixed(), "qmix": Mixed(mixer="qmix"), "counterfactual": Counterfactual(), "turns": TurnLevel(), "groups": Terms()}
"""The last two share the team's return: each turn's return-to-go against its view's mean, and GRPO."""


def curve(game: str, name: str, seed: int, steps: int, matches: int) -> np.ndarray:
    """What the team earned in every iteration, while it learned."""
    recipe = registry.recipe("mars")
    method = replace(
        recipe,
        sampler=Groups(deals=matches // 8, size=8) if name == "groups" else SelfPlay(matches=matches),
        credit=CREDITS[name],
        learner=replace(recipe.learner, rate=replace(recipe.learner.rate, start=0.05, end=0.05)),
        horizon=steps,
    )
    algorithm = Composed(method, Setup((game,), registry.game, "tabular", seed))
    earned = []
    for step in range(steps):
        batch = Batch.concat(play(algorithm.plan(step), AgentPool(algorithm.agents), registry.game))
        earned.append(batch["seat.return"].mean())
        algorithm.learn(batch)
    return np.asarray(earned)


def compared(game: str, steps: int, matches: int, seeds: int) -> dict[str, np.ndarray]:
    """Of every credit the mean over a run, by seed; printed with what is left at the end, against turn-level credit."""
    found = {name: np.asarray([curve(game, name, seed, steps, matches) for seed in range(seeds)]) for name in CREDITS}
    means = {name: runs.mean(1) for name, runs in found.items()}
    for name, runs in found.items():
        beyond = intervals.mean(means[name] - means["turns"])
        last = runs[:, -5:].mean()
        told = f"{means[name].mean():.3f}, beyond turns {beyond.low:+.3f} to {beyond.high:+.3f}; at the end {last:.3f}"
        print(f"{game.split('(')[0]} {name}: {told}", flush=True)
    return means


def test_a_public_good_of_four_whose_pay_is_common(tmp_path):
    """Four rounds in which each of four seats gives 0, 1 or 2 and all are paid half of the sum: at random 8, at best 16."""
    np.save(tmp_path / "goods.npy", 0.5 * np.indices((3,) * 4).sum(0))
    means = compared(f"matrix(payoffs='{tmp_path / 'goods.npy'}',rounds=4,memory=0,team=True)", 20, 16, seeds=5)
    assert all(runs.mean() > 10.5 for runs in means.values())
    assert intervals.mean(means["counterfactual"] - means["groups"]).low > 0


def test_hanabi():
    """At random 1.4."""
    means = compared("mini_hanabi", 24, 64, seeds=3)
    assert all(runs.mean() > 1.4 for runs in means.values())


@pytest.mark.parametrize("seed", [1, 2])
def test_fifty_language_seats_split_as_in_equilibrium(seed):
    """Sites of value .5, 1, 1.5 and 50 seats: in equilibrium 8, 17 and 25 come."""
    game = registry.game("congestion(seats=50,sites=3)")
    method = replace(registry.recipe("mars-population"), sampler=Population(matches=32), horizon=15)
    algorithm = Composed(method, Setup((game.spec,), registry.game, "tiny", seed))
    splits = []
    for step in range(15):
        batch = Batch.concat(play(algorithm.plan(step), AgentPool(algorithm.agents), registry.game))
        splits.append(np.bincount(batch["turn.action"], minlength=3) / 32)
        algorithm.learn(batch)
    split = np.mean(splits[-5:], 0)
    print(f"seats on each site: at first {splits[0].round(1)}, in the last 5 iterations {split.round(1)}; equilibrium {game.equilibrium()}")
    assert split == pytest.approx(game.equilibrium(), abs=2)


def test_evolution_on_singular_values(tmp_path):
    """A small model with random weights on tiny_hanabi: what it earns on the same 4096 deals before and after 30 generations."""
    random_agent("tiny_hanabi").save(tmp_path)
    gained = []
    for seed in range(2, 5):
        settings = ESSA(sampler=SelfPlay(matches=256), population=8, sigma=0.3)
        algorithm = settings.build(Setup(("tiny_hanabi",), registry.game, str(tmp_path), seed))
        pool, deals = AgentPool(algorithm.agents), list(self_play("tiny_hanabi", "self", 2, 4096, 99))
        before = Batch.concat(play(deals, pool, registry.game))["seat.return"].mean()
        for step in range(30):
            algorithm.learn(played(algorithm, step, pool, registry.game, in_flight=4096))
        gained.append(Batch.concat(play(deals, pool, registry.game))["seat.return"].mean() - before)
        print(f"seed {seed}: {before:.2f} before, {before + gained[-1]:.2f} after", flush=True)
    assert min(gained) > 0.2
