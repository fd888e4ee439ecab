"""Any number of matches of public goods as arrays: the same rules as ``state``, and no Python object a step."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from games.public_goods import texts
from games.public_goods.known import Known
from games.public_goods.payoff import received
from games.public_goods.state import PublicGoodsState, Rounds
from marl_llm.boards import Boards, StaleView, Views
from marl_llm.game import State
from marl_llm.ragged import Ragged

if TYPE_CHECKING:
    from games.public_goods.game import PublicGoods

Index = NDArray[np.int64]


class PublicGoodsBoards(Boards):
    """Columns over rows. ``stage`` counts the stages played (-1: nobody plays here); a round has ``game.stages``, in each of which one
    seat gives, or all give, or all fine. ``made``, [rows, rounds + 1, kinds, seats], has the gifts (kind 0, in tokens) and fines (kind 1)
    of every round, -1 where not made yet; its round 0, before the first, is all 0; ``lines`` is the same with one line for all seats.
    ``total`` is what all gave in the last round in which all have given. ``moved`` is when a row last did.

    Lines are read by ``take``, for numpy takes several times as long over ``lines[index]``.
    """

    def __init__(self, game: PublicGoods, rows: int) -> None:
        self.game, self.info, self.broken = game, game.info, {}
        seats, levels = game.seats, game.levels
        self.made = np.zeros((rows, game.rounds + 1, 2 if game.fine else 1, seats), np.min_scalar_type(-max(levels, seats) - 1))
        self.lines = self.made.reshape(-1, seats)
        self.stage = np.full(rows, -1, np.int64)
        self.total = np.zeros(rows, np.int64)
        self.gained = np.zeros((rows, seats))
        self.moved, self.clock = np.zeros(rows, np.int64), 0
        self.act: tuple[Index, Index] | None = None
        """Who acts, once asked and until that changes."""
        self.last = game.rounds * game.stages
        stage = np.arange(self.last + 1)
        self.round, self.part = np.divmod(stage, game.stages)
        self.kind = (self.part == game.giving).astype(np.int64)
        self.given = (stage + game.stages - game.giving) // game.stages
        """By stage, rounds that are over, place in the round, what is done there, and rounds in which all have given."""
        self.round_share, self.own_share, self.group_share = (_shares(n) for n in (game.rounds, levels, levels * seats))
        self.options = Ragged.of([range(levels + 1), *([c for c in range(seats + 1) if c != seat + 1] for seat in range(seats))])
        """Legal actions: of a seat that gives, and of each that fines."""
        self.known = Known(self)
        self.codes = self.known.codes

    def start(self, row: Index, seeds: NDArray[np.uint64]) -> None:
        self._touch(row)
        self.act = None
        self.known.start(row)
        self.made[row, 1:] = -1
        self.stage[row], self.total[row], self.gained[row] = 0, 0, 0

    def _touch(self, row: Index) -> None:
        self.clock += 1
        self.moved[row] = self.clock

    def acting(self) -> tuple[Index, Index]:
        if self.act is None:
            rows, seats = np.flatnonzero(self.stage >= 0), self.game.seats
            row, seat = np.repeat(rows, seats), np.tile(np.arange(seats), len(rows))
            if self.game.sequential:
                due = (self.kind[self.stage[row]] == 1) | (self.part[self.stage[row]] == seat)
                row, seat = row[due], seat[due]
            self.act = row, seat
        return self.act

    def legal(self, row: Index, seat: Index) -> Ragged:
        if self.game.fine:
            return self.options.take(self.kind[self.stage[row]] * (seat + 1))
        n = self.game.levels + 1
        return Ragged(np.tile(np.arange(n), len(row)), np.arange(len(row) + 1) * n)

    def views(self, row: Index, seat: Index) -> Views:
        return _Views(self, row, seat)

    def line(self, row: Index, round_: Index, kind: Any = 0) -> Index:
        """Where ``lines`` has what was done in a round, counted from 1."""
        _, rounds, kinds, _ = self.made.shape
        return (row * rounds + round_) * kinds + kind

    def step(self, row: Index, seat: Index, moves: NDArray[Any]) -> Index:
        game = self.game
        if game.sequential:
            rows, stage = row[np.diff(row, prepend=-1) > 0], self.stage[row]
            self.lines[self.line(row, self.round[stage] + 1, self.kind[stage]), seat] = moves
            self.act = None
        else:
            rows = row[:: game.seats]
            stage = self.stage[rows]
            self.lines[self.line(rows, self.round[stage] + 1, self.kind[stage])] = moves.reshape(-1, game.seats)
        self._touch(rows)
        stage = self.stage[rows]
        self.stage[rows] = stage + 1
        self._share(rows[self.given[stage + 1] > self.given[stage]])
        if game.fine:
            self._fine(rows[self.kind[stage] == 1])
        over = rows[stage + 1 == self.last]
        if len(over):
            self.stop(over)
        return over

    def _share(self, row: Index) -> None:
        """Pay for the gifts of a round to rows in which all have given."""
        gifts = self.lines.take(self.line(row, self.given[self.stage[row]]), 0).astype(np.int64)
        total = np.einsum("rs->r", gifts)  # several times as quick as sum where seats are few
        to = slice(None) if len(row) == len(self.stage) else row
        self.total[to] = total
        self.gained[to] += self.game.payoff(gifts, total)

    def _fine(self, row: Index) -> None:
        """Take fines and their price from rows in which all have fined."""
        choices = self.lines.take(self.line(row, self.round[self.stage[row]], 1), 0)
        self.gained[row] -= self.game.price * (choices > 0) + self.game.fine * received(choices)

    def stop(self, row: Index) -> None:
        self.stage[row], self.act = -1, None

    def returns(self, row: Index) -> NDArray[np.float64]:
        return self.gained.take(row, 0)

    def seen(self, row: Index, seat: Index) -> list[list[int]]:
        """All that each seat has learned, as ``texts`` explains."""
        game, n = self.game, np.arange(len(row))
        made = self.made[row, 1:].astype(np.int64)
        gifts = made[:, :, 0]
        done = (np.arange(game.rounds) < self.given[self.stage[row]][:, None])[..., None]
        parts = []
        if game.observe == "partial":
            parts.append(np.where(seat[:, None] > 0, gifts[n, :, seat - 1], -1)[..., None])
        if game.observe == "full":
            parts.append(gifts)
        elif game.fine:
            parts.append(np.where(done, gifts, -1))
        else:
            parts.append(np.where(done, np.stack([gifts[n, :, seat], gifts.sum(-1)], -1), -1))
        if game.fine:
            parts.append(made[:, :, 1])
        facts = np.concatenate(parts, -1).reshape(len(row), -1)
        flat, ends = facts[facts >= 0].tolist(), (facts >= 0).sum(1).cumsum().tolist()
        return [flat[first:last] for first, last in pairwise([0, *ends])]


def _shares(n: int) -> NDArray[np.float32]:
    """The numbers 0 to ``n`` as shares of ``n``."""
    return (np.arange(n + 1) / n).astype(np.float32)


class _Views(Views):
    def __init__(self, boards: PublicGoodsBoards, row: Index, seat: Index) -> None:
        self.boards, self.row, self.seat, self.clock = boards, row, seat, boards.clock
        self.game, self.codes = boards.game, boards.codes

    def _stage(self, row: Index) -> Index:
        """The stage of rows; StaleView if one has moved on."""
        if (self.boards.moved[row] > self.clock).any():
            raise StaleView("this view's match has moved on; read text, vector and key before the next step")
        return self.boards.stage[row]

    def keys(self) -> Index:
        self._stage(self.row)
        return self.boards.known.of(self.row, self.seat)

    def texts(self) -> list[str]:
        boards, stage = self.boards, self._stage(self.row)
        about = zip(
            self.seat.tolist(), boards.seen(self.row, self.seat), boards.round[stage].tolist(), boards.kind[stage].tolist(), strict=True
        )
        return [texts.view(boards.game, seat, seen, round_, kind == 1) for seat, seen, round_, kind in about]

    def vectors(self) -> NDArray[np.float32]:
        boards, game = self.boards, self.boards.game
        row, seat = self._grid()
        stage = self._stage(row)
        own = boards.line(row, boards.given[stage]) * game.seats + seat
        out = np.empty((*own.shape, *(game.info.vector or ())), np.float32)
        out[..., 0] = boards.round_share[boards.round[stage]]
        out[..., 1] = boards.own_share.take(boards.lines.take(own))
        out[..., 2] = boards.group_share[boards.total[row]]
        if game.sequential or game.fine:
            gifts = boards.lines.take(boards.line(row, boards.round[stage] + 1), 0)
            shown = (boards.kind[stage] == 1)[..., None] | (game.observe == "full")
            if game.observe == "partial":
                shown = shown | (np.arange(game.seats) == seat[..., None] - 1)
            out[..., 3 : 3 + game.seats] = boards.own_share[np.where(shown & (gifts >= 0), gifts, 0)]
        if game.fine:
            out[..., 3 + game.seats] = boards.kind[stage]
            out[..., 4 + game.seats :] = received(boards.lines.take(boards.line(row, boards.round[stage], 1), 0)) / game.seats
        return out.reshape(-1, out.shape[-1])

    def _grid(self) -> tuple[Index, Index]:
        """Rows and seats; where they are all the seats of some rows, as [rows, 1] and [1, seats], so that rows are read once."""
        seats = np.arange(self.boards.game.seats)
        if len(self.row) % len(seats) == 0:
            row, seat = self.row.reshape(-1, len(seats)), self.seat.reshape(-1, len(seats))
            if (seat == seats).all() and (row == row[:, :1]).all():
                return row[:, :1], seats[None]
        return self.row, self.seat

    def action_texts(self) -> list[list[str]]:
        boards, stage = self.boards, self._stage(self.row)
        legal = boards.legal(self.row, self.seat)
        return [[texts.action(kind == 1, a) for a in legal[i].tolist()] for i, kind in enumerate(boards.kind[stage].tolist())]

    def take(self, rows: Index) -> Views:
        views = _Views(self.boards, self.row[rows], self.seat[rows])
        views.clock = self.clock
        return views

    def states(self) -> list[State]:
        self._stage(self.row)
        boards = self.boards

        def rounds(row: int, kind: int) -> Rounds:
            made = (tuple(gift for gift in gifts if gift >= 0) for gifts in boards.made[row, 1:, kind].tolist())
            return tuple(gifts for gifts in made if gifts)

        return [
            PublicGoodsState(boards.game, rounds(r, 0), rounds(r, 1) if boards.game.fine else (), boards.gained[r].tolist())
            for r in self.row.tolist()
        ]
