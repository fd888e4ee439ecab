"""What swarms share: noise from a match's own stream, histograms of a population, and angles on the circle."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from games.arrays import Columns
from games.rounds import whole
from marl_llm.errors import UserError
from marl_llm.seeding import gaussian, uniform

STEPS = 100
BINS = 7
"""Of the histogram by which a swarm is seen as a whole, in every dimension; those of the Dec-POMFC authors' sibling code."""
START, MOTION, SIGHT = 1, 2, 3  # names of random streams

Floats = NDArray[np.float64]


def seats_of(game: str, seats: int) -> int:
    """``seats`` if a swarm can be that large; UserError otherwise."""
    return whole(game, "seats", seats, 2, 100_000)


def spread(game: str, name: str, value: float) -> float:
    """``value`` if it is a standard deviation; UserError otherwise."""
    if not isinstance(value, (int, float)) or not 0 <= value < np.inf:
        raise UserError(f"{game}: {name} is {value!r}; expected a number of at least 0, such as 0.5")
    return float(value)


def scattered(at: Columns, seats: int, numbers: int) -> Floats:
    """Uniform draws in [0, 1) at the start of matches, [n, seats, numbers]."""
    return uniform(at["seed"][:, None, None], START, np.arange(seats)[:, None], np.arange(numbers))


def shaken(at: Columns, stream: int, seats: int, numbers: int) -> Floats:
    """Standard normal draws of this step, [n, seats, numbers]."""
    step = at["step"][:, None, None]
    return gaussian(at["seed"][:, None, None], stream, step, np.arange(seats)[:, None], np.arange(numbers))


def wrapped(angle: Floats) -> Floats:
    """Angles as they are between -pi and pi."""
    return (angle + np.pi) % (2 * np.pi) - np.pi


def histogram(place: Floats) -> NDArray[np.float32]:
    """Shares of a population by bin: places [n, seats, d] in the box [0, 1]^d -> [n, BINS ** d]."""
    bins = np.minimum((place * BINS).astype(np.int64), BINS - 1)
    n, seats, d = bins.shape
    flat = (bins * BINS ** np.arange(d)).sum(2) + BINS**d * np.arange(n)[:, None]
    return np.bincount(flat.ravel(), minlength=n * BINS**d).reshape(n, -1).astype(np.float32) / seats


def timed(shares: NDArray[np.float32], at: Columns) -> NDArray[np.float32]:
    """A histogram [n, k] with the share of time that has passed as its last column, [n, k + 1]."""
    return np.column_stack([shares, at["step"] / STEPS]).astype(np.float32)
