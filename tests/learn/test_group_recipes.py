"""What recipes over groups learn of kuhn_poker: three seeds each, none of which a setting was chosen on."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from marl_llm import registry
from marl_llm.agents.pool import AgentPool
from marl_llm.algorithm import Setup
from marl_llm.iteration import played
from tests.algorithms.test_group_recipes import RECIPES, TEAM

pytestmark = pytest.mark.learn
SEEDS = (101, 102, 103)
ITERATIONS = 24
KING, JACK = "1:2b", "1:0b"
"""Seat 1 holds the best or the worst card and meets a bet; the first two actions are to fold and to call."""
BLIND = ("pref-grpo", "srpo", "cosine-length", "noisy-verifier", "adaptive-reasoning")
"""They know won from lost, and not how much: to fold the worst card or to call with it is one to them."""


def trained(name: str, game: str, seed: int) -> tuple[dict[str, int], torch.Tensor]:
    """Rows by key of the trained table, and its probabilities if all actions were legal."""
    recipe = registry.recipe(name)
    quick = replace(recipe.learner.rate, start=0.05, end=0.05)
    algorithm = replace(recipe, learner=replace(recipe.learner, rate=quick)).build(Setup((game,), registry.game, "tabular", seed))
    for step in range(ITERATIONS):
        algorithm.learn(played(algorithm, step, AgentPool(algorithm.agents), registry.game, in_flight=4096))
    table = algorithm.policy.agent
    return table.row, table.logits.detach()[: len(table.row), :-1].softmax(1)


def call(name: str, seed: int) -> dict[str, float]:
    """How often it calls with these cards."""
    row, policy = trained(name, "kuhn_poker", seed)
    return {key: float(policy[row[key], 1] / policy[row[key], :2].sum()) for key in (KING, JACK)}


@pytest.mark.parametrize("name", [name for name in RECIPES if name not in TEAM])
def test_the_best_card_calls_and_the_worst_folds(name: str) -> None:
    found = [call(name, seed) for seed in SEEDS]
    weak = name == "riskpo"  # it only ever pushes away, which is slow here
    assert min(each[KING] for each in found) > (0.5 if weak else 0.8), found
    if name not in BLIND and not weak:
        assert max(each[JACK] for each in found) < 0.2, found


@pytest.mark.parametrize("name", TEAM)
def test_votes_agree(name: str) -> None:
    """Without a truth the first moves of a deal come to agree; whether on what pays, no vote knows."""
    shares = [trained(name, "tiny_hanabi", seed)[1].max(1).values.mean().item() for seed in SEEDS]
    assert min(shares) > 0.6, shares
