"""Meta-strategies: how often each seat should draw each policy of a population, from what the policies earn against each other.

``payoffs`` is an array [seats, members, ..., members] with one axis of members a seat: what a seat earns where seat 0 plays member i,
seat 1 member j, and so on. A meta-strategy is an array [seats, members] of probabilities. Solvers are functions of one to the other.
"""

from __future__ import annotations

from collections.abc import Callable
from string import ascii_lowercase

import numpy as np
from numpy.typing import NDArray

from marl_llm.errors import MissingExtra

Floats = NDArray[np.float64]


def uniform(payoffs: Floats) -> Floats:
    """Every member equally often: with best responses as the oracle this is fictitious self-play (Heinrich et al. 2015)."""
    return np.full(payoffs.shape[:2], 1 / payoffs.shape[1])


def nash(payoffs: Floats) -> Floats:
    """A Nash equilibrium of two seats whose payoffs sum to a constant, by linear programming (von Neumann 1928): seat 0 maximises what
    it earns at least, v <= (x A)_j for every j, and the prices of these bounds are seat 1's strategy.

    ValueError for another number of seats, or another sum; MissingExtra without scipy.
    """
    if len(payoffs) != 2:
        raise ValueError(f"nash solves tables of 2 seats; got {len(payoffs)}")
    total, table = payoffs.sum(0), payoffs[0]
    if np.ptp(total) > 1e-6 * max(1.0, float(np.abs(payoffs).max())):
        raise ValueError(f"nash solves tables whose payoffs sum to a constant; got sums from {total.min():.6g} to {total.max():.6g}")
    try:
        from scipy.optimize import linprog
    except ImportError:
        raise MissingExtra("solver nash", "population") from None
    rows, columns = table.shape
    table = (table - table.min()) / (np.ptp(table) or 1.0)  # so that tolerances mean the same in every game
    found = linprog(
        np.append(np.zeros(rows), -1),
        A_ub=np.column_stack([-table.T, np.ones(columns)]),
        b_ub=np.zeros(columns),
        A_eq=np.append(np.ones(rows), 0)[None],
        b_eq=[1],
        bounds=[(0, None)] * rows + [(None, None)],
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    x, y = np.maximum(found.x[:rows], 0), np.maximum(-found.ineqlin.marginals, 0)
    return np.stack([x / x.sum(), y / y.sum()])


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
