"""Whether a code arises from nothing in a game in which only what is said carries the information."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from algorithms.composed import Composed
from marl_llm import registry
from marl_llm.agents.pool import AgentPool
from marl_llm.algorithm import Setup
from marl_llm.play import play
from marl_llm.records import Batch

SPEC = f"{Path(__file__).with_name('listening.py')}:Listening(words=1)"


@pytest.mark.learn
def test_self_play_from_nothing():
    """To say anything and hear nothing is an equilibrium too, close to where self-play begins; the share that is won is told."""
    recipe = registry.recipe("mars")
    method = replace(recipe, sampler=replace(recipe.sampler, matches=256), horizon=150)
    algorithm = Composed(method, Setup((SPEC,), registry.game, "tiny", 0))
    won: list[float] = []
    for step in range(150):
        batch = Batch.concat(play(algorithm.plan(step), AgentPool(algorithm.agents), registry.game))
        won.append(float(batch["seat.return"].mean()))
        assert algorithm.learn(batch)["logp_gap"] < 1e-3
    last = sum(won[-20:]) / 20
    print(f"won at first {won[0]:.3f}, in the last 20 iterations {last:.3f}; by chance 0.5")
    assert last > 0.45
