"""Advantages: one number a turn, computed on the columns of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from algorithms.parts import Credit, Credited, Memory
from marl_llm.ragged import segment_sum
from marl_llm.records import Batch

Floats = NDArray[np.float64]
Cell = Literal["none", "game", "seat", "turn", "view"]
CELLS: tuple[Cell, ...] = ("game", "seat", "turn", "view")


@dataclass(frozen=True, kw_only=True)
class TurnLevel(Credit):
    """The house estimator, after MARS (MARSHAL, 2025): the turn's return-to-go minus what others got there.

    A(turn) = G - b with G the undiscounted sum of the game's rewards from this turn on, and b the mean G of the *other*
    turns in the same cell. Leaving the turn itself out keeps the gradient unbiased; there is no division by a standard
    deviation, which would weigh hands by luck. Cells lie in each other: all turns of a seat (or of the whole game), that seat's
    k-th turns, those at one view. A cell of few turns is shrunk to the next coarser: b = (n b_cell + shrink b_coarse) / (n + shrink).
    A turn alone in all of them gets b = 0. Faults have their own term, their cost minus its mean over the others of the cell.
    """

    to_go: bool = True
    """Rewards from the turn on; else the whole match's, the same for every turn."""
    baseline: Cell = "view"
    """The finest cell."""
    shrink: float = 4.0
    """Turns of the coarser cell that a cell's own mean is diluted with."""

    def assign(self, batch: Batch, memory: Memory) -> Credited:
        gain = return_to_go(batch, "turn.game") if self.to_go else outcome(batch, "turn.game")[batch.up("turn", "seat")]
        return Credited(self._centred(batch, gain) + self._centred(batch, batch["turn.format"]))

    def _centred(self, batch: Batch, values: Floats) -> Floats:
        counted = batch["turn.learn"].astype(bool)
        if self.baseline == "none" or not values.any():
            return np.where(counted, values, 0.0)
        chain = CELLS[CELLS.index("seat") : CELLS.index(self.baseline) + 1] or (self.baseline,)
        _, baseline = leave_one_out(cells(batch, chain[0]), values, counted)
        for cell in chain[1:]:
            n, others = leave_one_out(cells(batch, cell), values, counted)
            baseline = (n * others + self.shrink * baseline) / np.maximum(n + self.shrink, 1e-12)
        return np.where(counted, values - baseline, 0.0)


@dataclass(frozen=True, kw_only=True)
class SeatMean(Credit):
    """MARSHAL as published: return-to-go minus the mean return-to-go of the seat's turns of that game, no deviation."""

    def assign(self, batch: Batch, memory: Memory) -> Credited:
        counted = batch["turn.learn"].astype(bool)
        gain = return_to_go(batch, "turn.game") + batch["turn.format"]
        return Credited(np.where(counted, gain - cell_mean(cells(batch, "seat"), gain, counted), 0.0))


@dataclass(frozen=True, kw_only=True)
class Grouped(Credit):
    """GRPO (Shao et al., 2024): a match's outcome against those of the same seat on the same deal, given to all its turns.

    A = (R - mean) / (deviation + eps). Seats never share a group: of zero-sum outcomes its mean would always be 0.
    """

    deviation: bool = True
    """Divide by the group's standard deviation; else the mean alone is taken off (Dr. GRPO)."""
    ddof: int = 1
    eps: float = 1e-6
    singleton: Literal["zero", "raw"] = "zero"
    """What a match alone in its group gets: nothing, or its outcome."""

    def assign(self, batch: Batch, memory: Memory) -> Credited:
        total, counted = outcome(batch, "turn.game") + outcome(batch, "turn.format"), learning(batch)
        _, deal = np.unique(np.stack([batch["match.seed"], batch["match.game"].astype(np.uint64)]), axis=1, return_inverse=True)
        group = deal.reshape(-1)[batch.up("seat", "match")] * SEATS + batch["seat.seat"]
        centred = total - cell_mean(group, total, counted)
        advantage = standardised(group, total, counted, self.ddof, self.eps) if self.deviation else centred
        alone = cell_sum(group, np.ones(len(group)), counted) < 2
        advantage = np.where(alone, total if self.singleton == "raw" else 0.0, advantage)
        return Credited(np.where(batch["turn.learn"], advantage[batch.up("turn", "seat")], 0.0))


@dataclass(frozen=True, kw_only=True)
class RunningBaseline(Credit):
    """Role-conditioned advantage estimation (RAE; SPIRAL, 2025): a match's outcome minus a running mean of that game and
    seat, b <- (1 - rate) b + rate R, given to all the seat's turns. The mean begins at 0 and lasts for the run."""

    rate: float = 0.05
    discount: float = 1.0
    """Factor for every own turn that is still to come."""
    updated_first: bool = False
    """Subtract the mean after it has taken in the outcome itself, else before."""
    steps: bool = False
    """Add each turn's ``turn.format`` to it, and standardise the sum over the turns of a game."""
    ddof: int = 0
    eps: float = 1e-8
    """Of that standard deviation."""

    def assign(self, batch: Batch, memory: Memory) -> Credited:
        total, seat = outcome(batch, "turn.game"), batch["seat.seat"]
        game = batch["match.game"][batch.up("seat", "match")]
        advantage = np.zeros(len(total))
        # One after the other, by match id: the order in which matches finish would give the longest the last word on the mean.
        rows = np.flatnonzero(learning(batch))
        for row in rows[np.argsort(batch["match.id"][batch.up("seat", "match")[rows]], kind="stable")].tolist():
            name = f"{batch.tables['game'][game[row]]}/{seat[row]}"
            before = memory.get(name, 0.0)
            memory[name] = (1 - self.rate) * before + self.rate * float(total[row])
            advantage[row] = total[row] - (memory[name] if self.updated_first else before)
        own = batch.up("turn", "seat")
        left = batch.starts["turn"][1:][own] - 1 - np.arange(len(own))
        each = self.discount**left * advantage[own] + (batch["turn.format"] if self.steps else 0.0)
        counted = batch["turn.learn"].astype(bool)
        if self.steps:
            each = standardised(cells(batch, "game"), each, counted, self.ddof, self.eps)
        return Credited(np.where(counted, each, 0.0))


SEATS = 1 << 12
"""Room for seats in a cell's number."""


def cells(batch: Batch, cell: Cell) -> NDArray[np.int64]:
    """The number of every turn's cell, shape [turns]."""
    game = batch["match.game"][batch.up("turn", "match")].astype(np.int64)
    seat = game * SEATS + batch["turn.seat"]
    match cell:
        case "game":
            return game
        case "seat":
            return seat
        case "turn":
            return (seat << 24) + np.minimum(batch["turn.index"], (1 << 24) - 1)
        case _:
            return (seat << 40) + batch["turn.key"] + 1


def return_to_go(batch: Batch, channel: str) -> Floats:
    """Sum of a turn-level channel from each turn to the seat's last, undiscounted; shape [turns]."""
    total = np.concatenate([[0.0], np.cumsum(batch[channel], dtype=np.float64)])
    last = batch.starts["turn"][1:][batch.up("turn", "seat")]
    return total[last] - total[:-1]


def outcome(batch: Batch, channel: str) -> Floats:
    """Sum of a turn-level channel over a seat's turns of a match; shape [seats]."""
    total = np.concatenate([[0.0], np.cumsum(batch[channel], dtype=np.float64)])
    return total[batch.starts["turn"][1:]] - total[batch.starts["turn"][:-1]]


def learning(batch: Batch) -> NDArray[np.bool_]:
    """Whether a seat has a turn to learn from in its match; shape [seats]."""
    return segment_sum(batch["turn.learn"].astype(bool), batch.starts["turn"]) > 0


def leave_one_out(cell: NDArray[np.int64], values: Floats, counted: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """For every row the number and the mean of the *other* counted rows of its cell (mean 0 where there is none)."""
    weight = counted.astype(np.float64)
    count = cell_sum(cell, np.ones(len(cell)), counted) - weight
    total = cell_sum(cell, values, counted) - weight * values
    return count, total / np.maximum(count, 1)


def cell_sum(cell: NDArray[np.int64], values: Floats, counted: NDArray[np.bool_]) -> Floats:
    """For every row the sum of ``values`` over the counted rows of its cell."""
    _, place = np.unique(cell, return_inverse=True)
    return np.bincount(place, counted * values, minlength=1).astype(np.float64)[place]


def cell_mean(cell: NDArray[np.int64], values: Floats, counted: NDArray[np.bool_]) -> Floats:
    """For every row the mean of ``values`` over the counted rows of its cell, 0 where there is none."""
    return cell_sum(cell, values, counted) / np.maximum(cell_sum(cell, np.ones(len(cell)), counted), 1)


def standardised(cell: NDArray[np.int64], values: Floats, counted: NDArray[np.bool_], ddof: int, eps: float) -> Floats:
    """For every row (value - mean) / (deviation + eps) over the counted rows of its cell; 0 where these are equal, or ``ddof`` or fewer."""
    away = values - cell_mean(cell, values, counted)
    left = cell_sum(cell, np.ones(len(cell)), counted) - ddof
    spread = np.sqrt(cell_sum(cell, np.square(away), counted) / np.maximum(left, 1))
    return np.divide(away, spread + eps, out=np.zeros(len(away)), where=(spread > 1e-12) & (left > 0))
