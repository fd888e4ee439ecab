"""Every recipe over groups trains for real, on tables and on a small language model, and resumes what it carries."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from algorithms.composed import Composed
from algorithms.losses import Clipped
from marl_llm import registry
from marl_llm.agents.pool import AgentPool
from marl_llm.algorithm import Setup, Unsuitable
from marl_llm.config import dump, parse
from marl_llm.iteration import played
from tests.inference.models import random_agent

TEAM = ("ttrv", "rlccf")
RECIPES = [
    "dr-grpo", "rloo", "reinforce-pp", "reinforce-pp-baseline", "dapo", "gspo", "gigpo", "salt", "flow-grpo", "step-grpo", "rank-grpo",
    "at-grpo", "canon", "riskpo", "copo", "pref-grpo", "srpo", "unlikeliness", "grpo-care", "multirole", "entropy-shaped", "cosine-length",
    "kimi-length", "noisy-verifier", "gcpo", "adaptive-reasoning", *TEAM,
]  # fmt: skip


def started(name: str, model: str = "tabular") -> Composed:
    game = "tiny_hanabi" if name in TEAM else "kuhn_poker"
    return registry.recipe(name).build(Setup((game,), registry.game, model, 5))


def trained(algorithm: Composed, steps) -> dict[str, float]:
    for step in steps:
        batch = played(algorithm, step, AgentPool(algorithm.agents), registry.game, in_flight=4096)
        figures = algorithm.learn(batch)
    return figures


@pytest.mark.parametrize("name", RECIPES)
def test_trains_and_resumes_bit_for_bit(name, tmp_path):
    whole, parts, rest = started(name), started(name), started(name)
    before = whole.policy.agent.logits.detach().clone()
    figures = trained(whole, range(2))
    assert np.isfinite(figures["loss"])
    assert figures["skipped"] == 0
    assert not torch.equal(whole.policy.agent.logits, before)
    trained(parts, range(1))
    parts.save(tmp_path)
    rest.load(tmp_path)
    trained(rest, range(1, 2))
    assert torch.equal(whole.policy.agent.logits, rest.policy.agent.logits)
    assert whole.memory == rest.memory


def test_settings_survive_their_file(tmp_path):
    for name in RECIPES:
        recipe = registry.recipe(name)
        (tmp_path / "config.yaml").write_text(dump(recipe))
        assert parse(recipe, ["--config", str(tmp_path / "config.yaml")]) == recipe, name


@pytest.mark.parametrize("name", ["gspo", "dapo", "canon", "grpo-care", "unlikeliness"])
def test_trains_a_language_model(name, tmp_path):
    """Those that read what a model says of its tokens: lengths, entropies, log-probabilities, a slow copy."""
    random_agent().save(tmp_path)
    algorithm = started(name, str(tmp_path))
    figures = trained(algorithm, range(2))
    assert np.isfinite(figures["loss"])
    assert figures["gradient"] > 0


def test_the_slow_copy_follows_and_does_not_pull():
    algorithm = started("grpo-care")
    trained(algorithm, range(2))
    slow, now = algorithm.running.reference[0].detach(), algorithm.policy.agent.logits.detach()
    assert 0 < slow.abs().max() < 0.05 * now.abs().max()
    loss = registry.recipe("grpo-care").loss
    assert isinstance(loss, Clipped)
    assert loss.kl == 0


def test_care_without_a_slow_copy_is_refused():
    recipe = registry.recipe("grpo-care")
    with pytest.raises(Unsuitable, match=r"Confidence reads the column turn\.reference"):
        replace(recipe, loss=Clipped()).build(Setup(("kuhn_poker",), registry.game, "tabular", 0))


def test_a_reward_for_arms_needs_arms():
    recipe = registry.recipe("gcpo")
    with pytest.raises(Unsuitable, match=r"Conditional reads the column seat\.arm"):
        replace(recipe, shaping=recipe.shaping[1:]).build(Setup(("kuhn_poker",), registry.game, "tabular", 0))
