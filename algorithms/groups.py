"""Groups of turns and of trajectories, and statistics in them: a group is never stored, it is a function of columns.

A trajectory is the turns of one seat in one match: a row of the ``seat`` level.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from algorithms.returns import discounted
from marl_llm.ragged import segment_sum
from marl_llm.records import Batch

Floats = NDArray[np.float64]
Level = Literal["seat", "turn"]
Key = Literal["game", "deal", "match", "seat", "turn", "view", "action"]


def _deal(batch: Batch) -> NDArray[np.int64]:
    """Matches of one game and seed with the same players in the same seats: a policy and its past meet different luck."""
    code = combined([batch["match.game"], batch["match.seed"]])
    if "seat.player" not in batch:
        return code
    players = batch["seat.player"]
    if len(players) and (players == players[0]).all():
        return code
    seat, match = batch["seat.seat"], batch.up("seat", "match")
    table = np.full((len(batch), int(seat.max(initial=0)) + 1), -1)
    table[match, seat] = players
    return combined([code, *table.T])


KEYS: Mapping[Key, tuple[str, Callable[[Batch], NDArray[Any]]]] = {
    "game": ("match", lambda batch: batch["match.game"]),
    "deal": ("match", _deal),
    "match": ("match", lambda batch: np.arange(len(batch))),
    "seat": ("seat", lambda batch: batch["seat.seat"]),
    "turn": ("turn", lambda batch: batch["turn.index"]),
    "view": ("turn", lambda batch: batch["turn.key"]),
    "action": ("turn", lambda batch: batch["turn.action"]),
}
"""Of every key the level that it is known at, and its column."""


def combined(columns: Sequence[NDArray[Any]]) -> NDArray[np.int64]:
    """A small number for every row, the same where all ``columns`` are."""
    code = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        _, place = np.unique(column, return_inverse=True)
        code = code * (int(place.max(initial=0)) + 1) + place
        if len(columns) > 1:
            code = np.unique(code, return_inverse=True)[1]
    return code


def group_of(batch: Batch, level: Literal["match"] | Level, keys: Sequence[Key]) -> NDArray[np.int64]:
    """The number of every row's group, shape [rows of ``level``]: rows are in one group where all ``keys`` agree."""
    columns = [KEYS[key][1](batch)[batch.up(level, KEYS[key][0])] for key in keys]
    return combined(columns) if columns else np.zeros(batch.size(level), np.int64)


@dataclass(frozen=True)
class Rows:
    """Rows of a batch with a value and a group each; those that are not ``counted`` enter no statistic."""

    batch: Batch
    level: Level
    value: Floats
    group: NDArray[np.int64]
    counted: NDArray[np.bool_]

    def column(self, name: str) -> NDArray[Any]:
        """A column of the same level, or of one above, at every row."""
        return self.batch[name][self.batch.up(self.level, name.split(".")[0])]

    @property
    def size(self) -> Floats:
        """Counted rows of every row's group."""
        return cell_sum(self.group, np.ones(len(self.group)), self.counted)

    @property
    def mean(self) -> Floats:
        """Mean value in every row's group."""
        return cell_mean(self.group, self.value, self.counted)


def return_to_go(batch: Batch, channel: str, discount: float = 1.0) -> Floats:
    """Sum of a turn-level channel from each turn to the seat's last, with ``discount`` an own turn; shape [turns]."""
    if discount != 1:
        return discounted(batch[channel], batch.starts["turn"], discount)
    total = np.concatenate([[0.0], np.cumsum(batch[channel], dtype=np.float64)])
    last = batch.starts["turn"][1:][batch.up("turn", "seat")]
    return total[last] - total[:-1]


def outcome(batch: Batch, channel: str) -> Floats:
    """Sum of a turn-level channel over a seat's turns of a match; shape [seats]."""
    total = np.concatenate([[0.0], np.cumsum(batch[channel], dtype=np.float64)])
    return total[batch.starts["turn"][1:]] - total[batch.starts["turn"][:-1]]


def success(batch: Batch) -> Floats:
    """1 where a seat's return is above 0, a half where it is 0, else 0; shape [seats]."""
    return 0.5 + 0.5 * np.sign(np.round(batch["seat.return"], 9))


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
    away, spread = values - cell_mean(cell, values, counted), cell_deviation(cell, values, counted, ddof)
    return np.divide(away, spread + eps, out=np.zeros(len(away)), where=spread > 1e-12)


def cell_deviation(cell: NDArray[np.int64], values: Floats, counted: NDArray[np.bool_], ddof: int) -> Floats:
    """For every row the standard deviation over the counted rows of its cell, 0 where these are ``ddof`` or fewer."""
    left = cell_sum(cell, np.ones(len(cell)), counted) - ddof
    squares = cell_sum(cell, np.square(values - cell_mean(cell, values, counted)), counted)
    return np.where(left > 0, np.sqrt(squares / np.maximum(left, 1)), 0.0)


def cell_max(cell: NDArray[np.int64], values: Floats, counted: NDArray[np.bool_]) -> Floats:
    """For every row the largest value among the counted rows of its cell, -inf where there is none."""
    _, place = np.unique(cell, return_inverse=True)
    most = np.full(int(place.max(initial=-1)) + 1, -np.inf)
    np.maximum.at(most, place[counted], values[counted])
    return most[place]


def ranked(cell: NDArray[np.int64], values: Floats, counted: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Place of every counted row among those of its cell, 0 for the least value; equal values stand in order of rows."""
    order, place = np.lexsort((values, ~counted, cell)), np.arange(len(cell))
    begins = np.diff(cell[order], prepend=cell[order][:1] - 1) != 0
    rank = np.empty(len(cell), np.int64)
    rank[order] = place - np.maximum.accumulate(np.where(begins, place, 0))
    return rank


def once(cell: NDArray[np.int64], counted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The first counted row of every cell: what a cell has in common then counts once."""
    rows = np.flatnonzero(counted)
    first = np.zeros(len(cell), bool)
    first[rows[np.unique(cell[rows], return_index=True)[1]]] = True
    return first


def trajectory_mean(batch: Batch, column: str) -> Floats:
    """Mean of a turn-level column over the learned turns of each seat of a match, 0 where it has none; shape [seats]."""
    learned, starts = batch["turn.learn"].astype(bool), batch.starts["turn"]
    return segment_sum(np.where(learned, batch[column], 0.0), starts) / np.maximum(segment_sum(learned, starts), 1)
