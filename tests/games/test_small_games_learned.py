"""Independent PPO on games whose outcome is certain: a dominant action, a team's optimum, and the trap that it falls into."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from algorithms.ppo import PPO, PPOAlgorithm
from algorithms.samplers import SelfPlay
from games.coordination import Coordination
from marl_llm import registry
from marl_llm.algorithm import Setup
from marl_llm.play import play
from marl_llm.records import Batch


def batch_of(algorithm: PPOAlgorithm, step: int) -> Batch:
    return Batch.concat(play(algorithm.plan(step), SimpleNamespace(resolve=algorithm.agents.__getitem__), registry.game, in_flight=4096))


def learned(spec: str, seed: int, horizon: int, matches: int = 256) -> Batch:
    """Matches of the last policy; nothing need hold self-play back here, so this is plain PPO."""
    settings = PPO(horizon=horizon, sampler=SelfPlay(matches=matches), minibatch=256, lr=3e-3, hidden=(32,), alpha=0, proximal=0)
    algorithm = settings.build(Setup((spec,), registry.game, None, seed))
    for step in range(horizon):
        algorithm.learn(batch_of(algorithm, step))
    return batch_of(algorithm, horizon)


def test_to_defect_is_dominant() -> None:
    """In both rounds of a dilemma of two, whatever was played before."""
    assert learned("matrix(payoffs=prisoners_dilemma,rounds=2)", 0, 25)["turn.action"].mean() > 0.98


def test_two_step_is_solved() -> None:
    """B is dominant in state B, and with it the way there: 8, and not the safe 7."""
    assert learned("two_step", 0, 40)["seat.return"].mean() > 7.5


@pytest.mark.parametrize(("payoffs", "action", "optimum"), [("climbing", 2, 11), ("penalty", 1, 10)])
def test_independent_learners_take_the_safe_action(payoffs: str, action: int, optimum: float) -> None:
    """As in the literature: against exploring partners the optimum's actions are punished."""
    batch = learned(f"matrix(payoffs={payoffs})", 0, 40)
    assert (batch["turn.action"] == action).mean() > 0.85
    assert batch["seat.return"].mean() < optimum / 2


def test_all_zeros_is_found() -> None:
    """From equal bits and nearly uniform play zeros pay more than ones, so two seats find the better of both equilibria."""
    batch = learned("coordination(seats=2,rounds=8,discount=0.95)", 0, 25, matches=128)
    assert batch["turn.action"].mean() < 0.15
    spread = 3 * np.std(batch["seat.return"]) / len(batch) ** 0.5
    assert batch["seat.return"].mean() > 0.97 * Coordination(2, 8).optimum() - spread
