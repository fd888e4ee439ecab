"""Meta-strategies: how often each seat should draw each policy of a population, from what the policies earn against each other.

``payoffs`` is an array [seats, members, ..., members] with one axis of members a seat: what a seat earns where seat 0 plays member i,
seat 1 member j, and so on. A meta-strategy is an array [seats, members] of probabilities. Solvers are functions of one to the other.
"""

from __future__ import annotations

from collections.abc import Callable
from string import ascii_lowercase

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
ZERO = 1e-12
"""Pivots and reduced costs nearer to 0 are 0."""


def uniform(payoffs: Floats) -> Floats:
    """Every member equally often: with best responses as the oracle this is fictitious self-play (Heinrich et al. 2015)."""
    return np.full(payoffs.shape[:2], 1 / payoffs.shape[1])


def nash(payoffs: Floats) -> Floats:
    """A Nash equilibrium of two seats whose payoffs sum to a constant, by linear programming (von Neumann 1928; Dantzig 1951).

    With a table A > 0 of what seat 0 earns, seat 1 solves: maximise sum(y), A y <= 1, y >= 0; the duals of the rows are seat 0's
    solution, and either divided by its sum is a strategy. ValueError for another number of seats, or another sum.
    """
    if len(payoffs) != 2:
        raise ValueError(f"nash solves tables of 2 seats; got {len(payoffs)}")
    total = payoffs.sum(0)
    if np.ptp(total) > 1e-6 * max(1.0, float(np.abs(payoffs).max())):
        raise ValueError(f"nash solves tables whose payoffs sum to a constant; got sums from {total.min():.6g} to {total.max():.6g}")
    table = payoffs[0] - payoffs[0].min()
    scale = float(table.max()) or 1.0
    y, x = _simplex(table / scale + 1)
    return np.stack([x / x.sum(), y / y.sum()])


def _simplex(table: Floats) -> tuple[Floats, Floats]:
    """The y that maximises sum(y) under ``table`` y <= 1, y >= 0, and the duals, by pivots chosen by Bland's rule (1977), which ends."""
    rows, columns = table.shape
    tableau = np.block([[table, np.eye(rows), np.ones((rows, 1))], [-np.ones((1, columns)), np.zeros((1, rows + 1))]])
    basis = np.arange(columns, columns + rows)
    while len(entering := np.flatnonzero(tableau[-1, :-1] < -ZERO)):
        column = tableau[:-1, entering[0]]
        ratio = np.where(column > ZERO, tableau[:-1, -1] / np.where(column > ZERO, column, 1), np.inf)
        ties = np.flatnonzero(ratio <= ratio.min() + ZERO)
        row = ties[basis[ties].argmin()]
        tableau[row] /= tableau[row, entering[0]]
        others = np.arange(rows + 1) != row
        tableau[others] -= np.outer(tableau[others, entering[0]], tableau[row])
        basis[row] = entering[0]
    y = np.zeros(columns + rows)
    y[basis] = np.maximum(tableau[:-1, -1], 0)
    return y[:columns], np.maximum(tableau[-1, columns:-1], 0)


def projected_replicator(payoffs: Floats, *, steps: int = 10_000, rate: float = 0.1, floor: float = 1e-6) -> Floats:
    """Projected replicator dynamics (Lanctot et al. 2017, arXiv 1711.00832), for any number of seats and any payoffs.

    dx_i / dt = x_i (u_i - x . u), each step of length ``rate`` followed by a projection onto the simplex in which no member has less than
    ``floor`` / members; the result is the mean over the second half of ``steps``. Payoffs are measured in their spread, so that ``rate``
    means the same in every game. The constants are a design choice.
    """
    spread = np.ptp(payoffs, axis=tuple(range(1, payoffs.ndim)), keepdims=True)
    scaled = payoffs / np.where(spread > 0, spread, 1)
    x, total = uniform(payoffs), np.zeros(payoffs.shape[:2])
    for step in range(steps):
        gain = values(scaled, x)
        x = _project(x + rate * x * (gain - (x * gain).sum(1, keepdims=True)), floor / x.shape[1])
        if step >= steps // 2:
            total += x
    return total / total.sum(1, keepdims=True)


def _project(x: Floats, floor: float) -> Floats:
    """The nearest points to the rows of ``x`` whose entries are at least ``floor`` and sum to 1."""
    free = 1 - floor * x.shape[1]
    ordered = -np.sort(floor - x, axis=1)
    excess = (np.cumsum(ordered, 1) - free) / np.arange(1, x.shape[1] + 1)
    last = (ordered > excess).sum(1) - 1
    return np.maximum(x - floor - excess[np.arange(len(x)), last, None], 0) + floor


def values(payoffs: Floats, strategy: Floats) -> Floats:
    """What each seat earns with each member while the others draw by ``strategy``, [seats, members]."""
    axes = ascii_lowercase[: len(payoffs)]
    gains = []
    for seat, table in enumerate(payoffs):
        others = [other for other in range(len(payoffs)) if other != seat]
        told = ",".join([axes, *(axes[other] for other in others)])
        gains.append(np.einsum(f"{told}->{axes[seat]}", table, *strategy[others]))
    return np.stack(gains)


def gap(payoffs: Floats, strategy: Floats) -> float:
    """Sum over seats of what the best member would gain over ``strategy``: 0 at a Nash equilibrium of the table."""
    gains = values(payoffs, strategy)
    return float((gains.max(1) - (gains * strategy).sum(1)).sum())


SOLVERS: dict[str, Callable[[Floats], Floats]] = {"nash": nash, "uniform": uniform, "prd": projected_replicator}
