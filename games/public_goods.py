"""Linear public goods: everyone gives a part of an endowment to a pot that is multiplied and shared equally by all.

In each round seat i, giving c_i of its endowment 1, gains 1 - c_i + mpcr * (c_1 + ... + c_N). With a marginal per-capita
return below 1 giving nothing is dominant, and with N * mpcr above 1 all are best off when all give everything (Isaac and
Walker, 1988). Seats give at once and see afterwards what the group gave.

``_Boards`` plays any number of matches as arrays; ``PublicGoodsState`` is the same rules for one match.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marl_llm.boards import Boards, StaleView, Views
from marl_llm.errors import UserError
from marl_llm.game import Action, Discrete, Game, GameInfo, Seat, State, View
from marl_llm.ragged import Ragged

Past = tuple[tuple[int, int], ...]
"""What a seat has seen: for every round what it gave and what the whole group gave, in tokens."""
SMALL = 50_000


class PublicGoods(Game):
    """``levels`` tokens make up the endowment; action k gives k of them. ``mpcr`` is the return of a token to every seat."""

    def __init__(self, seats: int = 4, mpcr: float = 0.5, levels: int = 4, rounds: int = 1) -> None:
        for name, value in (("seats", seats), ("levels", levels), ("rounds", rounds)):
            if not isinstance(value, int) or value < 1:
                raise UserError(f"public_goods: {name} is {value!r}; expected an integer of at least 1")
        if not isinstance(mpcr, (int, float)) or not isfinite(mpcr) or mpcr < 0:
            raise UserError(f"public_goods: mpcr is {mpcr!r}; expected a number of at least 0, such as 0.5")
        self.seats, self.mpcr, self.levels, self.rounds = seats, float(mpcr), levels, rounds
        self.info = GameInfo(
            name=f"public_goods(seats={seats},mpcr={mpcr},levels={levels},rounds={rounds})",
            seats=seats,
            returns=(rounds * min(1.0, self.mpcr), rounds * (max(1.0, self.mpcr) + self.mpcr * (seats - 1))),
            max_decisions=seats * rounds,
            action=Discrete(levels + 1),
            vector=(3,),
            rewards_at_end=rounds == 1,
            enumerable=float(levels + 1) ** (seats * rounds) <= SMALL,
            anonymous=True,
            simultaneous=True,
            key_kind="information",
            summary="Linear public goods",
        )

    def start(self, seed: int) -> State:
        return PublicGoodsState(self, ())

    def rules(self, seat: Seat) -> str:
        return (
            f"A public goods game of {self.seats} players. In each round every player has {self.levels} tokens and secretly gives "
            f"some of them to a pot, keeping the rest. Every token in the pot pays {self.mpcr:g} to each player. "
            "Answer with the number of tokens that you give."
        )

    def boards(self, rows: int) -> Boards:
        return _Boards(self, rows)

    def gains(self, given: NDArray[np.int64]) -> NDArray[np.float64]:
        """Gains of one round from the tokens given, shape [..., seats]."""
        return 1 - given / self.levels + self.mpcr * given.sum(-1, keepdims=True) / self.levels

    def key(self, seat: Seat, past: Past) -> str:
        return f"{seat}:{' '.join(f'{own}/{all_}' for own, all_ in past)}"

    def text(self, seat: Seat, past: Past) -> str:
        seen = "".join(f" In round {k} you gave {own} and all gave {all_}." for k, (own, all_) in enumerate(past, 1))
        return f"You are player {seat + 1}. Round {len(past) + 1} of {self.rounds}.{seen}"

    def vector(self, round_: Any, own: Any, group: Any) -> NDArray[np.float32]:
        """The share of rounds played, and what this seat and the mean seat gave last; shape [..., 3]."""
        columns = [round_ / self.rounds, own / self.levels, group / (self.levels * self.seats)]
        return np.stack(columns, -1).astype(np.float32)


class PublicGoodsState(State):
    """One match: the tokens given in the rounds played."""

    def __init__(self, game: PublicGoods, given: tuple[tuple[int, ...], ...]) -> None:
        self.game, self.given = game, given

    def to_act(self) -> tuple[Seat, ...]:
        return tuple(range(self.game.seats)) if len(self.given) < self.game.rounds else ()

    def legal(self, seat: Seat) -> Sequence[int]:
        return range(self.game.levels + 1)

    def apply(self, moves: Mapping[Seat, Action]) -> None:
        self.given = (*self.given, tuple(moves[seat] for seat in range(self.game.seats)))

    def returns(self) -> Sequence[float]:
        return self.game.gains(np.asarray(self.given, np.int64).reshape(-1, self.game.seats)).sum(0).tolist()

    def view(self, seat: Seat | None) -> View:
        if seat is None:
            return View(text=lambda: f"Given so far: {self.given}", key=lambda: str(self.given))
        past = tuple((round_[seat], sum(round_)) for round_ in self.given)
        own, group = past[-1] if past else (0, 0)
        return View(
            text=lambda: self.game.text(seat, past),
            vector=lambda: self.game.vector(*np.asarray([len(past), own, group])),
            key=lambda: self.game.key(seat, past),
        )

    def clone(self) -> State:
        return PublicGoodsState(self.game, self.given)

    def resample(self, seat: Seat, seed: int) -> State:
        """Earlier rounds cannot be told apart where this seat and the group gave the same; this one is such a world."""
        return self.clone()


class _Boards(Boards):
    """Columns: ``given`` [rows, rounds, seats] tokens, ``round`` [rows] (-1: nobody plays here), ``code`` [rows, seats] of keys."""

    def __init__(self, game: PublicGoods, rows: int) -> None:
        self.game, self.info, self.broken = game, game.info, {}
        self.given = np.zeros((rows, game.rounds, game.seats), np.int64)
        self.round = np.full(rows, -1, np.int64)
        self.gained = np.zeros((rows, game.seats))
        self.clock = np.zeros(rows, np.int64)
        self.pasts: list[tuple[Seat, Past]] = [(seat, ()) for seat in range(game.seats)]
        """Every distinct thing a seat has known so far; a key's code is its place here."""
        self.codes = [game.key(*known) for known in self.pasts]
        self.after: dict[int, int] = {}
        self.code = np.tile(np.arange(game.seats), (rows, 1))

    def start(self, row: NDArray[np.int64], seeds: NDArray[np.uint64]) -> None:
        self.clock[row] += 1
        self.round[row], self.gained[row], self.code[row] = 0, 0, np.arange(self.game.seats)

    def acting(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        row = np.flatnonzero(self.round >= 0)
        return np.repeat(row, self.game.seats), np.tile(np.arange(self.game.seats), len(row))

    def legal(self, row: NDArray[np.int64], seat: NDArray[np.int64]) -> Ragged:
        n = self.game.levels + 1
        return Ragged(np.tile(np.arange(n), len(row)), np.arange(len(row) + 1) * n)

    def views(self, row: NDArray[np.int64], seat: NDArray[np.int64]) -> Views:
        return _Views(self, row, seat)

    def step(self, row: NDArray[np.int64], seat: NDArray[np.int64], moves: NDArray[Any]) -> NDArray[np.int64]:
        seats = self.game.seats
        row, given = row[::seats], moves.reshape(-1, seats)
        self.clock[row] += 1
        self.given[row, self.round[row]] = given
        self.gained[row] += self.game.gains(given)
        self.round[row] += 1
        over = self.round[row] == self.game.rounds
        if not over.all():
            self._learn(row[~over], given[~over])
        self.round[row[over]] = -1
        return row[over]

    def _learn(self, row: NDArray[np.int64], given: NDArray[np.int64]) -> None:
        """Codes of what every seat knows now: work in Python only for what no seat has known before."""
        own, group = self.game.levels + 1, self.game.levels * self.game.seats + 1
        seen, place = np.unique((self.code[row] * own + given) * group + given.sum(1, keepdims=True), return_inverse=True)
        for item in seen.tolist():
            if item not in self.after:
                seat, past = self.pasts[item // (own * group)]
                self.after[item] = len(self.pasts)
                self.pasts.append((seat, (*past, (item // group % own, item % group))))
                self.codes.append(self.game.key(*self.pasts[-1]))
        self.code[row] = np.asarray([self.after[item] for item in seen.tolist()])[place].reshape(len(row), -1)

    def stop(self, row: NDArray[np.int64]) -> None:
        self.round[row] = -1

    def returns(self, row: NDArray[np.int64]) -> NDArray[np.float64]:
        return self.gained[row]


class _Views(Views):
    def __init__(self, boards: _Boards, row: NDArray[np.int64], seat: NDArray[np.int64]) -> None:
        self.boards, self.row, self.seat, self.clock = boards, row, seat, boards.clock[row]
        self.game, self.codes = boards.game, boards.codes

    def keys(self) -> NDArray[np.int64]:
        if (self.clock != self.boards.clock[self.row]).any():
            raise StaleView("this view's match has moved on; read text, vector and key before the next step")
        return self.boards.code[self.row, self.seat]

    def texts(self) -> list[str]:
        return [self.boards.game.text(*self.boards.pasts[code]) for code in self.keys().tolist()]

    def vectors(self) -> NDArray[np.float32]:
        known, place = np.unique(self.keys(), return_inverse=True)
        pasts = [self.boards.pasts[code][1] for code in known.tolist()]
        last = [(len(past), *(past[-1] if past else (0, 0))) for past in pasts]
        return self.boards.game.vector(*np.asarray(last, np.int64).reshape(-1, 3).T)[place]

    def action_texts(self) -> list[list[str]]:
        return [[str(action) for action in range(self.boards.game.levels + 1)]] * len(self.row)

    def take(self, rows: NDArray[np.int64]) -> Views:
        views = _Views(self.boards, self.row[rows], self.seat[rows])
        views.clock = self.clock[rows]
        return views

    def states(self) -> list[State]:
        self.keys()
        given, round_ = self.boards.given, self.boards.round
        return [PublicGoodsState(self.boards.game, tuple(map(tuple, given[r, : round_[r]].tolist()))) for r in self.row.tolist()]
