"""Returns and advantages over the turns of a batch: generalised advantage estimation (Schulman et al. 2016, arXiv 1506.02438).

The turns of one (match, seat) are a contiguous segment ``starts[i]:starts[i + 1]``, and a turn's reward already holds
all that came before the seat's next turn. A match that was cut does not end with its last turn: there the last turn is
the view to bootstrap from, and is itself no sample (``sampled``).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def discounted(x: Floats, starts: NDArray[np.int64], discount: float) -> Floats:
    """y(t) = x(t) + discount * y(t + 1) inside every segment, 0 beyond its end. Shapes [turns], [segments + 1] -> [turns]."""
    y = np.array(x, np.float64)
    lengths = np.diff(starts)
    segment = np.argsort(lengths, kind="stable")
    first, lengths = starts[:-1][segment], lengths[segment]
    for index in range(int(lengths.max(initial=0)) - 2, -1, -1):
        row = first[np.searchsorted(lengths, index + 2) :] + index  # segments that have a turn after this one
        y[row] += discount * y[row + 1]
    return y


def sampled(starts: NDArray[np.int64], cut: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Turns whose outcome is known: all but the last of a cut segment. ``cut`` has one entry a segment."""
    known = np.ones(int(starts[-1]), bool)
    known[starts[1:][cut & (np.diff(starts) > 0)] - 1] = False
    return known


def advantages(rewards: Floats, values: Floats, starts: NDArray[np.int64], cut: NDArray[np.bool_], gamma: float, lam: float) -> Floats:
    """A(t) = sum over k of (gamma lam)^k delta(t + k), with delta(t) = r(t) + gamma V(t + 1) - V(t). Shape [turns].

    V is 0 beyond the end of a match. Turns that are not ``sampled`` get 0. The value target is A + V.
    """
    after = np.zeros(len(values))
    after[:-1] = values[1:]
    after[starts[1:][np.diff(starts) > 0] - 1] = 0.0
    delta = np.where(sampled(starts, cut), rewards + gamma * after - values, 0.0)
    return discounted(delta, starts, gamma * lam)
