"""Estimators: from the values of rows in groups to advantages. What papers leave open is a field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from algorithms.groups import Floats, Rows, leave_one_out, standardised
from algorithms.parts import Memory

Alone = Literal["zero", "raw"]
"""What a row alone in its group gets: nothing, or its value."""


@dataclass(frozen=True)
class Estimator:
    """An advantage for every row; those that are not counted get any number."""

    @property
    def reads(self) -> tuple[str, ...]:
        """Columns it needs beside what play always records."""
        return ()

    def estimate(self, rows: Rows, memory: Memory) -> Floats:
        """``memory`` lasts for the run, and may be changed."""
        raise NotImplementedError


@dataclass(frozen=True)
class Raw(Estimator):
    """The value itself."""

    def estimate(self, rows: Rows, memory: Memory) -> Floats:
        return rows.value


@dataclass(frozen=True, kw_only=True)
class Centre(Estimator):
    """Value minus the group's mean (Dr. GRPO; Liu et al. 2025, arXiv 2503.20783)."""

    shift: float = 0.0
    """Added to the mean: below 0 more rows count as good (AsymRE's baseline)."""
    alone: Alone = "zero"

    def estimate(self, rows: Rows, memory: Memory) -> Floats:
        return with_alone(self.alone, rows, rows.value - rows.mean - self.shift)


@dataclass(frozen=True, kw_only=True)
class Standardise(Estimator):
    """(value - mean) / (deviation + eps) in the group (GRPO; Shao et al. 2024, arXiv 2402.03300)."""

    ddof: int = 1
    """1 divides the squares by n - 1, 0 by n."""
    eps: float = 1e-6
    alone: Alone = "zero"

    def estimate(self, rows: Rows, memory: Memory) -> Floats:
        return with_alone(self.alone, rows, standardised(rows.group, rows.value, rows.counted, self.ddof, self.eps))


@dataclass(frozen=True, kw_only=True)
class LeaveOneOut(Estimator):
    """Value minus the mean of the *others* in the group (RLOO; Ahmadian et al. 2024, arXiv 2402.14740), N / (N - 1) times ``Centre``."""

    alone: Alone = "raw"

    def estimate(self, rows: Rows, memory: Memory) -> Floats:
        return with_alone(self.alone, rows, rows.value - leave_one_out(rows.group, rows.value, rows.counted)[1])


def with_alone(alone: Alone, rows: Rows, advantage: Floats) -> Floats:
    """``advantage``, but for rows that are alone in their group."""
    return np.where(rows.size < 2, rows.value if alone == "raw" else 0.0, advantage)
