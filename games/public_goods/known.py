"""Codes for what seats of public goods have learned, in many matches at once.

What a seat has learned is a list of integers (see ``texts``). It is told apart by a mark, the sum of these integers with random
weights of 64 bits, so that Python works only on what has not come up before; two of a million lists have the same mark once in ten
million times. Marks are brought up to date when they are asked for: who reads vectors or texts does not pay for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from games.public_goods import texts
from marl_llm.seeding import fold

if TYPE_CHECKING:
    from games.public_goods.boards import PublicGoodsBoards

SEAT, GIFT, FINE, BEFORE, OWN, ALL = range(6)  # names of random streams


class Known:
    """The codes of keys on some boards: ``codes`` holds the keys. Of every match ``heard`` stages are in the marks, [rows, seats]."""

    def __init__(self, boards: PublicGoodsBoards) -> None:
        self.boards, self.game = boards, boards.game
        self.codes: list[str] = []
        self.marks, self.numbers = np.asarray([np.iinfo(np.int64).max]), np.asarray([-1])
        """Marks that have come up, in order, and their codes; a last one stands above all."""
        self.mark = np.zeros((len(boards.stage), self.game.seats), np.int64)
        self.heard = np.zeros(len(boards.stage), np.int64)
        round_, seat = np.arange(self.game.rounds), np.arange(self.game.seats)
        self.seat = _weights(SEAT, seat)
        self.gift, self.fine = (_weights(name, round_[:, None], seat) for name in (GIFT, FINE))
        self.before, self.own, self.all = (_weights(name, round_) for name in (BEFORE, OWN, ALL))

    def start(self, row: NDArray[np.int64]) -> None:
        self.mark[row], self.heard[row] = self.seat, 0

    def of(self, row: NDArray[np.int64], seat: NDArray[np.int64]) -> NDArray[np.int64]:
        """The code of each seat's key; ``codes`` grows by the new ones."""
        late = np.flatnonzero(self.heard < self.boards.stage)
        while len(late):
            self._hear(late, self.heard[late])
            self.heard[late] += 1
            late = late[self.heard[late] < self.boards.stage[late]]
        marks, first, place = np.unique(self.mark[row, seat], return_index=True, return_inverse=True)
        at = np.searchsorted(self.marks, marks)
        new = np.flatnonzero(self.marks[at] != marks)
        if len(new):
            self.marks = np.insert(self.marks, at[new], marks[new])
            self.numbers = np.insert(self.numbers, at[new], len(self.codes) + np.arange(len(new)))
            row, seat = row[first[new]], seat[first[new]]
            seen = self.boards.seen(row, seat)
            self.codes += [texts.key(s, known) for s, known in zip(seat.tolist(), seen, strict=True)]
            at = np.searchsorted(self.marks, marks)
        return self.numbers[at][place]

    def _hear(self, row: NDArray[np.int64], stage: NDArray[np.int64]) -> None:
        """Add to the marks of matches what was learned in a stage; a number counts as one more than it is, so that 0 is seen too."""
        boards, game, round_, part = self.boards, self.game, self.boards.round[stage], self.boards.part[stage]
        gifts = boards.lines.take(boards.line(row, round_ + 1), 0) + np.int64(1)
        giving = part < game.giving
        if game.observe == "full":
            r, k, p = row[giving], round_[giving], part[giving]
            self.mark[r] += (gifts[giving, p] * self.gift[k, p])[:, None]
        elif game.observe == "partial":
            to_next = part < game.seats - 1
            r, k, p = row[to_next], round_[to_next], part[to_next]
            self.mark[r, p + 1] += gifts[to_next, p] * self.before[k]
        if game.observe != "full":
            all_gave = part == game.giving - 1
            r, k, gifts = row[all_gave], round_[all_gave], gifts[all_gave]
            if game.fine:
                self.mark[r] += (gifts * self.gift[k]).sum(1, keepdims=True)
            else:
                self.mark[r] += gifts * self.own[k, None] + gifts.sum(1, keepdims=True) * self.all[k, None]
        if game.fine:
            r, k = row[~giving], round_[~giving]
            fines = boards.lines.take(boards.line(r, k + 1, 1), 0) + np.int64(1)
            self.mark[r] += (fines * self.fine[k]).sum(1, keepdims=True)


def _weights(*keys: Any) -> NDArray[np.int64]:
    return fold(*keys).view(np.int64)
