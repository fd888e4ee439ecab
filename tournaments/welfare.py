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
    n = values.shape[-1]
    total = values.sum(-1)
    apart = (np.sort(values, axis=-1) * (2 * np.arange(n) + 1 - n)).sum(-1) / n  # sorted, every value is above i and below n - 1 - i
    return np.where(total > 0, apart / np.where(total > 0, total, 1), 0.0)


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
    known, cell = np.unique((group[:, None] * n + player).reshape(-1), return_inverse=True)
    own = means(payoff.reshape(-1), np.repeat(deal, seats), cell.reshape(-1), len(known))
    gained: list[dict[str, Interval]] = [{} for _ in range(count)]
    for place, mean in zip(known.tolist(), own, strict=True):
        gained[place // n][agents[place % n]] = mean
    made = [Group(tuple(agents[i] for i in company), welfare[g], unequal[g], gained[g]) for g, company in enumerate(companies.tolist())]
    return tuple(sorted(made, key=lambda group: -group.welfare.mean))
