"""Who beats whom, beyond one number an agent: alpha-rank, Nash averaging, and how much of it all goes round in circles.

All take ``gains`` [n, n]: what the row earns against the column, each agent in every seat equally often, NaN where two have
not met. In a game of two seats that sums to zero it is antisymmetric.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from marl_llm.errors import MissingExtra

Floats = NDArray[np.float64]
MUTATION = 1e-3
"""Chance that a weaker strategy takes over all the same, of alpha-rank in the limit of strong selection."""
TRIPLES = 5


def alpha_rank(gains: Floats) -> Floats:
    """The share of time that a population spends with each agent, [..., n], where a better one replaces it sooner or later
    (Omidshafiei et al. 2019, arXiv 1903.01373, one population, strong selection): the stationary distribution of

        C[s, r] = eta (1 - m) if gains[r, s] > gains[s, r]     eta / 2 if both are equal or unknown     eta m otherwise

    for r != s, with eta = 1 / (n - 1) and m = ``MUTATION``. ``gains`` is [..., n, n].
    """
    n = gains.shape[-1]
    lead = np.nan_to_num(gains - gains.swapaxes(-1, -2))
    move = np.where(lead < 0, 1 - MUTATION, np.where(lead > 0, MUTATION, 0.5)) / (n - 1)
    move[..., np.arange(n), np.arange(n)] = 0
    move[..., np.arange(n), np.arange(n)] = 1 - move.sum(-1)
    system = move.swapaxes(-1, -2) - np.eye(n)
    system[..., -1, :] = 1  # the shares sum to 1
    target = np.zeros((*gains.shape[:-1], 1))
    target[..., -1, 0] = 1
    return np.linalg.solve(system, target)[..., 0]


def nash_average(gains: Floats) -> tuple[Floats, Floats]:
    """Shares [n] of the equilibrium of most entropy of the game in which agents are the moves, and what each agent earns
    against it, [n], 0 at most (Balduzzi et al. 2018, arXiv 1806.02643): copies of an agent change nothing for the others.

    Of the equilibria p >= 0, sum p = 1, gains p <= 0 of an antisymmetric table without gaps. MissingExtra without scipy.
    """
    try:
        from scipy.optimize import linprog, minimize
    except ImportError:
        raise MissingExtra("Nash averaging", "ratings") from None
    n = len(gains)
    table = (gains - gains.T) / 2
    table = table / (abs(table).max() or 1.0)
    one, slack = np.ones((1, n)), 1e-9
    # of every agent the equilibrium that has most of it
    held = [linprog(-np.eye(n)[i], A_ub=table, b_ub=np.full(n, slack), A_eq=one, b_eq=[1], bounds=[(0, 1)] * n).x for i in range(n)]
    support = np.flatnonzero(np.max(held, axis=0) > 1e-6)  # no equilibrium has any of the others
    start = np.mean(held, axis=0)[support]
    found = minimize(
        lambda p: float((p * np.log(p)).sum()),
        start / start.sum(),
        jac=lambda p: np.log(p) + 1,
        method="SLSQP",
        bounds=[(1e-9, 1)] * len(support),
        constraints=[
            {"type": "eq", "fun": lambda p: p.sum() - 1, "jac": lambda p: np.ones(len(p))},
            {"type": "ineq", "fun": lambda p: slack - table[:, support] @ p, "jac": lambda p: -table[:, support]},
        ],
        options={"ftol": 1e-12, "maxiter": 500},
    )
    best = found.x if found.success else start
    share = np.zeros(n)
    share[support] = best / best.sum()
    return share, (gains - gains.T) / 2 @ share


@dataclass(frozen=True)
class Triple:
    """Three agents of whom each beats the next and the last the first, and by how much at least."""

    agents: tuple[int, int, int]
    least: float


@dataclass(frozen=True)
class Split:
    """The part of the payoffs that a number an agent explains, and the part that goes in circles."""

    rating: Floats
    """[n], mean 0: what explains most of the payoffs as differences."""
    cyclic: float
    """Share of the sum of squared payoffs that is cyclic."""
    luck: float
    """The cyclic share that chance alone would show, were there none."""
    triples: tuple[Triple, ...]
    """The worst circles of three."""


def hodge(gains: Floats, draws: Floats | None = None) -> Split:
    """Split payoffs into gradient and rest (Jiang et al. 2011, arXiv 0811.1067): ``rating`` minimises the squares of
    gains[i, j] - (rating[i] - rating[j]) over pairs that met. ``draws`` [k, n, n] are resampled gains, from which ``luck`` is."""
    edge = (gains - gains.T) / 2
    met = np.isfinite(edge) & ~np.eye(len(gains), dtype=bool)
    edge = np.where(met, edge, 0.0)
    rating, rest = _gradient(edge, met)
    size = float((edge**2).sum()) or 1.0
    luck = 0.0
    if draws is not None:
        drawn = np.where(met, np.nan_to_num(draws - draws.swapaxes(-1, -2)) / 2, 0.0)
        noise = _gradient(drawn - edge, met)[1]
        luck = float((noise**2).sum((-1, -2)).mean()) / size
    circles = [
        Triple((i, *others), least)
        for i, j, k in combinations(range(len(gains)), 3)
        for others in ((j, k), (k, j))
        if (least := float(min(edge[i, others[0]], edge[others[0], others[1]], edge[others[1], i]))) > 0
    ]
    worst = sorted(circles, key=lambda triple: -triple.least)[:TRIPLES]
    return Split(rating, float((rest**2).sum()) / size, luck, tuple(worst))


def _gradient(edge: Floats, met: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Least-squares ratings [..., n] of antisymmetric tables [..., n, n], and what they leave."""
    laplace = np.diag(met.sum(1)) - met.astype(float)
    rating = edge.sum(-1) @ np.linalg.pinv(laplace, hermitian=True)
    return rating, np.where(met, edge - (rating[..., :, None] - rating[..., None, :]), 0.0)


@dataclass(frozen=True)
class Analysis:
    """How agents stand to each other, beyond their payoffs: alpha-rank's shares with the ends of their intervals [n, 3], Nash averaging
    (shares and skill, [n] each) where it is defined, and the split."""

    alpha: Floats
    nash: tuple[Floats, Floats] | None
    split: Split

    def json(self, names: tuple[str, ...]) -> dict[str, object]:
        """For a JSON object."""
        agents = {
            name: {
                "alpha_rank": dict(zip(("share", "low", "high"), self.alpha[i].tolist(), strict=True)),
                **({} if self.nash is None else {"nash_share": float(self.nash[0][i]), "nash_skill": float(self.nash[1][i])}),
                "rating": float(self.split.rating[i]),
            }
            for i, name in enumerate(names)
        }
        triples = [{"agents": [names[i] for i in triple.agents], "least": triple.least} for triple in self.split.triples]
        return {"agents": agents, "cyclic": self.split.cyclic, "luck": self.split.luck, "triples": triples}

    def lines(self, names: tuple[str, ...]) -> list[str]:
        """In words."""
        said = f"{self.split.cyclic:.0%} of what they win from each other goes in circles ({self.split.luck:.0%} would by luck)"
        circles = [
            f"  {' beats '.join(names[i] for i in (*triple.agents, triple.agents[0]))}, by {triple.least:.3g} at least"
            for triple in self.split.triples
        ]
        return [said, *circles]


def analysis(gains: Floats, draws: Floats, *, zero_sum: bool) -> Analysis | None:
    """Of three agents or more who have all met. ``draws`` are as in ``hodge``."""
    n = len(gains)
    if n < 3 or not np.isfinite(gains[~np.eye(n, dtype=bool)]).all():
        return None
    low, high = np.quantile(alpha_rank(draws), [0.025, 0.975], axis=0)
    every = np.where(np.eye(n, dtype=bool), 0.0, gains)
    nash = None
    if zero_sum:
        try:
            nash = nash_average(every)
        except MissingExtra:
            nash = None
    return Analysis(np.column_stack([alpha_rank(every), low, high]), nash, hodge(every, draws))
