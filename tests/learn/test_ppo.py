"""PPO's self-play reaches equilibrium: Kuhn poker by exact exploitability, linear public goods by what is given.

Settings were tuned on seeds from 100 on; the last iteration counts, no checkpoint is selected.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from algorithms.parts import PLAYER
from algorithms.ppo import PPO, PPOAlgorithm
from algorithms.samplers import SelfPlay
from marl_llm import registry
from marl_llm.algorithm import Setup
from marl_llm.exact import AveragedPolicy, exploitability, policy_of
from marl_llm.play import play
from marl_llm.records import Batch
from marl_llm.tree import tree_of

pytestmark = pytest.mark.learn


def batch_of(algorithm: PPOAlgorithm, step: int) -> Batch:
    pool = SimpleNamespace(resolve=algorithm.agents.__getitem__)
    return Batch.concat(play(algorithm.plan(step), pool, registry.game, in_flight=4096))


def trained(settings: PPO, game: str, seed: int, after: Callable[[PPOAlgorithm, int], None] = lambda algorithm, step: None) -> PPOAlgorithm:
    algorithm = settings.build(Setup((game,), registry.game, None, seed))
    for step in range(settings.horizon):
        algorithm.learn(batch_of(algorithm, step))
        after(algorithm, step)
    return algorithm


def test_kuhn_poker_over_five_seeds():
    tree = tree_of(registry.game("kuhn_poker"))
    last, averaged = [], []
    for seed in range(5):
        average = AveragedPolicy(tree)

        def count(algorithm: PPOAlgorithm, step: int, average: AveragedPolicy = average) -> None:
            average.add(policy_of(tree, algorithm.agents[PLAYER]), step + 1)

        algorithm = trained(PPO(), "kuhn_poker", seed, count)
        last.append(exploitability(tree, policy_of(tree, algorithm.agents[PLAYER])))
        averaged.append(exploitability(tree, average.policy()))
        print(f"seed {seed}: exploitability {last[-1]:.4f}, average {averaged[-1]:.4f}")
    assert np.median(last) <= 0.05
    assert np.median(averaged) <= 0.03
    assert max(last) <= 0.12


@pytest.mark.parametrize("seats", [4, 40])
@pytest.mark.parametrize(("mpcr", "given"), [(0.5, 0.0), (0.9, 0.0), (1.1, 1.0)])
def test_public_goods(seats, mpcr, given):
    """Giving is dominated below a per-capita return of 1 and dominant above it, so nothing need hold self-play back."""
    settings = PPO(horizon=100, sampler=SelfPlay(matches=8192 // seats), alpha=0, proximal=0)
    for seed in range(3):
        algorithm = trained(settings, f"public_goods(seats={seats},mpcr={mpcr})", seed)
        share = batch_of(algorithm, settings.horizon)["turn.action"].mean() / 4
        print(f"{seats} seats, mpcr {mpcr}, seed {seed}: share given {share:.3f}")
        assert share == pytest.approx(given, abs=0.02)
