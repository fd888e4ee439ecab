"""Referees that err, and rewards corrected for it (Verifiable yet Noisy Rewards, arXiv 2510.00915).

With f the share of lost matches that a referee calls won, and m the share of won ones that it calls lost, the verdict R of 1 or 0 becomes

    backward   (R - f) / (1 - f - m), whose expectation is the truth
    forward    m where R = 1, m - 1 where R = 0: its expectation is 0 where the truth is 1, and -(1 - f - m) where it is 0

Both are affine in R. Under one referee a credit that divides by the group's deviation, or the forward one under any that centres, undoes
them: they matter where several referees err differently, or without a baseline. A missed win's rate is also known from appeals,
overturned / (accepted + overturned).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from algorithms.groups import Floats
from algorithms.parts import Memory, RewardTransform
from algorithms.shaping import won
from marl_llm.errors import UserError
from marl_llm.records import Batch
from marl_llm.seeding import uniform

WHO, WRONG, APPEAL = 1, 2, 3  # names of random streams


@dataclass(frozen=True, kw_only=True)
class Referees(RewardTransform):
    """A verdict in the outcome's place: 1 where a referee, one of several for each match, calls it won. They err at the given rates:
    a stand-in for judges whose errors are known, to see what a correction does. ``seat.appeal`` is 1 where a verdict of 0 was overturned
    on appeal, and 0 where it was upheld; -1 elsewhere."""

    false_positive: tuple[float, ...] = (0.1, 0.3)
    """Of each referee, of lost matches."""
    false_negative: tuple[float, ...] = (0.2, 0.1)
    """Of won ones."""
    appeals: float = 0.2
    """Share of verdicts of 0 that are looked at again; the reward stays as it was."""
    above: float = 0.0

    @property
    def reads(self) -> tuple[str, ...]:
        return ("seat.outcome",)

    @property
    def writes(self) -> tuple[str, ...]:
        return "seat.outcome", "seat.referee", "seat.appeal"

    def channels(self, batch: Batch, units: Mapping[str, float], memory: Memory) -> Batch:
        if len(self.false_positive) != len(self.false_negative):
            told = f"{len(self.false_positive)} referees and false_negative of {len(self.false_negative)}"
            raise UserError(f"false_positive tells of {told}; expected one rate of each for every referee")
        right, match = won(batch, self.above), batch["match.id"][batch.up("seat", "match")]
        seat, judges = batch["seat.seat"], len(self.false_positive)
        who = (uniform(match, WHO) * judges).astype(np.int64)
        miss = np.where(right, np.asarray(self.false_negative)[who], np.asarray(self.false_positive)[who])
        called = right ^ (uniform(match, seat, WRONG) < miss)
        appeal = np.where(~called & (uniform(match, seat, APPEAL) < self.appeals), right.astype(np.int64), -1)
        return batch.with_columns(**{"seat.outcome": called.astype(np.float64), "seat.referee": who, "seat.appeal": appeal})


@dataclass(frozen=True, kw_only=True)
class Corrected(RewardTransform):
    """The verdict corrected by its referee's rates."""

    form: Literal["backward", "forward"] = "backward"
    false_positive: tuple[float, ...] = (0.1, 0.3)
    """Of each referee; the forward form needs none."""
    false_negative: tuple[float, ...] | None = (0.2, 0.1)
    """None takes what the run's appeals say, 0 before there is any."""

    @property
    def reads(self) -> tuple[str, ...]:
        return "seat.outcome", "seat.referee", "seat.appeal"

    @property
    def writes(self) -> tuple[str, ...]:
        return ("seat.outcome",)

    def channels(self, batch: Batch, units: Mapping[str, float], memory: Memory) -> Batch:
        who, verdict = batch["seat.referee"], batch["seat.outcome"]
        rates = self._appealed(batch, memory) if self.false_negative is None else np.asarray(self.false_negative)
        missed, false = rates[who], np.asarray(self.false_positive)[who]
        paid = missed - 1 + verdict if self.form == "forward" else (verdict - false) / (1 - false - missed)
        return batch.with_columns(**{"seat.outcome": paid})

    def _appealed(self, batch: Batch, memory: Memory) -> Floats:
        """Of every referee the share of missed wins, from all verdicts of the run; an appeal stands for those that were not made."""
        who, appeal, accepted = batch["seat.referee"], batch["seat.appeal"], batch["seat.outcome"] > 0
        for k in range(len(self.false_positive)):
            heard = (who == k) & (appeal >= 0)
            scale = ((who == k) & ~accepted).sum() / max(heard.sum(), 1)
            for name, count in (("accepted", ((who == k) & accepted).sum()), ("overturned", scale * appeal[heard].sum())):
                memory[f"referee/{k}/{name}"] = memory.get(f"referee/{k}/{name}", 0.0) + float(count)
        told = [(memory[f"referee/{k}/overturned"], memory[f"referee/{k}/accepted"]) for k in range(len(self.false_positive))]
        return np.asarray([missed_rate(*one) for one in told])


def missed_rate(overturned: float, accepted: float) -> float:
    """Share of wins that were called lost."""
    return overturned / max(accepted + overturned, 1)
