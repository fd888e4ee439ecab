"""Swiss pairing: each round seats agents with others that have done as well so far, and whom they have met least."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from marl_llm.records import VOID
from tournaments.results import Results

TRIES = 20_000
"""Tables looked at before a meeting more is allowed."""


class Standings:
    """Points, payoffs, meetings and byes. A table gives each agent the share of the others that its payoff of the round beats, a tie
    counting half; a bye counts as a table won."""

    def __init__(self, agents: tuple[str, ...]) -> None:
        self.agents = agents
        self.points = np.zeros(len(agents))
        self.payoff = np.zeros(len(agents))
        self.met: Counter[tuple[int, int]] = Counter()
        self.byes: Counter[int] = Counter()

    def order(self) -> list[int]:
        """Agents from first to last; equals stand as they were named."""
        return sorted(range(len(self.agents)), key=lambda i: (-self.points[i], -self.payoff[i], i))

    def pair(self, seats: int) -> list[tuple[int, ...]]:
        """Tables of the next round. Whoever has sat out least, and of these the last, sits out where agents do not fill the tables."""
        order = self.order()
        out = sorted(order, key=lambda i: (self.byes[i], -order.index(i)))[: len(order) % seats]
        order = [i for i in order if i not in out]
        often = 0
        while (tables := _seat(order, seats, self.met, often, [TRIES])) is None:
            often += 1
        return tables

    def add(self, tables: Sequence[tuple[int, ...]], results: Results) -> None:
        """Count a round."""
        stands = results.end != VOID
        player, returns = results.seats(self.agents)[stands], results.returns[stands]
        gained = np.bincount(player.reshape(-1), returns.reshape(-1), len(self.agents))
        self.payoff += gained
        for table in tables:
            self.met.update(pair for pair in combinations(sorted(table), 2))
            for i in table:
                beaten = [1.0 if gained[i] > gained[j] else 0.5 if gained[i] == gained[j] else 0.0 for j in table if j != i]
                self.points[i] += sum(beaten) / len(beaten)
        for i in set(range(len(self.agents))) - {i for table in tables for i in table}:
            self.byes[i] += 1
            self.points[i] += 1


def _seat(order: Sequence[int], seats: int, met: Counter[tuple[int, int]], often: int, tries: list[int]) -> list[tuple[int, ...]] | None:
    """Tables of neighbours in ``order`` of whom no two have met more than ``often`` times; None if none are found in ``tries``."""
    if not order:
        return []
    first, *rest = order
    for others in combinations(rest, seats - 1):
        tries[0] -= 1
        if tries[0] < 0:
            return None
        table = (first, *others)
        if all(met[min(a, b), max(a, b)] <= often for a, b in combinations(table, 2)):
            below = _seat([i for i in rest if i not in others], seats, met, often, tries)
            if below is not None:
                return [table, *below]
    return None
