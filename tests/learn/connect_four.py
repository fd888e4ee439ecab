"""PPO learns Connect Four by self-play alone for some minutes, and meets MCTS with 100 simulations a move now and then.

``python tests/learn/connect_four.py MINUTES SEED`` prints a JSON object a measurement: how often it won, with its 95% interval, over
deals played in both seats. Settings were tuned on seeds from 100 on.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from time import monotonic
from types import SimpleNamespace

import numpy as np

from algorithms.ppo import PPO, PPOAlgorithm
from algorithms.samplers import SelfPlay
from marl_llm import intervals, registry
from marl_llm.algorithm import Setup
from marl_llm.anchors import AGENT, meet
from marl_llm.intervals import Interval
from marl_llm.play import play
from marl_llm.records import Batch

GAME = "connect_four"
SETTINGS = PPO(
    sampler=SelfPlay(matches=2048, opening=7), hidden=(256, 256), minibatch=2048, epochs=4, lr=1e-3, entropy=0.02, alpha=0.1, proximal=1.0
)
MEASUREMENTS = 12


def iteration(algorithm: PPOAlgorithm, step: int) -> None:
    pool = SimpleNamespace(resolve=algorithm.agents.__getitem__)
    algorithm.learn(Batch.concat(play(algorithm.plan(step), pool, registry.game, in_flight=4096)))


def won(algorithm: PPOAlgorithm, deals: int, seed: int) -> Interval:
    """How often the policy wins against the anchor; a draw is no win."""
    batch = meet(registry.game(GAME), algorithm.agent, registry.agent("mcts:100"), deals, seed)
    mine = batch["seat.player"] == batch.tables["player"].index(AGENT)
    return intervals.proportion(int((batch["seat.return"][mine] > 0).sum()), int(mine.sum()))


def curve(minutes: float, seed: int, deals: int = 50, settings: PPO = SETTINGS) -> Iterator[dict[str, float]]:
    """Measurements, the last of four times as many deals. Time to measure counts too; the schedule is laid over what is left of it."""
    began = monotonic()
    algorithm = settings.build(Setup((GAME,), registry.game, None, seed))
    iteration(algorithm, 0)  # imports
    warm = monotonic()
    for step in range(1, 6):
        iteration(algorithm, step)
    rate = (monotonic() - warm) / 5
    horizon = int(0.75 * minutes * 60 / rate)  # matches grow longer as play grows better
    algorithm = replace(settings, horizon=horizon).build(Setup((GAME,), registry.game, None, seed))
    due = np.linspace(0, horizon, MEASUREMENTS, dtype=int)[1:]
    for step in range(horizon):
        iteration(algorithm, step)
        last = step == horizon - 1 or monotonic() - began > 60 * minutes
        if last or step in due:
            chance = won(algorithm, 4 * deals if last else deals, seed)
            yield {"minutes": round((monotonic() - began) / 60, 1), "iteration": step + 1, "horizon": horizon, **chance.json()}
        if last:
            return


if __name__ == "__main__":
    for found in curve(float(sys.argv[1]), int(sys.argv[2])):
        print(json.dumps(found), flush=True)
