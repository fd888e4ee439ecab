"""Rewards by vote, for teams that need no truth to agree: what most would do is taken for right.

Agreement is not strength: where seats are opponents these are refused. A vote is a seat's first action of the match.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from algorithms.agreement import answers, entropy, votes
from algorithms.groups import cell_max, cell_sum, combined, group_of, learning
from algorithms.parts import Memory, RewardTransform
from marl_llm import registry
from marl_llm.algorithm import Requires
from marl_llm.records import Batch


@dataclass(frozen=True, kw_only=True)
class Vote(RewardTransform):
    """In the outcome's place."""

    @property
    def writes(self) -> tuple[str, ...]:
        return ("seat.outcome",)

    def channels(self, batch: Batch, units: Mapping[str, float], memory: Memory) -> Batch:
        for spec in batch.tables["game"]:
            Requires(utility=("team",), message=True).check(f"a reward by vote ({type(self).__name__})", registry.game(spec).info)
        return batch.with_columns(**{"seat.outcome": self.earned(batch, answers(batch, "action"), learning(batch))})

    def earned(self, batch: Batch, answer: NDArray[np.int64], counted: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Of every trajectory, shape [seats]."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Frequency(Vote):
    """TTRV (arXiv 2510.06783): the share of the group's votes that equal one's own, minus ``weight`` x their entropy as a share of that of
    as many votes spread evenly. The entropy is the same for all of a group: it acts only where the baseline is wider than that."""

    weight: float = 0.75

    def earned(self, batch: Batch, answer: NDArray[np.int64], counted: NDArray[np.bool_]) -> NDArray[np.float64]:
        group = group_of(batch, "seat", ("deal", "seat"))
        same, size = votes(group, answer, counted)
        distinct = np.maximum(np.rint(cell_sum(group, 1 / same, counted)), 2)
        return same / size - self.weight * entropy(group, answer, counted) / np.log(distinct)


@dataclass(frozen=True, kw_only=True)
class Consensus(Vote):
    """RLCCF (arXiv 2508.12338): several voters, each with several votes on a deal; 1 for the answer o with the largest
    sum over voters of SC x number of votes for o, SC the share of the voter's own most frequent vote; 0 for others, and of answers
    that tie the one with the smallest number is taken. Here the voters are the seats."""

    def earned(self, batch: Batch, answer: NDArray[np.int64], counted: NDArray[np.bool_]) -> NDArray[np.float64]:
        deal, seat = group_of(batch, "seat", ("deal",)), group_of(batch, "seat", ("deal", "seat"))
        same, size = votes(seat, answer, counted)
        sure = cell_max(seat, same, counted) / size
        weight = cell_sum(combined([deal, answer]), np.where(counted, sure, 0.0), counted)
        best = counted & (weight >= cell_max(deal, weight, counted) - 1e-9)
        return (answer == -cell_max(deal, -answer.astype(np.float64), best)).astype(np.float64)
