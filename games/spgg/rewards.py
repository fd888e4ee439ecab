"""What sequential public goods pay language agents, as far as it is public: MAC-SPGG (Liang et al., 2025, arXiv 2508.02076).

Seats contribute in a fixed order. With c_i what seat i contributed, S_i = c_1 + ... + c_(i-1) and C the sum over all n seats,

    r_i = -cost c_i^power + gamma c_i S_i + (rho / n) C - penalty [C < threshold n]

This is a reconstruction, not the paper's own equation. That there are these four parts (a private cost, a bonus for building on
predecessors, an equal share of the public good, a penalty for all where the threshold is missed) and the coefficients' defaults come
from the project's public description and checkpoint; the forms of the cost and of the gamma term are our reading.
``games.public_goods`` has the same reward over tokens, with the exact equilibrium.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Reward:
    """The coefficients above; ``threshold`` is a share of what all seats can contribute."""

    seats: int
    rho: float
    gamma: float
    penalty: float
    threshold: float
    cost: float
    power: int

    def __call__(self, contribution: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rewards from contributions between 0 and 1, both [..., seats]."""
        before = np.cumsum(contribution, -1) - contribution
        total = contribution.sum(-1, keepdims=True)
        missed = total < self.threshold * self.seats - 1e-9
        private = self.gamma * contribution * before - self.cost * contribution**self.power
        return private + self.rho / self.seats * total - self.penalty * missed

    def bounds(self) -> tuple[float, float]:
        """What no seat's reward goes beyond."""
        return -self.cost - self.penalty, self.gamma * (self.seats - 1) + self.rho
