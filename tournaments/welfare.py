"""What groups gain together and how equally, by who is in them: for games that are no contest.

Inequality is Gini's: the mean difference of two seats over twice the mean, 0 where all have the same. It is told where no
seat can end below zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from marl_llm.intervals import Interval, means


@dataclass(frozen=True)
class Group:
    """Matches of one company in any seats: what all gain together, Gini, and what each agent in it gains."""

    agents: tuple[str, ...]
    welfare: Interval
    gini: Interval | None
    payoffs: dict[str, Interval]

    def json(self) -> dict[str, object]:
        """For a JSON object."""
        return {
            "agents": list(self.agents),
            "welfare": self.welfare.json(),
            "gini": None if self.gini is None else self.gini.json(),
            "payoffs": {name: payoff.json() for name, payoff in self.payoffs.items()},
        }


def gini(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inequality of non-negative values [..., seats]."""
    apart = abs(values[..., :, None] - values[..., None, :]).mean((-2, -1))
    return np.where(apart > 0, apart / np.where(apart > 0, 2 * values.mean(-1), 1), 0.0)


def groups(
    agents: Sequence[str], player: NDArray[np.int64], payoff: NDArray[np.float64], deal: NDArray[np.int64], low: float
) -> tuple[Group, ...]:
    """Every company that has met, best welfare first: ``player`` [matches, seats] are places in ``agents``, ``payoff`` is aligned,
    and no seat gets less than ``low``."""
    companies, group = np.unique(np.sort(player, axis=1), axis=0, return_inverse=True)
    group, count = group.reshape(-1), len(companies)
    welfare = means(payoff.sum(1), deal, group, count)
    unequal = means(gini(payoff), deal, group, count) if low >= 0 else [None] * count
    n, seats = len(agents), player.shape[1]
    cell = (group[:, None] * n + player).reshape(-1)
    own = means(payoff.reshape(-1), np.repeat(deal, seats), cell, count * n)
    made = [
        Group(
            tuple(agents[i] for i in company),
            welfare[g],
            unequal[g],
            {agents[i]: own[g * n + i] for i in dict.fromkeys(company)},
        )
        for g, company in enumerate(companies.tolist())
    ]
    return tuple(sorted(made, key=lambda group: -group.welfare.mean))
