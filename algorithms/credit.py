"""Advantages: one number a turn, computed on the columns of a batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from algorithms.parts import Credit
from marl_llm.records import Batch


@dataclass(frozen=True, kw_only=True)
class TurnLevel(Credit):
    """The house estimator, after MARS (MARSHAL, 2025): the turn's return-to-go minus what others got there.

    A(turn) = G - b with G the undiscounted sum of the channel's rewards from this turn on, and b the mean G of the
    *other* turns in the same cell (game, seat, own-turn index). Leaving the turn itself out keeps the gradient unbiased;
    there is no division by a standard deviation, which would weigh hands by luck. A cell of few turns is shrunk to the
    coarser cell (game, seat): b = (n b_cell + shrink b_coarse) / (n + shrink). A turn alone in both gets b = 0.
    """

    channel: str = "turn.game"
    shrink: float = 4.0
    """Turns of the coarser cell that a cell's own mean is diluted with."""

    def advantage(self, batch: Batch) -> NDArray[np.float64]:
        gain = return_to_go(batch, self.channel)
        game = batch["match.game"][batch.up("turn", "match")]
        counted = batch["turn.learn"].astype(bool)
        coarse = (game << 8) + batch["turn.seat"]
        index = np.minimum(batch["turn.index"], (1 << 20) - 1)
        n, others = leave_one_out((coarse << 20) + index, gain, counted)
        _, wide = leave_one_out(coarse, gain, counted)
        baseline = (n * others + self.shrink * wide) / np.maximum(n + self.shrink, 1e-12)
        return np.where(counted, gain - baseline, 0.0)


def return_to_go(batch: Batch, channel: str) -> NDArray[np.float64]:
    """Sum of a turn-level channel from each turn to the seat's last, undiscounted; shape [turns]."""
    total = np.concatenate([[0.0], np.cumsum(batch[channel], dtype=np.float64)])
    last = batch.starts["turn"][1:][batch.up("turn", "seat")]
    return total[last] - total[:-1]


def leave_one_out(
    cell: NDArray[np.int64], values: NDArray[np.float64], counted: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For every row the number and the mean of the *other* counted rows of its cell (mean 0 where there is none)."""
    _, place = np.unique(cell, return_inverse=True)
    weight = counted.astype(np.float64)
    count = np.bincount(place, weight)[place] - weight
    total = np.bincount(place, weight * values)[place] - weight * values
    return count, total / np.maximum(count, 1)
