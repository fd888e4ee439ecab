"""Figures with their 95% intervals. The unit of chance is the deal: all matches on one deal rise and fall together.

Means: cluster-robust standard error with Student's t (Liang and Zeger, 1986). Proportions: Wilson (1927). Anything else:
the bootstrap over deals (Efron, 1979).
"""

from __future__ import annotations

from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from marl_llm.seeding import generator

LEVEL = 0.95
BLOCKS = 1000
"""Deals beyond this number are resampled in blocks of several, which bounds memory and keeps the unit independent."""


class Interval(NamedTuple):
    """A figure and the ends of its interval: infinite where a single deal gives none, NaN where there is no figure."""

    mean: float
    low: float
    high: float
    n: int

    def json(self) -> dict[str, float | int | None]:
        """For a JSON object; what is not finite is null."""
        bounds = {name: float(x) if np.isfinite(x) else None for name, x in zip(("mean", "low", "high"), self, strict=False)}
        return {**bounds, "games": int(self.n)}

    def __str__(self) -> str:
        return f"{self.mean:+.3f} ±{(self.high - self.low) / 2:.3f}" if self.n else "-"


def mean(values: ArrayLike, deals: ArrayLike | None = None, *, level: float = LEVEL) -> Interval:
    """Mean of ``values`` [n]; ``deals`` [n] says which belong together (each value alone if left out)."""
    values = np.asarray(values, float)
    return means(values, np.arange(len(values)) if deals is None else deals, np.zeros(len(values), np.int64), 1, level=level)[0]


def means(values: ArrayLike, deals: ArrayLike, group: NDArray[np.int64], groups: int, *, level: float = LEVEL) -> list[Interval]:
    """Mean of the values of each of ``groups``; ``values``, ``deals`` and ``group`` (0 to groups - 1) are aligned, [n]."""
    values, (deal, unit) = np.asarray(values, float), units(deals)
    count = np.bincount(group, minlength=groups)
    with np.errstate(invalid="ignore", divide="ignore"):
        centre = np.bincount(group, values, groups) / count
        cell = group * unit + deal
        residual = np.bincount(cell, values - centre[group], groups * unit).reshape(groups, unit)
        clusters = (np.bincount(cell, minlength=groups * unit).reshape(groups, unit) > 0).sum(1)
        error = np.sqrt((residual**2).sum(1) * clusters / (clusters - 1)) / count
        half = np.where(clusters > 1, student(clusters - 1, level) * error, np.inf)
    bounds = zip(centre.tolist(), (centre - half).tolist(), (centre + half).tolist(), count.tolist(), strict=True)
    return [Interval(*bound) for bound in bounds]


def proportion(successes: int, count: int, *, level: float = LEVEL) -> Interval:
    """Share of ``successes`` among ``count`` independent trials."""
    if count == 0:
        return Interval(np.nan, 0.0, 1.0, 0)
    z, p = NormalDist().inv_cdf(0.5 + level / 2), successes / count
    centre = (p + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(p * (1 - p) / count + z**2 / (4 * count**2))
    return Interval(p, max(0.0, float(centre - half)), min(1.0, float(centre + half)), count)


def units(deals: ArrayLike) -> tuple[NDArray[np.int64], int]:
    """For every row the number of its deal (of its block of deals beyond ``BLOCKS``), and how many there are."""
    known, deal = np.unique(np.asarray(deals), return_inverse=True)
    return deal % BLOCKS, min(len(known), BLOCKS)


def resampled(totals: NDArray[Any], draws: int, seed: int) -> NDArray[np.float64]:
    """Bootstrap over deals: ``totals`` [deals, ...] of any additive figures gives their sums in ``draws`` resamples, [draws, ...]."""
    deals = len(totals)
    times = generator(seed).multinomial(deals, np.full(deals, 1 / deals), size=draws).astype(float)
    return (times @ totals.reshape(deals, -1).astype(float)).reshape(draws, *totals.shape[1:])


def quantiles(draws: NDArray[np.float64], *, level: float = LEVEL) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ends of the percentile interval of bootstrap ``draws`` [draws, ...]."""
    low, high = np.quantile(draws, [0.5 - level / 2, 0.5 + level / 2], axis=0)
    return low, high


def student(freedom: ArrayLike, level: float = LEVEL) -> NDArray[np.float64]:
    """Two-sided quantile of Student's t: exact for 1 and 2 degrees of freedom, elsewhere Cornish and Fisher's expansion
    (Abramowitz and Stegun 26.7.5), within 0.5% from 3 on."""
    v, z = np.maximum(np.asarray(freedom, float), 1), NormalDist().inv_cdf(0.5 + level / 2)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    t = z + sum(term / v ** (k + 1) for k, term in enumerate(terms))
    t = np.where(v == 1, np.tan(np.pi * level / 2), t)
    return np.where(v == 2, level * np.sqrt(2 / (1 - level**2)), t)
