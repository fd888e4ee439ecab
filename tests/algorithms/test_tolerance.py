"""Graded success: worked numbers, groups, and real training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from algorithms.composed import Composed
from algorithms.tolerance import Tolerance
from marl_llm import registry
from marl_llm.agents.pool import AgentPool
from marl_llm.algorithm import Setup
from marl_llm.iteration import played
from tests.algorithms.batches import batch_of

GRADES = [1, 0.904508, 0.5, 0.095492, 0]


def test_grades_by_hand():
    assert Tolerance().grade(np.asarray([0.03, 0.08, 0.125, 0.17, 0.25])) == pytest.approx(GRADES, abs=1e-6)


@pytest.mark.parametrize("best", [10.0, -2.0])
def test_errors_are_to_the_best_of_the_seat_on_the_deal(best):
    """On another deal the best is a tenth of it."""
    values = best - abs(best) * np.asarray([0, 0.08, 0.125, 0.17, 0.25])
    batch = batch_of([[[v]] for v in [*values, *values / 10]])
    batch = batch.with_columns(**{"match.seed": np.repeat(np.arange(2, dtype=np.uint64), 5)})
    found = Tolerance().channels(batch, {}, {})["seat.outcome"]
    assert found == pytest.approx(np.tile(GRADES, 2), abs=1e-6)


def test_two_iterations_for_real():
    recipe = registry.recipe("reason-rft")
    recipe = replace(recipe, sampler=replace(recipe.sampler, inner=replace(recipe.sampler.inner, deals=16), patience=1))
    algorithm = Composed(recipe, Setup(("kuhn_poker",), registry.game, "tabular", 0))
    for step in range(2):
        figures = algorithm.learn(played(algorithm, step, AgentPool(algorithm.agents), registry.game, in_flight=256))
    assert figures["skipped"] == 0
    assert algorithm.policy.agent.logits.detach().abs().max() > 0
    assert algorithm.memory["sampler"]["stage"] == 2
