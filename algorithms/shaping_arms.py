"""Rewards that depend on the arm that a trajectory is in: column ``seat.arm`` says whether it did, or was told to do, a certain thing.

The arm is told by one's own moves, by one's own length, or by the tag ``arm`` that a sampler gave the match.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from algorithms.groups import cell_mean, cell_sum, group_of, learning, trajectory_mean
from algorithms.parts import Memory, RewardTransform
from algorithms.shaping import won
from marl_llm.ragged import segment_sum
from marl_llm.records import Batch


@dataclass(frozen=True)
class Arm(RewardTransform):
    """Tells the arms apart."""

    @property
    def writes(self) -> tuple[str, ...]:
        return ("seat.arm",)


@dataclass(frozen=True, kw_only=True)
class ArmByMove(Arm):
    """Trajectories that made one of ``moves``."""

    moves: tuple[int, ...]

    def channels(self, batch: Batch, units: Mapping[str, float], memory: Memory) -> Batch:
        made = np.isin(batch["turn.action"], self.moves) & batch["turn.learn"].astype(bool)
        return batch.with_columns(**{"seat.arm": segment_sum(made, batch.starts["turn"]) > 0})


@dataclass(frozen=True, kw_only=True)
class ArmByLength(Arm):
    """Trajectories whose turns are longer than their group's mean."""

    @property
    def reads(self) -> tuple[str, ...]:
        return ("turn.length",)

    def channels(self, batch: Batch, units: Mapping[str, float], memory: Memory) -> Batch:
        length = trajectory_mean(batch, "turn.length")
        return batch.with_columns(**{"seat.arm": length > cell_mean(group_of(batch, "seat", ("deal", "seat")), length, learning(batch))})


@dataclass(frozen=True, kw_only=True)
class ArmByTag(Arm):
    """Matches tagged ``arm`` = ``value`` by the sampler."""

    value: str

    def channels(self, batch: Batch, units: Mapping[str, float], memory: Memory) -> Batch:
        return batch.with_columns(**{"seat.arm": (batch.tag("arm") == self.value)[batch.up("seat", "match")]})


@dataclass(frozen=True, kw_only=True)
class OfArm(RewardTransform):
    """A reward that compares the arms of a deal and seat."""

    above: float = 0.0
    """What an outcome must be above to count as won."""

    @property
    def reads(self) -> tuple[str, ...]:
        return "seat.arm", "seat.outcome"

    @property
    def writes(self) -> tuple[str, ...]:
        return ("seat.outcome",)


@dataclass(frozen=True, kw_only=True)
class Conditional(OfArm):
    """GCPO's contrastive reward (GeometryZero, arXiv 2506.07160): the arm earns ``bonus`` where it wins more often than the rest of its
    group, by more than ``margin``, loses it where it wins less often, and nothing else changes; nor where one of the two is empty. The
    paper's bonus and margin were not found; its reward for length is ``algorithms.shaping``'s matter."""

    bonus: float = 0.5
    margin: float = 0.1

    def channels(self, batch: Batch, units: Mapping[str, float], memory: Memory) -> Batch:
        group, counted, arm = group_of(batch, "seat", ("deal", "seat")), learning(batch), batch["seat.arm"]
        right, one = won(batch, self.above).astype(np.float64), np.ones(len(arm))
        parts = counted & arm, counted & ~arm
        inside, outside = (cell_mean(group, right, part) for part in parts)
        both = np.logical_and(*(cell_sum(group, one, part) > 0 for part in parts))
        sign = np.where(both & (abs(inside - outside) > self.margin), np.sign(inside - outside), 0.0)
        return batch.with_columns(**{"seat.outcome": batch["seat.outcome"] + self.bonus * sign * arm})


@dataclass(frozen=True, kw_only=True)
class Adaptive(OfArm):
    """Adaptive deep reasoning (arXiv 2505.20101), in the outcome's place: where a group is easy, because more of it than ``easy`` won,
    a win outside the arm (of long thought) earns ``more`` and one in it 1; where it is hard the other way round. What a loss earns the
    paper's summaries do not say; -1 is our reading. There is no warm-up."""

    easy: float = 0.5
    more: float = 1.5
    wrong: float = -1.0

    def channels(self, batch: Batch, units: Mapping[str, float], memory: Memory) -> Batch:
        right = won(batch, self.above)
        easy = cell_mean(group_of(batch, "seat", ("deal", "seat")), right.astype(np.float64), learning(batch)) > self.easy
        return batch.with_columns(**{"seat.outcome": np.where(right, np.where(easy != batch["seat.arm"], self.more, 1.0), self.wrong)})
