"""Rewards for length and order, of every trajectory by itself; and what "won" means to rewards that tell right from wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from algorithms.groups import Floats, cell_max, group_of, learning, outcome, trajectory_mean
from algorithms.parts import Memory, RewardTransform
from marl_llm.records import Batch


def won(batch: Batch, above: float) -> NDArray[np.bool_]:
    """Trajectories whose outcome is above ``above``: what a paper calls a right answer; shape [seats]."""
    return np.asarray(batch["seat.outcome"] > above)


@dataclass(frozen=True, kw_only=True)
class Overlong(RewardTransform):
    """DAPO's soft overlong punishment (Yu et al. 2025, arXiv 2503.14476), of every turn: 0 up to ``limit`` - ``cache`` tokens, from there
    falling evenly to -1 at ``limit``, and -1 beyond."""

    limit: int = 256
    """Tokens; the paper has 20480."""
    cache: int = 64
    """And 4096."""

    @property
    def reads(self) -> tuple[str, ...]:
        return "turn.length", "turn.format", "seat.outcome"

    @property
    def writes(self) -> tuple[str, ...]:
        return "turn.format", "seat.outcome"

    def channels(self, batch: Batch, units: Mapping[str, float], memory: Memory) -> Batch:
        cost = np.clip((self.limit - self.cache - batch["turn.length"]) / self.cache, -1.0, 0.0)
        paid = batch.with_columns(**{"turn.format": batch["turn.format"] + cost, "turn.cost": cost})
        return paid.with_columns(**{"seat.outcome": batch["seat.outcome"] + outcome(paid, "turn.cost")})


@dataclass(frozen=True, kw_only=True)
class LogDecay(RewardTransform):
    """A seat's k-th own turn, from 0, earns its game reward / log2(k + 2): what a place in a ranked list is worth (Rank-GRPO)."""

    @property
    def reads(self) -> tuple[str, ...]:
        return ("turn.game",)

    @property
    def writes(self) -> tuple[str, ...]:
        return ("turn.game",)

    def channels(self, batch: Batch, units: Mapping[str, float], memory: Memory) -> Batch:
        return batch.with_columns(**{"turn.game": batch["turn.game"] / np.log2(batch["turn.index"] + 2)})


@dataclass(frozen=True, kw_only=True)
class OfLength(RewardTransform):
    """A reward that depends on a trajectory's length, the mean tokens of its turns, and on whether it was won."""

    above: float = 0.0
    """What an outcome must be above to count as won."""

    @property
    def reads(self) -> tuple[str, ...]:
        return "turn.length", "turn.format", "seat.outcome"

    @property
    def writes(self) -> tuple[str, ...]:
        return ("seat.outcome",)


@dataclass(frozen=True, kw_only=True)
class CosineLength(OfLength):
    """The cosine reward of open-rs (Dang and Ngo 2025, arXiv 2503.16219) in the outcome's place, beside what form earns.

    lo + (hi - lo) (1 + cos(pi length / longest)) / 2: a win falls from 1 to 1/2 as it gets longer, a loss rises from -1 to -1/2. Here the
    length is in tokens and goes no further than ``longest``.
    """

    longest: float = 256.0
    weight: float = 2.0

    def channels(self, batch: Batch, units: Mapping[str, float], memory: Memory) -> Batch:
        share = np.minimum(trajectory_mean(batch, "turn.length") / self.longest, 1.0)
        paid = np.where(won(batch, self.above), 1.0, -1.0) * (0.5 + 0.25 * (1 + np.cos(np.pi * share)))
        return batch.with_columns(**{"seat.outcome": self.weight * paid + outcome(batch, "turn.format")})


@dataclass(frozen=True, kw_only=True)
class RelativeLength(OfLength):
    """Kimi k1.5's length reward (arXiv 2501.12599), added to the outcome: lambda = 1/2 - (length - shortest) / (longest - shortest) within
    the group; a win earns lambda, a loss min(0, lambda). 0 where all lengths are equal."""

    weight: float = 1.0

    def channels(self, batch: Batch, units: Mapping[str, float], memory: Memory) -> Batch:
        length, group, counted = trajectory_mean(batch, "turn.length"), group_of(batch, "seat", ("deal", "seat")), learning(batch)
        paid = np.where(counted, relative(length, group, counted, won(batch, self.above)), 0.0)
        return batch.with_columns(**{"seat.outcome": batch["seat.outcome"] + self.weight * paid})


def relative(length: Floats, group: NDArray[np.int64], counted: NDArray[np.bool_], right: NDArray[np.bool_]) -> Floats:
    """The reward above, shape [seats]."""
    longest, shortest = cell_max(group, length, counted), -cell_max(group, -length, counted)
    known = counted & (longest > shortest)
    place = np.divide(length - shortest, longest - shortest, out=np.full(len(length), 0.5), where=known)
    return np.where(right, 0.5 - place, np.minimum(0.0, 0.5 - place))
