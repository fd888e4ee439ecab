"""Credits of their own, beside those that are terms (see ``algorithms.terms``): one advantage a turn, from the columns of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from algorithms.groups import Floats, cell_mean, learning, leave_one_out, outcome, return_to_go, standardised
from algorithms.parts import Credit, Credited, Memory
from marl_llm.records import Batch

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
