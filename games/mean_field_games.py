"""Small mean-field games as arrays: states, actions, a horizon, and what mu, the shares of players by state, does to them.

All have what ``algorithms.mean_field_games`` asks of a game. They are for solvers that compute with distributions; OpenSpiel's
mean-field games are also there for populations of agents, as ``openspiel:mfg_...``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from games.rounds import whole

Array = NDArray[np.float64]


class Places:
    """All choose a place once, and are then paid by how many are there: state 0 is the start, state 1 + i is place i."""

    horizon = 2

    def __init__(self, places: int, pay: Callable[[Array], Array]) -> None:
        self.states, self.actions, self.pay = 1 + places, places, pay
        self.initial = np.eye(self.states)[0]

    def transition(self, mu: Array, t: int) -> Array:
        """Action i leads to place i."""
        return np.repeat(np.eye(self.states)[None, 1:], self.states, 0)

    def reward(self, mu: Array, t: int) -> Array:
        """The pay of each place, [places], by the shares of players there, [places]."""
        paid = np.concatenate([[0.0], self.pay(mu[1:])]) if t else np.zeros(self.states)
        return np.repeat(paid[:, None], self.actions, 1)


def left_right() -> Places:
    """MFGLib's left-right: who goes left loses the share that does, who goes right twice that share. Equilibrium (2, 1) / 3."""
    return Places(2, lambda mu: -np.asarray([1.0, 2.0]) * mu)


def rock_paper_scissors() -> Places:
    """MFGLib's uneven rock, paper, scissors. Equilibrium (26, 20, 31) / 77."""
    return Places(3, lambda mu: np.asarray([[0.0, -1, 2], [4, 0, -2], [-3, 6, 0]]) @ mu)


class CrowdModelling:
    """Players on a ring like to be in its middle and away from each other (the rules of OpenSpiel's mfg_crowd_modelling).

    Before each of ``horizon`` decisions a player at x gains 1 - |x - middle| / middle - log mu(x); it then moves by -1, 0 or 1, which
    costs 1 / size unless it stays, and is pushed by -1, 0 or 1 with equal probability. OpenSpiel's solvers keep values by (x, t) without
    the last move, on which the cost depends; here the cost belongs to the move, and the last move, after which nothing is paid, is free.
    """

    actions = 3

    def __init__(self, size: int = 10, horizon: int = 10) -> None:
        self.states = self.size = whole("crowd_modelling", "size", size, 3)
        self.horizon = whole("crowd_modelling", "horizon", horizon, 1)
        self.initial = np.full(size, 1 / size)
        place, ring = np.arange(size), np.eye(size)
        pushed = sum(ring[(place[:, None] + [-1, 0, 1] + push) % size] for push in (-1, 0, 1))
        self.moved: Array = np.asarray(pushed, float) / 3

    def transition(self, mu: Array, t: int) -> Array:
        """The same whatever others do."""
        return self.moved

    def reward(self, mu: Array, t: int) -> Array:
        """Of the place and the crowd there, less the cost of the move."""
        middle = self.size // 2
        here = 1 - np.abs(np.arange(self.size) - middle) / middle - np.log(mu + 1e-25)
        cost = np.asarray([1, 0, 1]) / self.size if t + 1 < self.horizon else np.zeros(3)
        return here[:, None] - cost
