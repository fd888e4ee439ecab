"""The alarm for self-play that forgets: an agent gets worse against somebody who never changes, and its own return tells nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marl_llm.intervals import Interval

RUNNING = 2
"""Evaluations in a row that raise the alarm."""


class CollapseAlarm:
    """Watches the return against fixed anchors, by name, from one evaluation to the next.

    An evaluation is a fall if the upper end of its 95% interval lies below the best lower end so far, while the self-play return
    (that of a match which the learner plays alone, the mean over seats: 0 in every zero-sum game) has since moved by less than one
    standard error of the difference. The second fall in a row raises the alarm, which lasts until an evaluation is no fall.
    """

    def __init__(self) -> None:
        self.best: dict[str, dict[str, float]] = {}
        """For each anchor the best lower end, and the self-play return of that evaluation with its error."""
        self.falls: dict[str, int] = {}

    def watch(self, anchor: str, met: Interval, own: Interval) -> bool:
        """Take in an evaluation: the return against the anchor, and in self-play; whether the alarm is up for it."""
        error = (own.high - own.low) / (2 * 1.96)
        best = self.best.get(anchor)
        if best is None or met.low > best["low"]:
            self.best[anchor] = {"low": met.low, "own": own.mean, "error": error}
            self.falls[anchor] = 0
            return False
        still = abs(own.mean - best["own"]) <= (error**2 + best["error"] ** 2) ** 0.5
        self.falls[anchor] = self.falls[anchor] + 1 if met.high < best["low"] and still else 0
        return self.falls[anchor] >= RUNNING

    def json(self) -> dict[str, Any]:
        """For a JSON file; ``load`` reads it back."""
        return {"best": self.best, "falls": self.falls}

    def load(self, saved: Mapping[str, Any]) -> None:
        self.best, self.falls = dict(saved["best"]), dict(saved["falls"])
