"""Decisions a second with learning on: PPO's self-play beside RLlib's, on the same games, networks, batches and passes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyspiel
import pytest

from algorithms.ppo import PPO
from algorithms.samplers import SelfPlay
from marl_llm import registry
from marl_llm.agents.pool import AgentPool
from marl_llm.algorithm import Setup
from marl_llm.play import play
from marl_llm.records import Batch
from tests.bench.measure import compare

pytestmark = pytest.mark.bench
DECISIONS, HIDDEN, EPOCHS, MINIBATCH = 2000, (64, 64), 4, 1024


def ours(game: str):
    """Iterations of about as many decisions as RLlib's."""
    guess = {"kuhn_poker": 2.4, "connect_four": 21.3}[game]
    settings = PPO(sampler=SelfPlay(matches=round(DECISIONS / guess)), hidden=HIDDEN, epochs=EPOCHS, minibatch=MINIBATCH)
    algorithm = settings.build(Setup((game,), registry.game, None, 0))
    pool, step = AgentPool(algorithm.agents), 0

    def iterate() -> int:
        nonlocal step
        batch = Batch.concat(list(play(algorithm.plan(step), pool, registry.game, in_flight=4096)))
        algorithm.learn(batch)
        step += 1
        return batch.size("turn")

    return iterate


def theirs(game: str):
    """RLlib's PPO in one process, one policy for both seats."""
    from ray.rllib.algorithms.ppo import PPOConfig
    from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
    from ray.rllib.env.wrappers.open_spiel import OpenSpielEnv
    from ray.tune.registry import register_env

    register_env(game, lambda config: OpenSpielEnv(pyspiel.load_game(game)))
    config = (
        PPOConfig()
        .environment(game)
        .env_runners(num_env_runners=0)
        .learners(num_learners=0)
        .multi_agent(policies={"self"}, policy_mapping_fn=lambda agent, episode, **more: "self")
        .rl_module(model_config=DefaultModelConfig(fcnet_hiddens=list(HIDDEN), fcnet_activation="tanh"))
        .training(train_batch_size_per_learner=DECISIONS, minibatch_size=MINIBATCH, num_epochs=EPOCHS)
        .debugging(log_level="ERROR", seed=0)
    )
    algorithm = config.build_algo()
    done = 0.0

    def iterate() -> int:
        nonlocal done
        found: dict[str, Any] = algorithm.train()
        before, done = done, float(found["env_runners"]["num_env_steps_sampled_lifetime"])
        return int(done - before)

    return iterate, algorithm.stop


@pytest.fixture
def cluster():
    import ray

    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


@pytest.mark.parametrize("game", ["kuhn_poker", "connect_four"])
def test_ppo_beside_rllib(game, one_thread, cluster):
    iterate, stop = theirs(game)
    found = compare(f"ppo/{game}, decisions learned from, beside RLlib's PPO", ours(game), iterate, rounds=3)
    stop()
    assert np.median(found["ratios"]) >= 10
