"""Ranks with intervals: an agent's rank is between one more than surely stand above it and all who do not surely stand below.

"Surely" is Student's t over deals on the paired difference of two agents, with Bonferroni's correction over the agents that one
is compared with, so that an interval holds as a whole (Mogstad et al. 2024, Review of Economic Studies).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from marl_llm.intervals import LEVEL, student


def ranks(figure: NDArray[np.float64], draws: NDArray[np.float64], deals: int, *, level: float = LEVEL) -> list[tuple[int, int]]:
    """Lowest and highest possible rank of each agent, 1 the best: ``figure`` [n], and ``draws`` [k, n] of it over resampled ``deals``."""
    n = len(figure)
    if deals < 2 or n < 2:
        return [(1, n)] * n
    spread = np.cov(draws, rowvar=False) * deals / (deals - 1)  # resampling sees the variance of a sample, not of its source
    own = np.diag(spread)
    error = np.sqrt(np.maximum(own[:, None] + own[None, :] - 2 * spread, 0))
    above = figure[None, :] - figure[:, None]  # [i, j]: by how much j stands above i
    sure = abs(above) > student(deals - 1, 1 - (1 - level) / (n - 1)) * error
    better, worse = (sure & (above > 0)).sum(1), (sure & (above < 0)).sum(1)
    return list(zip((1 + better).tolist(), (n - worse).tolist(), strict=True))
