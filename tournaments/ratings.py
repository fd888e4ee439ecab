"""Strength from wins, draws and losses: Bradley and Terry (1952) with ties after Davidson (1970), in Elo units.

    P(i beats j) = e^(d/2) / Z     P(draw) = nu / Z     Z = e^(d/2) + e^(-d/2) + nu     d = s_i - s_j

The likelihood is concave in (s, log nu); a weak normal prior keeps the strength of an unbeaten agent finite. Intervals
resample deals, so matches on one deal stay together.
"""

from __future__ import annotations

from math import log

import numpy as np
from numpy.typing import NDArray

from marl_llm.intervals import Interval, quantiles, resampled, units

ELO = 400 / log(10)
PRIOR = 0.01
"""Precision of the prior on strengths and on log nu, in natural units: a standard deviation of 10, or 1,737 Elo."""
LOSS, DRAW, WIN = range(3)


def strengths(wins: NDArray[np.float64], draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """Maximum of the posterior, by Newton's method for any number of tables at once.

    ``wins`` [..., n, n] counts victories of row over column, ``draws`` [..., n, n] is symmetric. Natural units, mean 0.
    """
    *batch, n, _ = wins.shape
    games = wins + wins.swapaxes(-1, -2) + draws
    net = (wins - wins.swapaxes(-1, -2)).sum(-1) / 2
    drawn = draws.sum((-1, -2)) / 2
    x = np.zeros((*batch, n + 1))  # strengths, and last log nu
    diagonal = np.arange(n)
    for _ in range(50):
        half = np.exp((x[..., :n, None] - x[..., None, :n]) / 2)
        nu = np.exp(x[..., n])[..., None, None]
        total = half + 1 / half + nu
        lead, tie = (half - 1 / half) / total, nu / total
        gradient = np.concatenate([net - (games * lead).sum(-1) / 2, (drawn - (games * tie).sum((-1, -2)) / 2)[..., None]], axis=-1)
        gradient -= PRIOR * x
        curve = games * (1 - tie - lead**2) / 4
        hessian = np.zeros((*batch, n + 1, n + 1))
        hessian[..., :n, :n] = -curve
        hessian[..., diagonal, diagonal] += curve.sum(-1)
        cross = -(games * tie * lead).sum(-1) / 2
        hessian[..., :n, n] = hessian[..., n, :n] = cross
        hessian[..., n, n] = (games * tie * (1 - tie)).sum((-1, -2)) / 2
        hessian += PRIOR * np.eye(n + 1)
        step = np.linalg.solve(hessian, gradient[..., None])[..., 0]
        x += np.clip(step, -2, 2)  # far from the optimum a full step may overshoot
        if np.abs(step).max() < 1e-6:
            break
    return x[..., :n] - x[..., :n].mean(-1, keepdims=True)


def elo(
    players: NDArray[np.int64], outcome: NDArray[np.int64], deals: NDArray[np.int64], n: int, *, draws: int = 1000, seed: int = 0
) -> tuple[list[Interval], NDArray[np.float64]]:
    """Elo of each of ``n`` agents (mean 0) with bootstrap intervals over deals, and its ``draws`` [draws, n].

    ``players`` [matches, 2] are numbers of agents, ``outcome`` [matches] is LOSS, DRAW or WIN of the first.
    """
    deal, count = units(deals)
    first, second = players.T
    cell = ((deal * 3 + outcome) * n + first) * n + second
    tables = np.bincount(cell, minlength=count * 3 * n * n).reshape(count, 3, n, n)
    wins = tables[:, WIN] + tables[:, LOSS].swapaxes(-1, -2)
    drawn = tables[:, DRAW] + tables[:, DRAW].swapaxes(-1, -2)
    totals = np.stack([wins, drawn], axis=1)
    every = ELO * strengths(totals[:, 0].sum(0).astype(float), totals[:, 1].sum(0).astype(float))
    sums = resampled(totals, draws, seed)
    drawn_elo = ELO * strengths(sums[:, 0], sums[:, 1])
    low, high = quantiles(drawn_elo)
    if count == 1:
        low, high = np.full(n, -np.inf), np.full(n, np.inf)
    games = np.bincount(players.reshape(-1), minlength=n)
    return [Interval(*row) for row in zip(every.tolist(), low.tolist(), high.tolist(), games.tolist(), strict=True)], drawn_elo
