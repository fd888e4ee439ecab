"""Vicsek and Kuramoto: seats on a torus turn, each seeing how those near it are turned, and a swarm that agrees is paid.

A seat's direction changes by 0.2 u + 0.1 noise. In Vicsek's model it then moves by 0.075 in that direction; in the adapted Kuramoto
model it stays where it began. Every seat gains the polarisation, the length of the mean of the seats' unit directions, which is 1 when
all agree. Both are games of the kind that Dec-POMFC is shown on (Cui et al. 2024, arXiv 2307.06175); the numbers are choices made here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from games.arrays import ArrayGame, Columns
from games.swarms.motion import BINS, MOTION, STEPS, Floats, histogram, scattered, seats_of, shaken, timed, wrapped
from marl_llm.game import Box, GameInfo, Seat

NEAR, TURN, SHAKE, STRIDE = 0.25, 0.2, 0.1, 0.075
PAIRS = 1_000_000
"""Pairs of seats that are compared at once."""


class Alignment(ArrayGame):
    """Columns: ``place`` [n, seats, 2] on the torus of side 1, ``angle`` [n, seats]. A seat sees the angle from its own direction to
    the mean direction of the seats at most ``NEAR`` away, itself among them, over pi: a place on a circle on which -1 is 1. The table
    is the histogram of directions, on which the pay depends alone, and the time."""

    steps = STEPS

    def __init__(self, name: str, seats: int, stride: float) -> None:
        self.seats, self.stride = seats_of(name, seats), stride
        self.info = GameInfo(
            name=f"{name}(seats={seats})",
            seats=seats,
            returns=(0.0, float(STEPS)),
            max_decisions=STEPS * seats,
            action=Box(-1.0, 1.0, (1,)),
            utility="team",
            vector=(1,),
            table=(BINS + 1,),
            anonymous=True,
            simultaneous=True,
            key_kind="state",
            summary="A swarm finds one direction, each seat seeing its neighbours' turn",
        )

    def rules(self, seat: Seat) -> str:
        goes = f"goes {STRIDE} in its direction" if self.stride else "stays where it is"
        return (
            f"A swarm of {self.seats} players on a torus of side 1, for {STEPS} steps. In each step all choose at once how to turn, "
            f"a number from -1 to 1, of which {TURN} times as many radians are turned, with some noise; then each {goes}. "
            f"A player sees how far the mean direction of the players within {NEAR} is turned from its own. Everyone gains the length "
            "of the mean of all directions."
        )

    def begin(self, at: Columns) -> Columns:
        drawn = scattered(at, self.seats, 3)
        return {"place": drawn[..., :2], "angle": np.pi * (2 * drawn[..., 2] - 1)}

    def advance(self, at: Columns, moves: NDArray[np.float32]) -> tuple[Columns, NDArray[np.float64]]:
        turn = TURN * moves[..., 0].astype(np.float64) + SHAKE * shaken(at, MOTION, self.seats, 1)[..., 0]
        angle = wrapped(at["angle"] + turn)
        heading = np.stack([np.cos(angle), np.sin(angle)], 2)
        place = (at["place"] + self.stride * heading) % 1.0 if self.stride else at["place"]
        return {"place": place, "angle": angle}, np.repeat(polarisation(angle)[:, None], self.seats, 1)

    def observe(self, at: Columns) -> NDArray[np.float32]:
        place, angle = at["place"].astype(np.float32), at["angle"]
        heading = np.stack([np.cos(angle), np.sin(angle)], 2).astype(np.float32)
        block = max(1, PAIRS // self.seats**2)
        parts = [neighbourhood(place[i : i + block], heading[i : i + block]) for i in range(0, len(place), block)]
        around = np.concatenate(parts) if parts else heading
        return (wrapped(np.arctan2(around[..., 1], around[..., 0]) - angle) / np.pi).astype(np.float32)[..., None]

    def table(self, at: Columns) -> NDArray[np.float32]:
        return timed(histogram(at["angle"][..., None] / (2 * np.pi) + 0.5), at)

    def text(self, seen: NDArray[np.float32], seat: Seat) -> str:
        return f"Those near you are turned by {np.pi * seen[0]:.2f} radians from your direction."

    def picture(self, at: Columns) -> str:
        return f"step {at['step'][0]}: polarisation {polarisation(at['angle'])[0]:.3f}"


def neighbourhood(place: NDArray[np.float32], heading: NDArray[np.float32]) -> NDArray[np.float32]:
    """The sum of the headings [n, seats, 2] of the seats near each seat, itself among them; places on the torus [n, seats, 2]."""
    x, y = place[..., 0], place[..., 1]
    square = _apart(x) + _apart(y)
    return (square <= NEAR**2).astype(np.float32) @ heading


def _apart(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Squared distances round the circle of length 1, of [n, seats] -> [n, seats, seats]."""
    gap = np.abs(x[:, :, None] - x[:, None, :])
    np.minimum(gap, 1 - gap, out=gap)
    return np.multiply(gap, gap, out=gap)


def polarisation(angle: Floats) -> Floats:
    """Length of the mean direction of [n, seats] angles: [n]."""
    return np.hypot(np.cos(angle).mean(1), np.sin(angle).mean(1))


def vicsek(seats: int = 200) -> Alignment:
    """Vicsek's model (Vicsek et al. 1995): seats move where they are turned."""
    return Alignment("vicsek", seats, STRIDE)


def kuramoto(seats: int = 200) -> Alignment:
    """Kuramoto's model with neighbourhoods: seats stay where they are."""
    return Alignment("kuramoto", seats, 0.0)
