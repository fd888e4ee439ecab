"""Graded success (Reason-RFT; Tan et al. 2025, arXiv 2503.20752): near the best is right, far from it wrong, and a half-cosine between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from algorithms.groups import Floats, cell_max, group_of, learning
from algorithms.parts import Memory, OutcomeTransform
from marl_llm.records import Batch


@dataclass(frozen=True, kw_only=True)
class Tolerance(OutcomeTransform):
    """In the outcome's place a grade in [0, 1] of its relative error e = (best - outcome) / |best|, best among the seat's matches on the
    deal: 1 up to ``close``, 0 from ``far`` on. The paper's error is that of a number to the true one; a deal's best outcome in its place
    is our reading."""

    close: float = 0.05
    far: float = 0.2

    def channels(self, batch: Batch, units: Mapping[str, float], memory: Memory) -> Batch:
        value, counted = batch["seat.outcome"], learning(batch)
        best = np.where(counted, cell_max(group_of(batch, "seat", ("deal", "seat")), value, counted), value)
        return batch.with_columns(**{"seat.outcome": self.grade((best - value) / np.maximum(np.abs(best), 1e-9))})

    def grade(self, error: Floats) -> Floats:
        place = np.clip((error - self.close) / (self.far - self.close), 0.0, 1.0)
        return 0.5 * (1 + np.cos(np.pi * place))
