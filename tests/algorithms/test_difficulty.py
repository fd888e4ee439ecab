"""Arms by how open their outcome is: worked numbers, what is played, and what is remembered."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from algorithms.composed import Composed
from algorithms.difficulty import Vade, VarianceAware, openness, variance_weights
from marl_llm import registry
from marl_llm.agents.pool import AgentPool
from marl_llm.algorithm import Setup
from marl_llm.errors import UserError
from marl_llm.iteration import played
from marl_llm.league import League

SETUP = Setup(("kuhn_poker",), registry.game, "tabular", 3)
ALONE = {"every": 0, "deals": 16, "size": 2}


def test_scores_by_hand():
    assert openness(np.asarray([0.1, 1 / 3, 0.5, 0.9])) == pytest.approx([0.081, 0.148148, 0.125, 0.009], abs=1e-6)
    assert openness(np.linspace(0, 1, 301)).argmax() == 100


def test_vade_forgets_by_hand():
    """a 3, b 5, decay .9 and 2 of 8 won: 4.7 and 10.5, mean .309211."""
    memory = {"a x": 3.0, "b x": 5.0}
    Vade().observed("x", 2.0, 8.0, memory)
    assert memory == {"a x": pytest.approx(4.7), "b x": pytest.approx(10.5)}
    assert memory["a x"] / sum(memory.values()) == pytest.approx(0.309211, abs=1e-6)


def test_variance_weights_by_hand():
    assert variance_weights(np.asarray([0, 0.25, 0.5, 1])) == pytest.approx([0, 0.75, 1, 0])
    assert variance_weights(np.asarray([0.3, 0.7])).tolist() == [1, 1]


def chosen(sampler, memory, steps=200):
    """How often each arm is planned."""
    count = Counter(match.tags["arm"] for step in range(steps) for match in sampler.plan(step, SETUP, memory))
    return {arm: n / sum(count.values()) for arm, n in count.items()}


def test_the_arm_that_is_won_one_time_in_three_is_played_most():
    sampler = Vade(opponents=("random", "cfr", "minimax"), arms_played=1, **ALONE)
    sure = {"random": (900, 100), "cfr": (330, 670), "minimax": (2, 998)}
    memory = {f"{side} kuhn_poker|{name}|0": float(n) for name, both in sure.items() for side, n in zip("ab", both, strict=True)}
    assert chosen(sampler, memory, 40) == {"kuhn_poker|cfr|0": 1}
    spread = chosen(sampler, {}, 60)
    assert len(spread) == 3, "unknown arms are all tried"


def test_half_of_the_deals_go_by_variance():
    """p 0 and 1/2 give weights 0 and 1: a quarter and three quarters of the deals."""
    sampler = VarianceAware(opponents=("random", "cfr"), **ALONE)
    shares = chosen(sampler, {"p kuhn_poker|cfr|0": 0.0})
    assert shares["kuhn_poker|cfr|0"] == pytest.approx(0.25, abs=0.03)
    assert chosen(sampler, {})["kuhn_poker|cfr|0"] == pytest.approx(0.5, abs=0.03)


def run(sampler, folder, steps):
    league = League(folder, lambda player, into: algorithm.save_past(player, into))
    algorithm = Composed(replace(registry.recipe("vade"), sampler=sampler), replace(SETUP, league=league))
    batches = []
    for step in range(steps):
        batches.append(played(algorithm, step, AgentPool(algorithm.agents, league.members), registry.game, in_flight=512))
        algorithm.learn(batches[-1])
    return algorithm, batches


def test_matches_of_an_arm_count_for_the_player_alone(tmp_path):
    sampler = Vade(deals=16, size=4, openings=(0, 2), decay=1.0, drift=0.0, arms_played=9)
    algorithm, (batch,) = run(sampler, tmp_path, 1)
    memory = algorithm.memory["sampler"]
    arms = [f"kuhn_poker|{name}|{n}" for name in ("random", "self@0") for n in (0, 2)]
    assert set(memory) == {f"{side} {arm}" for side in "ab" for arm in arms}
    assert sum(memory.values()) == 64 + 2 * len(arms)
    mine = np.asarray(batch.tables["player"])[batch["seat.player"]] == "self"
    assert mine.sum() == 64
    won = sum(value - 1 for name, value in memory.items() if name.startswith("a "))
    assert won == (batch["seat.return"][mine] > 0).sum()
    assert set(batch["seat.seat"][mine].tolist()) == {0, 1}


def test_shares_are_measured_over_some_iterations(tmp_path):
    sampler = VarianceAware(opponents=("random",), every=0, deals=8, size=2, refresh=2)
    algorithm, _ = run(sampler, tmp_path, 3)
    memory = algorithm.memory["sampler"]
    assert memory["iterations"] == 3
    assert memory["played kuhn_poker|random|0"] == 16, "since the second iteration"
    assert 0 <= memory["p kuhn_poker|random|0"] <= 1


def test_past_policies_become_arms_and_the_oldest_leave(tmp_path):
    _, batches = run(Vade(opponents=(), every=1, past=2, arms_played=9, deals=8, size=2), tmp_path, 4)
    assert sorted(name for name in batches[-1].tables["player"] if "@" in name) == ["self@2", "self@3"]


def test_an_interrupted_iteration_is_planned_alike():
    memory: dict[str, float] = {}
    assert Vade(**ALONE).plan(5, SETUP, memory) == Vade(**ALONE).plan(5, SETUP, memory)
    assert memory == {}


def test_nothing_to_play_is_told():
    with pytest.raises(UserError, match=r"sampler\.every 0"):
        Vade().plan(0, SETUP, {})
    with pytest.raises(UserError, match="nothing to play"):
        Vade(opponents=(), every=0).plan(0, SETUP, {})


@pytest.mark.parametrize("name", ["vade", "mmr1"])
def test_two_iterations_for_real(name, tmp_path):
    algorithm, batches = run(replace(registry.recipe(name).sampler, deals=16), tmp_path, 2)
    assert all(len(batch) == 128 for batch in batches)
    assert algorithm.policy.agent.logits.detach().abs().max() > 0
