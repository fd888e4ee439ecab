"""RiskPO (arXiv 2510.00911): advantages from the lower tail of sums over bundles of deals, which are bounded above by 0.

A bundle is some deals of a game; its paper j is the j-th match of each of them. With S a paper's sum of outcomes, q and Q running
estimates of its ``low`` and ``high`` quantile, and w the weight of the tail:

    RVaR = (max(S - q, 0) - max(S - Q, 0) + q - Q) / (high - low)      CVaR = -max(q - S, 0) / low
    A = (w CVaR + RVaR) / (w + 1) / deviation of S in the bundle / deviation of the deal's own outcomes
    q <- q + rate x (low - share of papers with S < q), and so Q

Our reading for games: the question is a seat's deal, every game and seat has quantiles of its own, and a deviation below 0.001 counts
as 1 in both places, which the paper's code says of the second.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from algorithms.estimators import Estimator
from algorithms.groups import Floats, Rows, cell_deviation, cell_sum, combined, group_of, once, ranked
from algorithms.parts import Memory
from marl_llm.errors import within
from marl_llm.records import Batch


@dataclass(frozen=True, kw_only=True)
class Tail(Estimator):
    """Over trajectories. The quantiles begin at those of the first batch and last for the run, as ``tail/GAME/SEAT/low``."""

    bundle: int = 5
    """Deals in a bundle; those that are left over make a smaller one."""
    low: float = 0.2
    high: float = 0.9
    weight: float = 1.5
    rate: float = 0.1

    def __post_init__(self) -> None:
        within("estimator", self, 1, inf, "bundle")
        within("estimator", self, 0, 1, "low", "high", "rate")

    def estimate(self, rows: Rows, memory: Memory) -> Floats:
        side, bundle = group_of(rows.batch, "seat", ("game", "seat")), self._bundles(rows.batch)
        in_bundle = combined([side, bundle])
        paper = combined([in_bundle, rows.column("match.sample")])
        total = cell_sum(paper, rows.value, rows.counted)
        papers, mixed = once(paper, rows.counted), np.zeros(len(total))
        for one in np.unique(side[rows.counted]):
            here, first = side == one, int(np.flatnonzero(side == one)[0])
            game = rows.batch.tables["game"][rows.column("match.game")[first]]
            name = f"tail/{game}/{rows.batch['seat.seat'][first]}"
            mixed[here] = self._mixed(total[here], total[here & papers], name, memory)
        of_sums = cell_deviation(in_bundle, total, papers, 1)
        own = cell_deviation(rows.group, rows.value, rows.counted, 1)
        return mixed / np.where(of_sums < 1e-3, 1.0, of_sums) / np.where(own < 1e-3, 1.0, own)

    def _mixed(self, total: Floats, papers: Floats, name: str, memory: Memory) -> Floats:
        """Of sums by the quantiles as they are, which then follow those of ``papers``."""
        q, top = (memory.setdefault(f"{name}/{end}", float(np.quantile(papers, getattr(self, end)))) for end in ("low", "high"))
        between = (np.maximum(total - q, 0) - np.maximum(total - top, 0) + q - top) / (self.high - self.low)
        below = -np.maximum(q - total, 0) / self.low
        for end in ("low", "high"):
            at = memory[f"{name}/{end}"]
            memory[f"{name}/{end}"] = at + self.rate * (getattr(self, end) - float(np.mean(papers < at)))
        return (self.weight * below + between) / (self.weight + 1)

    def _bundles(self, batch: Batch) -> NDArray[np.int64]:
        """The bundle of every trajectory's deal: deals of a game stand in the order in which they were planned."""
        _, first, deal = np.unique(group_of(batch, "seat", ("deal",)), return_index=True, return_inverse=True)
        game = batch["match.game"][batch.up("seat", "match")[first]]
        return (ranked(game, first.astype(np.float64), np.ones(len(first), bool)) // self.bundle)[deal]
