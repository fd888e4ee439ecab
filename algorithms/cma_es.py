"""CMA-ES with the standard equations and settings of Hansen's tutorial (2016, arXiv 1604.00772), to maximise.

    x_i = m + sigma C^(1/2) z_i,   m <- m + sum over the mu best of w_i (x_i - m),   w_i proportional to ln(mu + 1/2) - ln i

with cumulative step-size adaptation and rank-one and rank-mu updates of C with positive weights. Its whole state is arrays and a
candidate is a function of (seed, generation), so a search is saved without pickle and no global generator is drawn from.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from marl_llm.seeding import generator

Floats = NDArray[np.float64]


def weights(parents: int) -> Floats:
    """Of the best ``parents`` candidates, best first; they sum to 1."""
    raw = np.log(parents + 0.5) - np.log(np.arange(1, parents + 1))
    return raw / raw.sum()


class CMAES:
    """A search over ``size`` numbers from 0 on, in generations of ``population`` candidates, half of them parents."""

    def __init__(self, size: int, population: int, sigma: float, seed: int) -> None:
        self.size, self.population, self.seed = size, population, seed
        self.weights = weights(population // 2)
        self.mass = 1 / np.square(self.weights).sum()
        """mu_eff"""
        n, mass = size, self.mass
        self.c_sigma = (mass + 2) / (n + mass + 5)
        self.damping = 1 + 2 * max(0.0, np.sqrt((mass - 1) / (n + 1)) - 1) + self.c_sigma
        self.c_c = (4 + mass / n) / (n + 4 + 2 * mass / n)
        self.c_1 = 2 / ((n + 1.3) ** 2 + mass)
        self.c_mu = min(1 - self.c_1, 2 * (mass - 2 + 1 / mass) / ((n + 2) ** 2 + mass))
        self.length = np.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n**2))
        """Expected length of a standard normal vector."""
        self.state = {"mean": np.zeros(n), "sigma": np.asarray(sigma), "covariance": np.eye(n)}
        self.state |= {"path": np.zeros(n), "path_sigma": np.zeros(n), "generation": np.asarray(0.0)}

    @property
    def mean(self) -> Floats:
        """Where the search is, shape [size]."""
        return self.state["mean"]

    def ask(self) -> Floats:
        """This generation's candidates, [population, size]; the same however often it is asked."""
        axes, lengths = self._axes()
        z = generator(self.seed, int(self.state["generation"])).standard_normal((self.population, self.size))
        return self.mean + float(self.state["sigma"]) * (z * lengths) @ axes.T

    def tell(self, candidates: Floats, fitness: Floats) -> None:
        """``fitness`` [population] of ``candidates``, higher is better; a generation ends."""
        best = np.argsort(-fitness, kind="stable")[: len(self.weights)]
        axes, lengths = self._axes()
        steps = (candidates[best] - self.mean) / float(self.state["sigma"])
        step, generation = self.weights @ steps, float(self.state["generation"]) + 1
        white = axes @ ((axes.T @ step) / lengths)
        path_sigma = (1 - self.c_sigma) * self.state["path_sigma"] + np.sqrt(self.c_sigma * (2 - self.c_sigma) * self.mass) * white
        norm = float(np.linalg.norm(path_sigma))
        stalled = norm / np.sqrt(1 - (1 - self.c_sigma) ** (2 * generation)) >= (1.4 + 2 / (self.size + 1)) * self.length
        path = (1 - self.c_c) * self.state["path"] + (not stalled) * np.sqrt(self.c_c * (2 - self.c_c) * self.mass) * step
        kept = 1 - self.c_1 - self.c_mu + stalled * self.c_1 * self.c_c * (2 - self.c_c)
        spread = (steps.T * self.weights) @ steps
        self.state = {
            "mean": self.mean + float(self.state["sigma"]) * step,
            "sigma": np.asarray(self.state["sigma"] * np.exp(self.c_sigma / self.damping * (norm / self.length - 1))),
            "covariance": kept * self.state["covariance"] + self.c_1 * np.outer(path, path) + self.c_mu * spread,
            "path": path,
            "path_sigma": path_sigma,
            "generation": np.asarray(generation),
        }

    def _axes(self) -> tuple[Floats, Floats]:
        """Principal axes of the covariance, as columns, and the standard deviations along them."""
        values, axes = np.linalg.eigh(self.state["covariance"])
        return axes, np.sqrt(np.maximum(values, 1e-20))
