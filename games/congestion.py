"""A congestion game: every seat chooses a site at once, and the seats at a site share its value equally.

It is the static game under the resource-occupation environment of Zhang et al. (2021, arXiv 2108.12988, MRA), where agents
move about among six landmarks of growing size and one of n agents on a landmark of size .05 k is paid 10 * .05 k / n. Here
the choice is made once and nobody has a place of its own: site k of 1, 2, ... is worth 0.5 k, and seats are exchangeable.
Congestion games have pure equilibria (Rosenthal, 1973).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from games.rounds import Positions, Rounds, whole
from marl_llm.game import Action, Discrete, GameInfo, Seat


class Congestion(Rounds):
    """``seats`` choose among ``sites``; 6, 9 and 12 seats are the source's to train on, 3 and 24 to be judged on."""

    rounds, span = 1, 1

    def __init__(self, seats: int = 6, sites: int = 6) -> None:
        self.seats, self.sites = whole("congestion", "seats", seats, 1), whole("congestion", "sites", sites, 1)
        self.choices = np.full(seats, sites)
        self.values = 0.5 * np.arange(1, sites + 1)
        self.info = GameInfo(
            name=f"congestion(seats={seats},sites={sites})",
            seats=seats,
            returns=(float(self.values[0]) / seats, float(self.values[-1])),
            max_decisions=seats,
            action=Discrete(sites),
            utility="team" if seats == 1 else "general",
            vector=(1,),
            table=(1,),
            rewards_at_end=True,
            enumerable=self.small(),
            anonymous=True,
            simultaneous=True,
            key_kind="information",
            summary="Congestion: who shares a site shares its value",
        )

    def rules(self, seat: Seat) -> str:
        worth = ", ".join(f"site {site} {value:g}" for site, value in enumerate(self.values, 1))
        return (
            f"A congestion game of {self.seats} players. All choose a site at once. A site's value is shared equally by the players "
            f"who chose it: {worth}. Answer with the number of a site."
        )

    def gains(self, position: Positions, moves: NDArray[np.int64]) -> NDArray[np.float64]:
        row = np.arange(len(moves))[:, None] * self.sites
        there = np.bincount((row + moves).ravel(), minlength=len(moves) * self.sites)
        return self.values[moves] / there[row + moves]

    def after(self, position: Positions, moves: NDArray[np.int64]) -> Positions:
        return np.zeros_like(position)

    def text(self, position: int, seat: Seat | None) -> str:
        return "Nobody has chosen." if seat is None else f"You are player {seat + 1}. Choose a site."

    def vectors(self, position: Positions) -> NDArray[np.float32]:
        """There is nothing to see: zeros."""
        return np.zeros((len(position), 1), np.float32)

    def action_text(self, seat: Seat, action: Action) -> str:
        return str(action + 1)

    def optimum(self) -> float:
        """The most that all seats together can gain: one seat on each of the best sites."""
        return float(self.values[-self.seats :].sum())

    def equilibrium(self) -> NDArray[np.int64]:
        """Seats on each site, [sites], in a pure equilibrium: each comes to the site that then pays it best.

        Filling greedily gives one because a later seat can only worsen a site, and it has chosen the best that was left.
        """
        there = np.zeros(self.sites, np.int64)
        for _ in range(self.seats):
            there[np.argmax(self.values / (there + 1))] += 1
        return there
