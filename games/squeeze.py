"""Gaussian squeeze: many seats each name a number, and all are paid by how near the sum is to a target.

In each round all N seats choose at once from 0 to 9, and everyone gains G(x) = x exp(-(x - mu)^2 / sigma^2), x the sum of the choices
(Yang et al. 2018, arXiv 1802.05438; mu = 400 and sigma = 200 there). A seat can hardly tell what its own choice changes. The best sum
solves 1 = 2 x (x - mu) / sigma^2, so x = (mu + sqrt(mu^2 + 2 sigma^2)) / 2. Between the rounds, of which there are several in a match
so that seats may answer to each other, nothing else is carried over.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from games.arrays import ArrayGame, Columns
from games.rounds import whole
from marl_llm.errors import UserError
from marl_llm.game import Discrete, GameInfo, Seat

CHOICES = 10


class Squeeze(ArrayGame):
    """Columns: ``chosen`` [n, seats, 10], one-hot. A seat sees the mean of the other seats' last choices, one-hot, that is the share of
    them that chose each number; before the first round these shares are equal."""

    def __init__(self, seats: int = 100, mu: float = 400.0, sigma: float = 200.0, rounds: int = 10) -> None:
        self.seats, self.steps = whole("squeeze", "seats", seats, 2), whole("squeeze", "rounds", rounds, 1)
        for name, number in (("mu", mu), ("sigma", sigma)):
            if not isinstance(number, (int, float)) or not 0 < number < np.inf:
                raise UserError(f"squeeze: {name} is {number!r}; expected a number above 0")
        self.mu, self.sigma = float(mu), float(sigma)
        self.info = GameInfo(
            name=f"squeeze(seats={seats},mu={mu},sigma={sigma},rounds={rounds})",
            seats=seats,
            returns=(0.0, self.optimum() * rounds),
            max_decisions=rounds * seats,
            action=Discrete(CHOICES),
            utility="team",
            vector=(CHOICES,),
            anonymous=True,
            simultaneous=True,
            key_kind="state",
            summary="Gaussian squeeze: a team's sum of choices should be near a target",
        )

    def rules(self, seat: Seat) -> str:
        return (
            f"A game of {self.seats} players who are one team, over {self.steps} rounds. In each round all choose at once a number from 0 "
            f"to {CHOICES - 1}. With x the sum of all numbers, everyone gains x exp(-(x - {self.mu:g})^2 / {self.sigma:g}^2). Answer with "
            "your number."
        )

    def paid(self, total: NDArray[np.int64]) -> NDArray[np.float64]:
        """G of sums."""
        return total * np.exp(-np.square((total - self.mu) / self.sigma))

    def optimum(self) -> float:
        """The most that a round pays."""
        return float(self.paid(np.arange((CHOICES - 1) * self.seats + 1)).max())

    def begin(self, at: Columns) -> Columns:
        return {"chosen": np.full((len(at["step"]), self.seats, CHOICES), 1 / CHOICES)}

    def advance(self, at: Columns, moves: NDArray[np.int64]) -> tuple[Columns, NDArray[np.float64]]:
        return {"chosen": np.eye(CHOICES)[moves]}, np.repeat(self.paid(moves.sum(1))[:, None], self.seats, 1)

    def observe(self, at: Columns) -> NDArray[np.float32]:
        chosen = at["chosen"]
        return ((chosen.sum(1, keepdims=True) - chosen) / (self.seats - 1)).astype(np.float32)

    def text(self, seen: NDArray[np.float32], seat: Seat) -> str:
        return f"The other players' numbers were {float(seen @ np.arange(CHOICES)):.2f} on average."

    def picture(self, at: Columns) -> str:
        return f"round {at['step'][0] + 1} of {self.steps}: the sum was {float((at['chosen'][0] @ np.arange(CHOICES)).sum()):g}"
