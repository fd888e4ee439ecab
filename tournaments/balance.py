"""The audit of fairness: whether, deal by deal, everyone has sat in every seat among the same company."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from marl_llm.records import VOID
from tournaments.results import Results


@dataclass(frozen=True)
class Balance:
    """``deals`` are those that are whole (no match of them is void, and each agent of a company sat in each seat equally often) and
    those begun; ``sat`` the fewest and the most matches of an agent in a seat; ``even`` whether each agent sat equally often in
    every seat."""

    deals: tuple[int, int]
    sat: tuple[int, int]
    even: bool

    @property
    def whole(self) -> bool:
        """Whether luck of seats and of deals cancels."""
        return self.even and self.deals[0] == self.deals[1]

    def __str__(self) -> str:
        low, high = self.sat
        spread = f"{low}" if low == high else f"{low} to {high}"
        word = "balanced" if self.whole else "NOT balanced"
        return f"seats {word}: {spread} matches an agent and seat; {self.deals[0]} of {self.deals[1]} deals whole in every seat"


def balance(results: Results, agents: Sequence[str]) -> Balance:
    """The audit of all matches that have ended."""
    n, seats, player, stands = len(agents), results.returns.shape[1], results.seats(agents), results.end != VOID
    sat = np.bincount((player[stands] * seats + np.arange(seats)).reshape(-1), minlength=n * seats).reshape(n, seats)
    begun, deal = np.unique(results.deal, return_inverse=True)
    companies: dict[tuple[str, ...], int] = {}
    company = np.asarray([companies.setdefault(tuple(sorted(table)), len(companies)) for table in results.players], np.int64)
    whole = np.ones(len(begun), bool)
    if len(results):
        table = deal * len(companies) + company[results.seating]
        cell, place = np.unique((table[:, None] * n + player).reshape(-1), return_inverse=True)
        times = np.bincount(place.reshape(-1) * seats + np.tile(np.arange(seats), len(results)), minlength=len(cell) * seats)
        times = times.reshape(-1, seats)
        whole[cell[times.min(1) < times.max(1)] // n // len(companies)] = False
        whole[deal[~stands]] = False
    return Balance((int(whole.sum()), len(begun)), (int(sat.min()), int(sat.max())), bool((sat.min(1) == sat.max(1)).all()))
