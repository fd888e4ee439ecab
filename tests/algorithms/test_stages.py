"""Curricula: what is played in which stage, and when the next one begins."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from algorithms.composed import Composed
from algorithms.estimators import Standardise
from algorithms.samplers import Groups
from algorithms.stages import Stages
from algorithms.terms import Term, Terms
from marl_llm import registry
from marl_llm.agents.pool import AgentPool
from marl_llm.algorithm import Setup
from marl_llm.errors import UserError
from marl_llm.iteration import played
from tests.algorithms.batches import batch_of

BOTH = Setup(("kuhn_poker", "tic_tac_toe"), registry.game, None, 3)
FEW = Groups(deals=4, size=2)


def outcomes(returns):
    return batch_of([[[0.0]] for _ in returns]).with_columns(**{"seat.return": np.asarray(returns, float)})


def test_games_and_opponents_in_their_order():
    sampler = Stages(inner=FEW, opponents=("random", "self"))
    seen = []
    for stage in (0, 1, 2, 3, 9):
        planned = sampler.plan(0, BOTH, {"stage": float(stage)})
        (told,) = {(match.game, frozenset(match.players)) for match in planned}
        seen.append((told[0], "random" in told[1]))
        assert all(match.learn == {s for s, name in enumerate(match.players) if name == "self"} for match in planned)
    assert seen == [("kuhn_poker", True), ("kuhn_poker", False), ("tic_tac_toe", True), *[("tic_tac_toe", False)] * 2]
    assert {match.players for match in sampler.plan(0, BOTH, {})} == {("self", "random"), ("random", "self")}


def test_promoted_by_win_rate_or_patience():
    sampler, memory = Stages(promote=0.6, patience=3), {}
    sampler.accept(outcomes([1, 1, -1, -1]), memory)
    assert memory == {"iterations": 1}
    sampler.accept(outcomes([1, 1, 0, -1]), memory)
    assert memory == {"stage": 1, "iterations": 0}, "2.5 of 4"
    for _ in range(3):
        sampler.accept(outcomes([-1, -1]), memory)
    assert memory == {"stage": 2, "iterations": 0}


def test_stages_of_a_fixed_length():
    memory = {}
    for _ in range(5):
        Stages(promote=1.1, patience=5).accept(outcomes([1, 1]), memory)
    assert memory["stage"] == 1


def test_no_opponents_is_told():
    with pytest.raises(UserError, match=r"sampler\.opponents is empty"):
        Stages(opponents=())


def test_single_actions_of_mobile_r1_by_hand():
    """An action that is right and well formed earns 2, one of both 1: r = [2,1,1,0] gives [1.22474,0,0,-1.22474]."""
    batch = batch_of([[[r]] for r in (2.0, 1, 1, 0)]).with_columns(**{"match.seed": np.zeros(4, np.uint64)})
    found = Terms(terms=(Term(estimator=Standardise(eps=0.0)),)).assign(batch, {}).advantage
    assert found == pytest.approx([1.22474, 0, 0, -1.22474], abs=1e-5)


def test_the_player_leaves_the_random_one_behind(tmp_path):
    """Against a random player kuhn_poker is won more than half of the time after some learning; the stage is in checkpoints."""
    recipe = registry.recipe("curriculum")
    learner = replace(recipe.learner, rate=replace(recipe.learner.rate, start=0.05, end=0.05))
    recipe = replace(recipe, learner=learner, sampler=replace(recipe.sampler, inner=Groups(deals=32, size=8), promote=0.52))
    algorithm, other = (Composed(recipe, Setup(("kuhn_poker",), registry.game, "tabular", 1)) for _ in range(2))
    for step in range(30):
        batch = played(algorithm, step, AgentPool(algorithm.agents), registry.game, in_flight=512)
        algorithm.learn(batch)
        if algorithm.memory["sampler"].get("stage"):
            break
    assert algorithm.memory["sampler"]["stage"] == 1
    algorithm.save(tmp_path)
    other.load(tmp_path)
    assert {match.players for match in other.plan(step + 1)} == {("self", "self")}
