"""The coordination game of BNPG: a team whose best joint action is easily missed by seats that choose independently.

Every seat has a bit that all see. In a round each chooses a bit for itself and gets it with probability 0.9, the other bit
otherwise; every seat is paid for the bits as they stood before. With z zeros and o ones the pay is 3 where z - o > l and 2
where o - z > l; between, 1 where there are more ones and 0 elsewhere. So all ones is safe and all zeros is best (Chen et al.
2023, arXiv 2306.01920; the pay and l = 1, 1, 2, 3 for 2, 3, 5 and 10 seats are those of its code).

The source is endless and discounted. Here a match has ``rounds``, and the pay of round t is counted ``discount`` ** t, so that
the return is the source's value but for a tail of at most 3 discount ** rounds / (1 - discount). Other choices made here:
the first bits are uniform, l = seats / 3 rounded for numbers of seats that the source leaves out, and the last moves change nothing.
"""

from __future__ import annotations

from math import isfinite

import numpy as np
from numpy.typing import NDArray

from games.rounds import CODES, Positions, Rounds, whole
from marl_llm.errors import UserError
from marl_llm.game import Discrete, GameInfo, Seat

FLIP = 0.1


class Coordination(Rounds):
    """A situation is the bits as a number, seat 0's the lowest; outcome f of chance flips the bits of f (first: f is the bits)."""

    def __init__(self, seats: int = 2, rounds: int = 20, discount: float = 0.95) -> None:
        self.seats, self.rounds = whole("coordination", "seats", seats, 2, 10), whole("coordination", "rounds", rounds, 2)
        if not isinstance(discount, (int, float)) or not isfinite(discount) or not 0 < discount <= 1:
            raise UserError(f"coordination: discount is {discount!r}; expected a number above 0 and up to 1, such as 0.95")
        self.discount, self.margin, self.span = float(discount), round(seats / 3), 2**seats
        if rounds * self.span * seats**2 >= CODES:
            raise UserError(f"coordination: rounds is {rounds}; expected fewer than {CODES // (self.span * seats**2)}")
        self.choices = np.full(seats, 2)
        ones = self.bits(np.arange(self.span)).sum(1)
        lead = seats - 2 * ones
        self.pay = np.select([lead > self.margin, -lead > self.margin, lead < 0], [3.0, 2.0, 1.0], 0.0)
        """Every seat's pay by situation, [2 ** seats]."""
        self.opening = np.full(self.span, 1 / self.span)
        self.noise = FLIP**ones * (1 - FLIP) ** (seats - ones)
        self.info = GameInfo(
            name=f"coordination(seats={seats},rounds={rounds},discount={discount})",
            seats=seats,
            returns=(self._counted(rounds) * float(self.pay.min()), self._counted(rounds) * float(self.pay.max())),
            max_decisions=seats * rounds,
            action=Discrete(2),
            utility="team",
            vector=(1 + seats,),
            table=(1 + seats,),
            enumerable=self.small(),
            simultaneous=True,
            key_kind="state",
            summary="Noisy coordination: all ones is safe, all zeros is best",
        )

    def bits(self, situation: NDArray[np.int64]) -> NDArray[np.int64]:
        """Each seat's bit, [n, seats]."""
        return situation[:, None] >> np.arange(self.seats) & 1

    def rules(self, seat: Seat) -> str:
        counted = "" if self.discount == 1 else f" The pay of each round counts {self.discount:g} times that of the round before."
        return (
            f"A game of {self.seats} players who are one team, over {self.rounds} rounds. Each player has a bit, 0 or 1, that all see. In "
            "each round all choose at once the bit that they want; with probability 0.9 a player gets it, else the other one. Everyone is "
            f"then paid for the bits as they were before: 3 if zeros outnumber ones by more than {self.margin}, 2 if ones outnumber zeros "
            f"by more than {self.margin}, else 1 if there are more ones and 0 if not.{counted} Answer with 0 or 1."
        )

    def gains(self, position: Positions, moves: NDArray[np.int64]) -> NDArray[np.float64]:
        round_, situation = np.divmod(position, self.span)
        return np.repeat((self.discount**round_ * self.pay[situation])[:, None], self.seats, 1)

    def after(self, position: Positions, moves: NDArray[np.int64]) -> Positions:
        return (moves << np.arange(self.seats)).sum(1)

    def disturbed(self, situation: Positions, outcome: NDArray[np.int64]) -> Positions:
        return situation ^ outcome

    def text(self, position: int, seat: Seat | None) -> str:
        round_, situation = divmod(position, self.span)
        bits = self.bits(np.asarray([situation]))[0].tolist()
        own = "" if seat is None else f"You are player {seat + 1} and your bit is {bits[seat]}. "
        return f"{own}Round {round_ + 1} of {self.rounds}. The bits of players 1 to {self.seats}: {' '.join(map(str, bits))}."

    def vectors(self, position: Positions) -> NDArray[np.float32]:
        """The share of rounds played, then the bits."""
        round_, situation = np.divmod(position, self.span)
        return np.column_stack([round_ / self.rounds, self.bits(situation)]).astype(np.float32)

    def optimum(self) -> float:
        """The most that a team can expect. The next bits depend on the moves alone, so the best joint action is always the same."""
        outcome = np.arange(self.span)
        paid = max(float(self.noise @ self.pay[action ^ outcome]) for action in range(self.span))
        return float(self.pay.mean()) + paid * self.discount * self._counted(self.rounds - 1)

    def _counted(self, rounds: int) -> float:
        """1 + discount + discount^2 + ..., one term a round."""
        return float(rounds) if self.discount == 1 else (1 - self.discount**rounds) / (1 - self.discount)
