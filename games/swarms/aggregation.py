"""Aggregation: a swarm in a box gathers, each seat knowing its own position alone, and that perhaps badly.

A seat at x in [-2, 2]^2 moves by 0.2 u + 0.05 noise, with the arrow u shortened to length 1, and stops at the walls; every seat gains
minus the mean distance of the seats from their mean. The game is of the kind that Dec-POMFC is shown on (Cui et al. 2024,
arXiv 2307.06175); box and speed are those of its authors' sibling code, the other numbers are choices made here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from games.arrays import ArrayGame, Columns
from games.swarms.motion import BINS, MOTION, SIGHT, STEPS, histogram, scattered, seats_of, shaken, spread, timed
from marl_llm.game import Box, GameInfo, Seat

SIDE, SPEED, DRIFT = 2.0, 0.2, 0.05


class Aggregation(ArrayGame):
    """Columns: ``place`` [n, seats, 2]. A seat sees its place + ``noise`` times a standard normal draw, over 2; the table is the
    histogram of places and the time."""

    steps = STEPS

    def __init__(self, seats: int = 200, noise: float = 0.0) -> None:
        self.seats, self.noise = seats_of("aggregation", seats), spread("aggregation", "noise", noise)
        self.info = GameInfo(
            name=f"aggregation(seats={seats},noise={noise})",
            seats=seats,
            returns=(-STEPS * SIDE * 8**0.5, 0.0),
            max_decisions=STEPS * seats,
            action=Box(-1.0, 1.0, (2,)),
            utility="team",
            vector=(2,),
            table=(BINS**2 + 1,),
            anonymous=True,
            simultaneous=True,
            key_kind="state",
            summary="A swarm gathers, each seat seeing its own position",
        )

    def rules(self, seat: Seat) -> str:
        return (
            f"A swarm of {self.seats} players in a square room with walls at -2 and 2, for {STEPS} steps. In each step all "
            "choose at once where to move: two numbers from -1 to 1, of which an arrow longer than 1 is shortened to 1, and 0.2 times "
            "the arrow is the way that is gone, with some noise. Every player loses the players' mean distance from the middle of them all."
        )

    def begin(self, at: Columns) -> Columns:
        return {"place": SIDE * (2 * scattered(at, self.seats, 2) - 1)}

    def advance(self, at: Columns, moves: NDArray[np.float32]) -> tuple[Columns, NDArray[np.float64]]:
        moves = moves.astype(np.float64)
        arrow = moves / np.maximum(1, np.linalg.norm(moves, axis=2, keepdims=True))
        place = (at["place"] + SPEED * arrow + DRIFT * shaken(at, MOTION, self.seats, 2)).clip(-SIDE, SIDE)
        distance = np.linalg.norm(place - place.mean(1, keepdims=True), axis=2).mean(1)
        return {"place": place}, np.repeat(-distance[:, None], self.seats, 1)

    def observe(self, at: Columns) -> NDArray[np.float32]:
        place = at["place"] + self.noise * shaken(at, SIGHT, self.seats, 2) if self.noise else at["place"]
        return (place / SIDE).astype(np.float32)

    def table(self, at: Columns) -> NDArray[np.float32]:
        return timed(histogram(at["place"] / (2 * SIDE) + 0.5), at)

    def text(self, seen: NDArray[np.float32], seat: Seat) -> str:
        return f"You seem to be at ({SIDE * seen[0]:.2f}, {SIDE * seen[1]:.2f})."

    def picture(self, at: Columns) -> str:
        place = at["place"][0]
        distance = np.linalg.norm(place - place.mean(0), axis=1).mean()
        return f"step {at['step'][0]}: the seats are {distance:.3f} from their mean, on average"
