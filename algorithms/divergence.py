"""Turns weighed by how much a group disagrees there (TW-GRPO; Dang et al. 2025, arXiv 2505.24718)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from algorithms.columns import LEGAL
from algorithms.groups import Floats, cell_max, cell_mean, cell_sum, combined, group_of
from algorithms.terms import Finish
from marl_llm.ragged import segment_sum
from marl_llm.records import Batch


@dataclass(frozen=True, kw_only=True)
class DivergenceWeight(Finish):
    """A times the weight of its place in the match, 1 + (alpha - 1) D, where D is the mean divergence of the group's moves there, rescaled
    to [0, 1] over the places of the group.

    The divergence of a member is the sum over its legal moves of exp(x) - x - 1, x = log q - log p, with q the mean distribution of the
    members. A place is a seat's k-th turn on a deal, and a distribution one over moves: the paper's are tokens of a reply.
    """

    alpha: float = 1.7

    @property
    def reads(self) -> tuple[str, ...]:
        return LEGAL

    def finish(self, batch: Batch, advantage: Floats) -> Floats:
        counted = batch["turn.learn"].astype(bool)
        place = group_of(batch, "turn", ("deal", "seat", "turn"))
        mean = cell_mean(place, self.divergence(batch, place, counted), counted)
        return advantage * place_weights(group_of(batch, "turn", ("deal", "seat")), mean, counted, self.alpha)

    def divergence(self, batch: Batch, place: NDArray[np.int64], counted: NDArray[np.bool_]) -> Floats:
        """Of every turn's distribution from the mean one of the counted turns of its place, shape [turns]."""
        action, logp = batch.ragged("legal.action"), batch["legal.logp"].astype(np.float64)
        turn = action.row_of()
        members = cell_sum(place, np.ones(len(place)), counted)[turn]
        total = cell_sum(combined([place[turn], action.data]), np.exp(logp), counted[turn])
        away = np.where(counted[turn], np.log(np.maximum(total, 1e-300) / np.maximum(members, 1)) - logp, 0.0)
        return segment_sum(np.exp(away) - away - 1, action.starts)


def place_weights(group: NDArray[np.int64], mean: Floats, counted: NDArray[np.bool_], alpha: float) -> Floats:
    """1 + (alpha - 1) times ``mean`` rescaled to [0, 1] over the counted rows of every group; 1 where all are equal."""
    most, least = cell_max(group, mean, counted), -cell_max(group, -mean, counted)
    span = most - least
    return 1 + (alpha - 1) * np.divide(mean - least, span, out=np.zeros(len(mean)), where=np.isfinite(span) & (span > 1e-12))
