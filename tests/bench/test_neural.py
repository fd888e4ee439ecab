"""Decisions a second with learning on, on the same games, networks, batches and passes: PPO beside RLlib's, QMIX beside TorchRL's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyspiel
import pytest
import torch

from algorithms.ppo import PPO
from algorithms.qmix import QMIX
from algorithms.samplers import SelfPlay
from games.pettingzoo.out import to_parallel
from marl_llm import registry
from marl_llm.agents.pool import AgentPool
from marl_llm.algorithm import Setup
from marl_llm.play import play
from marl_llm.records import Batch
from tests.bench.measure import compare

pytestmark = pytest.mark.bench
DECISIONS, HIDDEN, EPOCHS, MINIBATCH = 4000, (64, 64), 4, 1024


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
        .env_runners(num_env_runners=0, num_envs_per_env_runner=32)
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


MATCHES, STEPS, UPDATES, GAME = 32, 20, 8, "coordination(seats=3,rounds=20)"
"""Matches an iteration, joint steps of one, and gradient steps, each on as many joint steps as an iteration plays."""


def our_qmix():
    settings = QMIX(matches=MATCHES, batch=MATCHES, updates=UPDATES, hidden=HIDDEN, lam=0.0)
    algorithm = settings.build(Setup((GAME,), registry.game, None, 0))
    pool, step = AgentPool(algorithm.agents), 0

    def iterate() -> int:
        nonlocal step
        algorithm.learn(Batch.concat(list(play(algorithm.plan(step), pool, registry.game))))
        step += 1
        return MATCHES * STEPS

    return iterate


def torchrl_qmix():
    """TorchRL's modules put together as its own example does, on the same game through PettingZoo's parallel interface."""
    from tensordict.nn import TensorDictModule, TensorDictSequential
    from torchrl.data import LazyTensorStorage, TensorDictReplayBuffer
    from torchrl.envs.libs.pettingzoo import PettingZooWrapper
    from torchrl.modules import EGreedyModule, QValueModule
    from torchrl.modules.models.multiagent import MultiAgentMLP, QMixer
    from torchrl.objectives import SoftUpdate
    from torchrl.objectives.multiagent import QMixerLoss

    game = registry.game(GAME)
    world = to_parallel(game)
    env = PettingZooWrapper(world, use_mask=True, group_map={"agents": list(world.possible_agents)})
    seats, actions, (view,) = game.info.seats, 2, game.info.vector
    seen = ("agents", "observation", "observation")
    net = MultiAgentMLP(
        view, actions, seats, centralized=False, share_params=True, depth=2, num_cells=HIDDEN[0], activation_class=torch.nn.Tanh
    )
    values = TensorDictModule(net, in_keys=[seen], out_keys=[("agents", "action_value")])
    chosen = QValueModule(
        action_value_key=("agents", "action_value"),
        action_mask_key=("agents", "action_mask"),
        out_keys=[env.action_key, ("agents", "action_value"), ("agents", "chosen_action_value")],
        spec=None,
        action_space="categorical",
    )
    greedy = TensorDictSequential(values, chosen)
    explore = TensorDictSequential(
        greedy,
        EGreedyModule(
            env.full_action_spec_unbatched[env.action_key],
            eps_init=0.5,
            action_key=env.action_key,
            action_mask_key=("agents", "action_mask"),
        ),
    )
    mixer = TensorDictModule(
        QMixer(state_shape=(seats, view), mixing_embed_dim=32, n_agents=seats, device="cpu"),
        in_keys=[("agents", "chosen_action_value"), seen],
        out_keys=["chosen_action_value"],
    )
    loss = QMixerLoss(greedy, mixer, delay_value=True, action_space="categorical")
    loss.set_keys(
        action_value=("agents", "action_value"),
        local_value=("agents", "chosen_action_value"),
        global_value="chosen_action_value",
        action=env.action_key,
    )
    loss.make_value_estimator(gamma=0.99)
    target, adam = SoftUpdate(loss, eps=0.995), torch.optim.Adam(loss.parameters(), lr=1e-3)
    memory = TensorDictReplayBuffer(storage=LazyTensorStorage(5000 * STEPS), batch_size=MATCHES * STEPS)

    def iterate() -> int:
        for _ in range(MATCHES):
            with torch.no_grad():
                played = env.rollout(STEPS, explore)
            played["next", "reward"] = played["next", "agents", "reward"].mean(-2)
            memory.extend(played)
        for _ in range(UPDATES):
            adam.zero_grad()
            loss(memory.sample())["loss"].backward()
            torch.nn.utils.clip_grad_norm_(loss.parameters(), 10.0)
            adam.step()
            target.step()
        return MATCHES * STEPS

    return iterate


def test_qmix_beside_torchrl(one_thread):
    found = compare("qmix/coordination, joint steps learned from, beside TorchRL's QMIX", our_qmix(), torchrl_qmix(), rounds=3)
    assert np.median(found["ratios"]) >= 1
