"""Recipes whose samplers fork, refill, choose or stage their matches: real training, and nothing lost by a checkpoint half way."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from algorithms.composed import Composed
from marl_llm import compare, registry
from marl_llm.agents.pool import AgentPool
from marl_llm.algorithm import Setup
from marl_llm.iteration import played
from marl_llm.league import League

RECIPES = ["dapo", "vade", "mmr1", "latr", "s-grpo", "deepvideo-r1", "tw-grpo", "curriculum", "rec", "red-drop"]
STEPS = 24


def built(name, folder):
    """On a table, with a step size for one."""
    recipe = registry.recipe(name)
    rate = replace(recipe.learner.rate, start=0.05, end=0.05)
    league = League(folder, lambda player, into: algorithm.save_past(player, into))
    setup = Setup(("kuhn_poker",), registry.game, "tabular", 12, league=league)
    algorithm = Composed(replace(recipe, learner=replace(recipe.learner, rate=rate)), setup)
    return algorithm, AgentPool(algorithm.agents, league.members), league


def run(algorithm, pool, steps):
    for step in steps:
        algorithm.learn(played(algorithm, step, pool, registry.game, in_flight=2048))


@pytest.mark.parametrize("name", RECIPES)
def test_they_learn_and_resume_bit_for_bit(name, tmp_path):
    """Folding the best card to a bet is plainly wrong, and every method unlearns it. A seat of one turn has no exit, and no group then."""
    algorithm, pool, league = built(name, tmp_path / "league")
    run(algorithm, pool, range(STEPS // 2))
    (tmp_path / "half").mkdir()
    algorithm.save(tmp_path / "half")
    league.save(tmp_path / "league.json")
    rest, its_pool, its_league = built(name, tmp_path / "league")
    its_league.load(tmp_path / "league.json")
    rest.load(tmp_path / "half")
    run(algorithm, pool, range(STEPS // 2, STEPS))
    run(rest, its_pool, range(STEPS // 2, STEPS))
    logits, same = (one.policy.agent.logits.detach() for one in (algorithm, rest))
    assert torch.equal(logits, same)
    assert algorithm.memory == rest.memory
    fold, call = logits[algorithm.policy.agent.row["0:2pb" if name == "s-grpo" else "1:2b"], :2].softmax(0).tolist()
    assert call > 0.6 > fold, f"{name} calls with the king with probability {call:.2f}"


def test_compared_recipes_meet_past_policies(tmp_path):
    flags = ["--game", "kuhn_poker", "--model", "tabular", "--seeds", "2", "--matches", "256", "--out", str(tmp_path)]
    assert compare.main(["vade --sampler.deals 8", "rec --sampler.mirror.deals 8", *flags]) == 0
    assert len(list(tmp_path.glob("*.json"))) == 4
