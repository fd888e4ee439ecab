"""What the trajectories of a group agree on: answers, their shares and their entropy; and COPO, which weighs by it.

A trajectory's answer is the first action of its seat, or what the match was worth to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from algorithms.estimators import Estimator
from algorithms.groups import Floats, Rows, cell_mean, cell_sum, combined, group_of, once, standardised
from algorithms.parts import Memory
from marl_llm.records import Batch

Answer = Literal["action", "outcome"]


def answers(batch: Batch, kind: Answer) -> NDArray[np.int64]:
    """A number for every trajectory's answer, -1 where it has none; shape [seats]."""
    if kind == "outcome":
        return np.unique(batch["seat.outcome"], return_inverse=True)[1].astype(np.int64)
    acted = np.flatnonzero(batch["turn.action"] >= 0)
    seats, first = np.unique(batch.up("turn", "seat")[acted], return_index=True)
    answer = np.full(batch.size("seat"), -1)
    answer[seats] = batch["turn.action"][acted[first]]
    return answer


def votes(group: NDArray[np.int64], answer: NDArray[np.int64], counted: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """For every row the number of counted rows in its group that answer as it does, and its group's size; at least 1 each."""
    one = np.ones(len(group))
    return np.maximum(cell_sum(combined([group, answer]), one, counted), 1), np.maximum(cell_sum(group, one, counted), 1)


def entropy(group: NDArray[np.int64], answer: NDArray[np.int64], counted: NDArray[np.bool_]) -> Floats:
    """For every row the entropy, in nats, of the answers of its group's counted rows."""
    same, size = votes(group, answer, counted)
    return cell_mean(group, -np.log(same / size), counted)


@dataclass(frozen=True, kw_only=True)
class Consistency(Estimator):
    """COPO (arXiv 2508.04138): A = w local + (1 - w) global, w = sigmoid(sharpness (H - threshold)), H the entropy of the group's answers.

    Local: standardised in the group. Global: the group's mean, standardised among the groups of its game and seat: where all answers
    agree there is nothing to compare inside. Our reading: the logarithm is natural, and the global deviation divides by n.
    """

    answer: Answer = "action"
    sharpness: float = 20.0
    threshold: float = 1.5
    """In nats. A group of N has at most log N, one of a game with n first actions log n."""
    eps: float = 1e-6

    def estimate(self, rows: Rows, memory: Memory) -> Floats:
        agreed = entropy(rows.group, answers(rows.batch, self.answer), rows.counted)
        weight = 0.5 * (1 + np.tanh(self.sharpness * (agreed - self.threshold) / 2))
        local = standardised(rows.group, rows.value, rows.counted, 1, self.eps)
        side = group_of(rows.batch, rows.level, ("game", "seat"))
        among = standardised(side, rows.mean, once(rows.group, rows.counted), 0, self.eps)
        return weight * local + (1 - weight) * among
