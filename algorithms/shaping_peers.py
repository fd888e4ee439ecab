"""Rewards that compare a trajectory with the others of its group: how likely it was, how sure, and how different."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from algorithms.columns import REFERENCE
from algorithms.groups import Floats, Key, cell_mean, cell_sum, group_of, learning, ranked, trajectory_mean
from algorithms.parts import Memory, OutcomeTransform, RewardTransform
from algorithms.shaping import won
from marl_llm.records import Batch

GROUP: tuple[Key, ...] = ("deal", "seat")


@dataclass(frozen=True, kw_only=True)
class Unlikeliness(RewardTransform):
    """Of the trajectories that won, the likely ones earn less (He et al. 2025, arXiv 2506.02355): r (1 - weight x rank / N), the rank by
    log-probability from 0 for the least likely of the group. A loss keeps its outcome, which is 0 in the paper."""

    weight: float = 0.25
    above: float = 0.0

    @property
    def reads(self) -> tuple[str, ...]:
        return "turn.logp", "seat.outcome"

    @property
    def writes(self) -> tuple[str, ...]:
        return ("seat.outcome",)

    def channels(self, batch: Batch, units: Mapping[str, float], memory: Memory) -> Batch:
        group, counted = group_of(batch, "seat", GROUP), learning(batch)
        size = np.maximum(cell_sum(group, np.ones(len(group)), counted), 1)
        less = self.weight * ranked(group, trajectory_mean(batch, "turn.logp"), counted) / size
        return batch.with_columns(**{"seat.outcome": batch["seat.outcome"] * np.where(won(batch, self.above) & counted, 1 - less, 1.0)})


@dataclass(frozen=True, kw_only=True)
class Confidence(RewardTransform):
    """GRPO-CARE's bonus (Chen et al. 2025, arXiv 2506.16141) for what a slow copy of the policy would have said too.

    c = min(``most``, exp(log-probability under the copy)), C its mean over the winners of the group. A winner whose outcome is at
    least the group's mean, and whose c is at least C - ``slack``, earns ``share`` of its outcome on top. In a game the reasoning is
    the prompt so far, and the answer all that a seat chose: the log-probability is the mean over its turns.
    """

    share: float = 0.5
    most: float = 0.95
    slack: float = 0.01
    above: float = 0.1

    @property
    def reads(self) -> tuple[str, ...]:
        return REFERENCE, "seat.outcome"

    @property
    def writes(self) -> tuple[str, ...]:
        return ("seat.outcome",)

    def channels(self, batch: Batch, units: Mapping[str, float], memory: Memory) -> Batch:
        group, counted, worth = group_of(batch, "seat", GROUP), learning(batch), batch["seat.outcome"]
        sure = np.minimum(self.most, np.exp(trajectory_mean(batch, REFERENCE)))
        winner = won(batch, self.above) & counted
        good = winner & (worth >= cell_mean(group, worth, counted)) & (sure >= cell_mean(group, sure, winner) - self.slack)
        return batch.with_columns(**{"seat.outcome": worth * np.where(good, 1 + self.share, 1.0)})


@dataclass(frozen=True, kw_only=True)
class Diversity(OutcomeTransform):
    """MultiRole-R1's mixture (arXiv 2507.20187): r = share x outcome + (1 - share) x diversity, so that a group that all won still
    compares. Diversity is ``diversity`` below, our reading for games of the paper's lexical measures."""

    share: float = 0.9

    def channels(self, batch: Batch, units: Mapping[str, float], memory: Memory) -> Batch:
        varied = trajectory_mean(batch.with_columns(**{"turn.diversity": diversity(batch)}), "turn.diversity")
        return batch.with_columns(**{"seat.outcome": self.mixed(batch["seat.outcome"], varied)})

    def mixed(self, outcome: Floats, diversity: Floats) -> Floats:
        """The reward of trajectories, shapes [seats]."""
        return self.share * outcome + (1 - self.share) * diversity


def diversity(batch: Batch) -> Floats:
    """Of every turn the share of the group's turns at the same view in which another action was chosen; shape [turns]."""
    learned = batch["turn.learn"].astype(bool)
    here, same = (group_of(batch, "turn", (*GROUP, *keys)) for keys in (("view",), ("view", "action")))
    one = np.ones(len(learned))
    return 1 - cell_sum(same, one, learned) / np.maximum(cell_sum(here, one, learned), 1)
