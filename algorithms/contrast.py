"""CANON (Chen et al. 2025, arXiv 2509.23962): a group is split into halves by a metric, and compared across and inside them.

    inter(i) = r(i) - mean of the other half      intra(i) = r(i) - mean of i's own half      A = mu inter + (1 - mu) intra

Halves part at the place N // 2 of the ascending metric. With mu = 1/2 and equal halves A is the centred reward, so the metric acts
only through mu, and through ``alpha``, which favours one half: r - alpha x mean there, alpha x r - mean in the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from algorithms.estimators import Estimator, with_alone
from algorithms.groups import Floats, Rows, cell_mean, ranked, trajectory_mean
from algorithms.parts import Memory


@dataclass(frozen=True, kw_only=True)
class Contrast(Estimator):
    """Over trajectories; one alone in its group keeps its value."""

    metric: Literal["turn.entropy", "turn.length", "turn.logp"] = "turn.entropy"
    """A trajectory's is the mean over its turns."""
    inter: float = 0.5
    """mu, the share of the comparison with the other half."""
    favour: Literal["high", "low"] = "high"
    alpha: float = 1.0
    """Below 1 the favoured half gains; 1 favours none."""

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.metric,)

    def estimate(self, rows: Rows, memory: Memory) -> Floats:
        high = ranked(rows.group, trajectory_mean(rows.batch, self.metric), rows.counted) >= rows.size // 2
        of_high, of_low = (cell_mean(rows.group, rows.value, rows.counted & half) for half in (high, ~high))
        own, other = np.where(high, of_high, of_low), np.where(high, of_low, of_high)
        favoured = high if self.favour == "high" else ~high
        inter = np.where(favoured, rows.value - self.alpha * other, self.alpha * rows.value - other)
        return with_alone("raw", rows, self.inter * inter + (1 - self.inter) * (rows.value - own))
