"""Codes for what seats of public goods have learned, many at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from games.public_goods import texts
from marl_llm.seeding import fold

if TYPE_CHECKING:
    from games.public_goods.game import PublicGoods

MARKS = 1  # name of a random stream


class Known:
    """Codes of keys. What a seat has learned is told apart by a sum of its integers with random weights of 64 bits, so that Python
    works only on what has not come up before. Two of a million would have equal sums once in ten million games.
    """

    def __init__(self, game: PublicGoods) -> None:
        self.game = game
        self.codes: list[str] = []
        self.marks, self.numbers = np.zeros(0, np.int64), np.zeros(0, np.int64)
        """Sums that have come up, in order, and their codes."""

    def of(self, seat: NDArray[np.int64], seen: NDArray[np.int64]) -> NDArray[np.int64]:
        """The code of each row's key; ``codes`` grows by the new ones."""
        weights = fold(MARKS, np.arange(seen.shape[1] + 1)).view(np.int64)
        marks, first, place = np.unique(seen @ weights[1:] + seat * weights[0], return_index=True, return_inverse=True)
        new = np.flatnonzero(~np.isin(marks, self.marks, assume_unique=True))
        if len(new):
            at = np.searchsorted(self.marks, marks[new])
            self.marks = np.insert(self.marks, at, marks[new])
            self.numbers = np.insert(self.numbers, at, len(self.codes) + np.arange(len(new)))
            rows = first[new]
            self.codes += [texts.key(self.game, s, learned(row)) for s, row in zip(seat[rows].tolist(), seen[rows], strict=True)]
        return self.numbers[np.searchsorted(self.marks, marks)][place]


def learned(row: NDArray[np.int64]) -> list[int]:
    """A row of ``seen`` without what has not been seen."""
    return row[row >= 0].tolist()
