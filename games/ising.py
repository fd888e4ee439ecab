"""The Ising model as a game: each site of a torus turns its spin up or down, and gains by agreeing with its four neighbours.

In each round all sites choose their spin s = -1 or 1 at once, and site i gains s_i times the sum of its neighbours' spins. Sites that
choose with probability proportional to exp(gain / tau), given their neighbours' last spins, are the heat bath of the model at
temperature tau: all sites at once, which on an even side is two chains that do not meet, the black sites of one round with the white
ones of the next. In the limit of large sides the mean spin is then (1 - sinh(2 / tau)^-4)^(1/8) below the critical temperature
2 / ln(1 + sqrt 2) = 2.269 (Onsager 1944, Yang 1952) and 0 above. It is the game on which mean-field Q-learning is shown (Yang et al.
2018, arXiv 1802.05438); the scale of the gains, J = 1, is a choice made here, and so is that spins are up with probability 3/4 at first,
which settles which of two equal magnetisations comes about.
"""

from __future__ import annotations

from math import log, sinh, sqrt

import numpy as np
from numpy.typing import NDArray

from games.arrays import ArrayGame, Columns
from games.rounds import whole
from marl_llm.game import Action, Discrete, GameInfo, Seat
from marl_llm.seeding import uniform

START = 1  # name of a random stream
UP = 0.75
"""Probability of a spin to be up at first."""
CRITICAL = 2 / log(1 + sqrt(2))


class Ising(ArrayGame):
    """Columns: ``up`` [n, side, side], 0 or 1. A seat, site (seat // side, seat % side), sees the mean of its neighbours' last
    spins, one-hot: the shares that are down and up. Action 0 is down, 1 is up."""

    def __init__(self, side: int = 20, rounds: int = 50) -> None:
        self.side, self.steps = whole("ising", "side", side, 2), whole("ising", "rounds", rounds, 1)
        self.info = GameInfo(
            name=f"ising(side={side},rounds={rounds})",
            seats=side * side,
            returns=(-4.0 * rounds, 4.0 * rounds),
            max_decisions=rounds * side * side,
            action=Discrete(2),
            vector=(2,),
            anonymous=True,
            simultaneous=True,
            key_kind="state",
            summary="The Ising model: spins on a torus gain by agreeing with their neighbours",
        )

    def rules(self, seat: Seat) -> str:
        return (
            f"A game of {self.info.seats} players on a torus of {self.side} by {self.side} sites, over {self.steps} rounds. In each round "
            "all choose at once, up or down. A player gains 1 for each of its four neighbours that chooses the same and loses 1 for each "
            "that does not."
        )

    def begin(self, at: Columns) -> Columns:
        drawn = uniform(at["seed"][:, None], START, np.arange(self.info.seats))
        return {"up": (drawn < UP).astype(np.int64).reshape(-1, self.side, self.side)}

    def advance(self, at: Columns, moves: NDArray[np.int64]) -> tuple[Columns, NDArray[np.float64]]:
        up = moves.reshape(-1, self.side, self.side)
        gains = (2 * up - 1) * (2 * around(up) - 4)
        return {"up": up}, gains.reshape(len(up), -1).astype(np.float64)

    def observe(self, at: Columns) -> NDArray[np.float32]:
        up = around(at["up"]).reshape(len(at["up"]), -1) / 4
        return np.stack([1 - up, up], 2).astype(np.float32)

    def text(self, seen: NDArray[np.float32], seat: Seat) -> str:
        return f"Of your four neighbours {round(4 * float(seen[1]))} are up."

    def action_text(self, seat: Seat, action: Action) -> str:
        return ("down", "up")[action]

    def picture(self, at: Columns) -> str:
        return "\n".join("".join(".#"[up] for up in row) for row in at["up"][0].tolist())


def around(up: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many of the four neighbours of every site [n, side, side] are up."""
    return np.roll(up, 1, 1) + np.roll(up, -1, 1) + np.roll(up, 1, 2) + np.roll(up, -1, 2)


def magnetisation(tau: float) -> float:
    """The mean spin of a large torus at temperature ``tau``."""
    return (1 - sinh(2 / tau) ** -4) ** 0.125 if tau < CRITICAL else 0.0
