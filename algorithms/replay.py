"""What makes group-relative REINFORCE fit for samples of other policies: baselines, weights, and balance of good and bad.

Yao et al. 2025, arXiv 2509.24203, who also name the data they weigh so: RED.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from algorithms.estimators import Estimator
from algorithms.groups import Floats, Rows, cell_max, cell_mean, cell_sum, group_of, learning, ranked
from algorithms.parts import Memory
from algorithms.samplers import Around
from algorithms.terms import Finish
from marl_llm.records import Batch
from marl_llm.seeding import uniform

THINNED = 6  # name of a random stream


@dataclass(frozen=True, kw_only=True)
class SoftMean(Estimator):
    """Value minus tau log mean exp(value / tau) over the group: OPMD's baseline, from the mean (large tau) to the best value (small)."""

    tau: float = 1.0

    def estimate(self, rows: Rows, memory: Memory) -> Floats:
        best = np.where(rows.size > 0, cell_max(rows.group, rows.value, rows.counted), 0.0)
        share = cell_mean(rows.group, np.exp(np.minimum(rows.value - best, 0.0) / self.tau), rows.counted)
        return rows.value - best - self.tau * np.log(np.maximum(share, 1e-300))


@dataclass(frozen=True, kw_only=True)
class Emphasise(Finish):
    """A exp(A / temperature): what went well counts more than what went badly (RED-weight)."""

    temperature: float = 1.0

    def finish(self, batch: Batch, advantage: Floats) -> Floats:
        return advantage * np.exp(advantage / self.temperature)


@dataclass(frozen=True, kw_only=True)
class Balanced(Around):
    """Of every group no more trajectories below its mean return are learned from than there are above (RED-drop); which ones is drawn by
    lot. A group of equal returns stays as it is."""

    def accept(self, batch: Batch, memory: Memory) -> Batch:
        batch = super().accept(batch, memory)
        group, counted, returns = group_of(batch, "seat", ("deal", "seat")), learning(batch), batch["seat.return"]
        mean = cell_mean(group, returns, counted)
        good, bad = counted & (returns > mean + 1e-9), counted & (returns < mean - 1e-9)
        lot = uniform(batch["match.id"][batch.up("seat", "match")], THINNED)
        dropped = bad & (ranked(group, lot, bad) >= cell_sum(group, np.ones(len(group)), good))
        learn = batch["turn.learn"].astype(bool) & ~dropped[batch.up("turn", "seat")]
        return batch.with_columns(**{"turn.learn": learn})
