"""Any number of matches of public goods as arrays: the same rules as ``state``, and no Python object a step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from games.public_goods import texts
from games.public_goods.known import Known, learned
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
    of every round, -1 where not made yet; its slot 0, before the first round, is all 0. ``total`` is what all gave in the last round
    in which all have given. ``moved`` is when a row last did.
    """

    def __init__(self, game: PublicGoods, rows: int) -> None:
        self.game, self.info, self.broken = game, game.info, {}
        seats, levels = game.seats, game.levels
        self.made = np.zeros((rows, game.rounds + 1, 2 if game.fine else 1, seats), np.min_scalar_type(-max(levels, seats) - 1))
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
        self.known = Known(game)
        self.codes = self.known.codes

    def start(self, row: Index, seeds: NDArray[np.uint64]) -> None:
        self._touch(row)
        self.act = None
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

    def step(self, row: Index, seat: Index, moves: NDArray[Any]) -> Index:
        game = self.game
        if game.sequential:
            rows, at = row[np.diff(row, prepend=-1) > 0], self.stage[row]
            self.made[row, self.round[at] + 1, self.kind[at], seat] = moves
            self.act = None
        else:
            rows = row[:: game.seats]
            at = self.stage[rows]
            self.made[rows, self.round[at] + 1, self.kind[at]] = moves.reshape(-1, game.seats)
        self._touch(rows)
        stage = self.stage[rows]
        self.stage[rows] += 1
        gave = rows[self.given[stage + 1] > self.given[stage]]
        gifts = self.made[gave, self.given[self.stage[gave]], 0]
        self.total[gave] = gifts.sum(1)
        self.gained[gave] += game.payoff(gifts)
        if game.fine:
            fined = rows[self.kind[stage] == 1]
            choices = self.made[fined, self.round[self.stage[fined]], 1]
            self.gained[fined] -= game.price * (choices > 0) + game.fine * received(choices)
        over = rows[stage + 1 == self.last]
        if len(over):
            self.stop(over)
        return over

    def stop(self, row: Index) -> None:
        self.stage[row], self.act = -1, None

    def returns(self, row: Index) -> NDArray[np.float64]:
        return self.gained[row]

    def seen(self, row: Index, seat: Index) -> NDArray[np.int64]:
        """All that seats have learned, as ``texts`` explains, [len(row), ``Known.width``]; -1 where there is nothing yet."""
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
        return np.concatenate(parts, -1).reshape(len(row), -1)


def _shares(n: int) -> NDArray[np.float32]:
    """The numbers 0 to ``n`` as shares of ``n``."""
    return (np.arange(n + 1) / n).astype(np.float32)


class _Views(Views):
    def __init__(self, boards: PublicGoodsBoards, row: Index, seat: Index) -> None:
        self.boards, self.row, self.seat, self.clock = boards, row, seat, boards.clock
        self.game, self.codes = boards.game, boards.codes

    def _stage(self) -> Index:
        """The stage of every row; StaleView if one has moved on."""
        if (self.boards.moved[self.row] > self.clock).any():
            raise StaleView("this view's match has moved on; read text, vector and key before the next step")
        return self.boards.stage[self.row]

    def keys(self) -> Index:
        self._stage()
        return self.boards.known.of(self.seat, self.boards.seen(self.row, self.seat))

    def texts(self) -> list[str]:
        boards, stage = self.boards, self._stage()
        about = zip(
            self.seat.tolist(), boards.seen(self.row, self.seat), boards.round[stage].tolist(), boards.kind[stage].tolist(), strict=True
        )
        return [texts.view(boards.game, seat, learned(seen), round_, kind == 1) for seat, seen, round_, kind in about]

    def vectors(self) -> NDArray[np.float32]:
        boards, game, row, stage = self.boards, self.boards.game, self.row, self._stage()
        seats = np.arange(game.seats)
        out = np.zeros((len(row), *(game.info.vector or ())), np.float32)
        out[:, 0] = boards.round_share[boards.round[stage]]
        out[:, 1] = boards.own_share[boards.made[row, boards.given[stage], 0, self.seat]]
        out[:, 2] = boards.group_share[boards.total[row]]
        if game.public or game.sequential:
            gifts = boards.made[row, boards.round[stage] + 1, 0]
            shown = (boards.kind[stage] == 1)[:, None] | (game.observe == "full")
            if game.observe == "partial":
                shown = shown | (seats == self.seat[:, None] - 1)
            out[:, 3 : 3 + game.seats] = boards.own_share[np.where(shown & (gifts >= 0), gifts, 0)]
        if game.fine:
            out[:, 3 + game.seats] = boards.kind[stage]
            out[:, 4 + game.seats :] = received(boards.made[row, boards.round[stage], 1]) / game.seats
        return out

    def action_texts(self) -> list[list[str]]:
        boards, stage = self.boards, self._stage()
        legal = boards.legal(self.row, self.seat)
        return [[texts.action(kind == 1, a) for a in legal[i].tolist()] for i, kind in enumerate(boards.kind[stage].tolist())]

    def take(self, rows: Index) -> Views:
        views = _Views(self.boards, self.row[rows], self.seat[rows])
        views.clock = self.clock
        return views

    def states(self) -> list[State]:
        self._stage()
        boards = self.boards

        def rounds(row: int, kind: int) -> Rounds:
            made = (tuple(gift for gift in gifts if gift >= 0) for gifts in boards.made[row, 1:, kind].tolist())
            return tuple(gifts for gifts in made if gifts)

        return [
            PublicGoodsState(boards.game, rounds(r, 0), rounds(r, 1) if boards.game.fine else (), boards.gained[r].tolist())
            for r in self.row.tolist()
        ]
