"""Thinking or not: how the arms are drawn, and that both teach the same model in the same groups."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from algorithms.composed import Composed
from algorithms.groups import group_of
from algorithms.recipes.ton import recipe
from algorithms.samplers import Groups
from algorithms.thinking import ThinkOrNot, skipped
from marl_llm import registry
from marl_llm.agents.pool import AgentPool
from marl_llm.algorithm import Setup, Unsuitable
from marl_llm.iteration import played
from tests.inference.models import random_agent


def test_arms_by_hand():
    """Draws .3 and .7 at a share of .5: the first keeps its thought, the second is without."""
    assert [skipped(u, 0.5) for u in (0.3, 0.7)] == [False, True]
    assert [skipped(u, 0.0) for u in (0.0, 0.999)] == [False, False]
    assert [skipped(u, 1.0) for u in (0.0, 0.999)] == [True, True]


def test_so_many_matches_skip():
    setup = Setup(("kuhn_poker",), registry.game, None, 1)
    planned = ThinkOrNot(inner=Groups(deals=100, size=8), skip=0.25).plan(0, setup, {})
    arms = [match.tags["arm"] for match in planned]
    assert arms.count("skip") / 800 == pytest.approx(0.25, abs=0.05)
    assert all((match.players == ("self:brief",) * 2) == (match.tags["arm"] == "skip") for match in planned)


def test_two_iterations_for_real(tmp_path):
    """Replies that think have the whole vocabulary as support, those at once the legal ones; both are recorded as the newest weights
    sampled them, and are one group."""
    random_agent().save(tmp_path)
    small = replace(recipe, sampler=ThinkOrNot(inner=Groups(deals=4, size=6)), language=replace(recipe.language, max_new=6))
    algorithm = Composed(small, Setup(("kuhn_poker",), registry.game, str(tmp_path), 3))
    pool = AgentPool(algorithm.agents)
    for step in range(2):
        batch = played(algorithm, step, pool, registry.game, in_flight=64)
        accepted = small.sampler.accept(batch, {})
        choices = algorithm.policy.choices(accepted)
        arm = accepted.tag("arm")[accepted.up("turn", "match")][choices.turn]
        assert set(arm) == {"think", "skip"}
        assert (choices.whole.numpy()[choices.context.numpy()] == (arm == "think")).all()
        now, _ = algorithm.policy.forward(np.arange(len(choices.old)))
        assert (now.detach()[choices.context, choices.place] - choices.logp).abs().max() < 1e-4
        assert len(np.unique(group_of(accepted, "seat", ("deal", "seat")))) == 8
        assert algorithm.learn(batch)["skipped"] == 0


def test_who_only_chooses_cannot_think(tmp_path):
    random_agent().save(tmp_path)
    choosing = replace(recipe, language=replace(recipe.language, reply="choose"))
    with pytest.raises(Unsuitable, match="reply free"):
        Composed(choosing, Setup(("kuhn_poker",), registry.game, str(tmp_path), 0))
