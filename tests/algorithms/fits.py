"""Full-batch fits of payoff tables by QMIX's mixture, over many tables and seeds at once, and training on small team games."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from algorithms.buffer import episodes_of
from algorithms.qmix import QMIX, QMIXAlgorithm, central_weight, loss, monotonic
from marl_llm import registry
from marl_llm.algorithm import Setup
from marl_llm.play import play
from marl_llm.records import Batch

TABLES = {
    "qmix": [[8, -12, -12], [-12, 0, 0], [-12, 0, 0]],
    "climbing": [[11, -30, 0], [-30, 7, 6], [0, 0, 5]],
    "penalty(k=-100)": [[-100, 0, 10], [0, 2, 0], [10, 0, -100]],
}
EMBED = 32


def drawn(seed: int, actions: int) -> list[Tensor]:
    """Utilities of two seats and the mixture's four parts, for one seed."""
    rng = torch.Generator().manual_seed(seed)
    shapes = [(2, EMBED), (EMBED,), (EMBED,), ()]
    return [torch.randn(2, actions, generator=rng) * 0.1, *(torch.rand(shape, generator=rng) - 0.5 for shape in shapes)]


def fitted(tables: list[list[list[float]]], seeds: range, steps: int, weight: float = 1.0) -> tuple[Tensor, NDArray, NDArray]:
    """Joint values [tables, seeds, A, A], payoffs of the greedy joint action and sums of squared errors [tables, seeds].

    Adam at 5e-3 on all entries alike; ``weight`` < 1 is CW-QMIX with the payoffs themselves for its critic.
    """
    pay = torch.tensor(tables, dtype=torch.float32)
    count, size, _ = pay.shape
    y = pay.reshape(count, 1, size**2).expand(count, len(seeds), size**2)
    starts = zip(*(drawn(seed, size) for seed in seeds), strict=True)
    parts = [torch.stack([torch.stack(part)] * count).requires_grad_() for part in starts]
    adam = torch.optim.Adam(parts, lr=5e-3)
    joint = torch.arange(size**2)

    def total() -> Tensor:
        q, w1, b1, w2, b2 = parts
        chosen = torch.stack([q[:, :, 0, joint // size], q[:, :, 1, joint % size]], -1)
        return monotonic(chosen, *(part[:, :, None] for part in (w1, b1, w2, b2)))

    for _ in range(steps):
        best = parts[0].detach().argmax(-1)
        greedy = (best[..., 0] * size + best[..., 1])[..., None]
        weights = central_weight(y, y.gather(-1, greedy), joint == greedy, weight)
        adam.zero_grad()
        (loss(total(), y, weights) * y.numel()).backward()
        adam.step()
    with torch.no_grad():
        values = total()
        best = parts[0].argmax(-1)
        paid = pay[torch.arange(count)[:, None], best[..., 0], best[..., 1]]
        return values.reshape(count, len(seeds), size, size), paid.numpy(), (values - y).square().sum(-1).numpy()


def built(settings: QMIX, game: str, seed: int) -> QMIXAlgorithm:
    return settings.build(Setup((game,), registry.game, None, seed))


def batch_of(algorithm: QMIXAlgorithm, step: int) -> Batch:
    pool = SimpleNamespace(resolve=algorithm.agents.__getitem__)
    return Batch.concat(play(algorithm.plan(step), pool, registry.game, in_flight=4096))


def trained(settings: QMIX, game: str, seed: int) -> QMIXAlgorithm:
    algorithm = built(settings, game, seed)
    for step in range(settings.horizon):
        algorithm.learn(batch_of(algorithm, step))
    return algorithm


def greedy_return(algorithm: QMIXAlgorithm, step: int = 10_000) -> float:
    """The team's mean return without exploration."""
    algorithm.agent.epsilon = 0.0
    return float(batch_of(algorithm, step)["seat.return"].mean())


UNIFORM = QMIX(lam=0, horizon=150, matches=64, updates=6, batch=32, epsilon_last=1.0, hidden=(32,), target_every=50, lr=3e-3, capacity=2000)
"""Uniform play for ever: what is fitted is the whole table alike."""


def first_values(algorithm: QMIXAlgorithm) -> tuple[float, float]:
    """In the two-step game the joint values of seat 0's first move A and B, the best over seat 1's."""
    episodes = episodes_of(batch_of(algorithm, 20_000), 2, 2)
    total = algorithm.learner.values(episodes)[0].detach().numpy().reshape(len(episodes), 2)[:, 0]
    first = episodes.action_ETN[:, 0, 0]
    return float(np.max(total[first == 0])), float(np.max(total[first == 1]))
