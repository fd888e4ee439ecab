"""Every neural recipe learns where it is told to, and says so where there is no such device."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from algorithms.gmah import GMAH
from algorithms.mean_field import MeanFieldPPO
from algorithms.mean_field_q import MeanFieldQ
from algorithms.nfsp import NFSP
from algorithms.ppo import PPO
from algorithms.qmix import QMIX
from algorithms.samplers import SelfPlay
from marl_llm import registry
from marl_llm.agents.pool import AgentPool
from marl_llm.algorithm import Setup
from marl_llm.errors import UserError
from marl_llm.play import play
from marl_llm.records import Batch

CASES = {
    "ppo": (PPO(sampler=SelfPlay(matches=16)), "kuhn_poker"),
    "ppo with a memory and a table": (PPO(sampler=SelfPlay(matches=16), memory=4, critic="table"), "kuhn_poker"),
    "nfsp": (NFSP(matches=32, updates=2), "kuhn_poker"),
    "qmix": (QMIX(matches=8, updates=2), "two_step"),
    "cw-qmix": (QMIX(matches=8, updates=2, weight=0.1), "two_step"),
    "gmah": (GMAH(upper=QMIX(matches=2, updates=2)), "rooms"),
    "dec-pomfppo": (MeanFieldPPO(matches=2), "aggregation(seats=5)"),
    "mf-q": (MeanFieldQ(matches=2), "squeeze(seats=10)"),
    "mf-ac": (MeanFieldQ(matches=2, actor=True), "squeeze(seats=10)"),
}


def built(name, device):
    recipe, game = CASES[name]
    recipe = replace(recipe, upper=replace(recipe.upper, device=device)) if name == "gmah" else replace(recipe, device=device)
    return recipe.build(Setup((game,), registry.game, None, 0))


@pytest.mark.parametrize("name", CASES)
def test_a_device_that_is_not_there_is_named(name):
    with pytest.raises(UserError, match="device is 'nowhere', which torch has none of here; expected cpu, or cuda"):
        built(name, "nowhere")


@pytest.mark.gpu
@pytest.mark.parametrize("name", CASES)
def test_learning_on_a_gpu(name, tmp_path):
    algorithm, resumed = built(name, "cuda"), built(name, "cuda")
    for step in range(2):
        log = algorithm.learn(Batch.concat(list(play(algorithm.plan(step), AgentPool(algorithm.agents), registry.game))))
    assert all(torch.isfinite(torch.tensor(value)) for value in log.values())
    assert log.get("skipped_steps", 0.0) == 0
    algorithm.save(tmp_path)
    resumed.load(tmp_path)
    resumed.learn(Batch.concat(list(play(resumed.plan(2), AgentPool(resumed.agents), registry.game))))
