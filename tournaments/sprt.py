"""Whether A is stronger than B, decided by as few deals as are needed: Wald's (1945) sequential probability ratio test.

The unit is the pair: a deal played in both seatings. The score of a pair is one of 0, 1/4, 1/2, 3/4, 1 where matches are won,
drawn or lost (the pentanomial model), and any number between the worst payoff and the best elsewhere. The likelihood ratio of
two expected scores is that of the multinomial distributions nearest to the one observed (Van den Bergh 2019; Owen 1988):

    LLR(s0, s1) = n sum_i p_i log(q_i(s1) / q_i(s0))     q_i(s) = p_i / (1 + x (a_i - s)),  x such that sum_i q_i a_i = s
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from marl_llm.errors import UserError
from marl_llm.game import GameInfo
from marl_llm.records import VOID
from tournaments.results import Results

GRID = np.linspace(0, 1, 5)
UNSEEN = 1e-3
"""Weight of a score of the grid that has not been observed, so that the ratio is finite from the first pair on."""


@dataclass(frozen=True)
class Sprt:
    """Hypotheses about the Elo of A over B, ``elo0`` and ``elo1``, and the shares of false answers: ``alpha`` of 'stronger' where
    elo0 is true, ``beta`` of 'not stronger' where elo1 is."""

    elo0: float = 0.0
    elo1: float = 20.0
    alpha: float = 0.05
    beta: float = 0.05

    def __post_init__(self) -> None:
        if not self.elo0 < self.elo1:
            raise UserError(f"--sprt.elo1 is {self.elo1:g} and --sprt.elo0 {self.elo0:g}; expected elo1 to be the larger")
        for name, share in (("alpha", self.alpha), ("beta", self.beta)):
            if not 0 < share < 0.5:
                raise UserError(f"--sprt.{name} is {share:g}; expected a share of false answers between 0 and 0.5")

    @property
    def bounds(self) -> tuple[float, float]:
        """Where the test ends: at or below the first A is 'not stronger', at or above the second 'stronger'."""
        return log(self.beta / (1 - self.alpha)), log((1 - self.beta) / self.alpha)


@dataclass(frozen=True)
class Verdict:
    """What the pairs say: the log likelihood ratio, their number for every score that was seen, and the answer so far."""

    llr: float
    bounds: tuple[float, float]
    pairs: dict[float, int]
    answer: Literal["stronger", "not stronger", "undecided"]


def verdict(test: Sprt, info: GameInfo, results: Results, agents: tuple[str, ...]) -> Verdict:
    """The test of the first agent against the second on pairs of which both matches stand."""
    values, counts = np.unique(np.round(pair_scores(info, results, agents), 9), return_counts=True)
    low, high = test.bounds
    ratio = float(llr(counts.astype(float), values, expected(test.elo0), expected(test.elo1))) if len(values) else 0.0
    answer: Literal["stronger", "not stronger", "undecided"] = (
        "stronger" if ratio >= high else "not stronger" if ratio <= low else "undecided"
    )
    return Verdict(ratio, test.bounds, dict(zip(values.tolist(), counts.tolist(), strict=True)), answer)


def expected(elo: float) -> float:
    """Expected score of a match."""
    return float(1 / (1 + 10 ** (-elo / 400)))


def pair_scores(info: GameInfo, results: Results, agents: tuple[str, ...]) -> NDArray[np.float64]:
    """Mean score of the first agent over the matches of every deal that both seatings have played, [pairs]."""
    low, high = info.returns
    player = results.seats(agents)
    mine = np.where(player[:, 0] == 0, results.returns[:, 0], results.returns[:, 1])
    _, deal, count = np.unique(results.deal[results.end != VOID], return_inverse=True, return_counts=True)
    total = np.bincount(deal, (mine[results.end != VOID] - low) / (high - low), minlength=len(count))
    return total[count == 2] / 2


def llr(counts: NDArray[np.float64], values: NDArray[np.float64], s0: float, s1: float) -> NDArray[np.float64]:
    """Log likelihood ratio of expected score ``s1`` over ``s0``: ``counts`` [..., k] of pairs with each score of ``values`` [k]."""
    unseen = GRID[~np.isclose(GRID[:, None], values).any(1)]
    values = np.concatenate([values, unseen])
    counts = np.concatenate([counts, np.zeros((*counts.shape[:-1], len(unseen)))], axis=-1)
    total = counts.sum(-1)
    counts = np.maximum(counts, UNSEEN)
    share = counts / counts.sum(-1, keepdims=True)
    return total * (share * (np.log1p(_tilt(share, values, s0)) - np.log1p(_tilt(share, values, s1)))).sum(-1)


def _tilt(share: NDArray[np.float64], values: NDArray[np.float64], s: float) -> NDArray[np.float64]:
    """x (a_i - s) of the distribution nearest to ``share`` whose mean is ``s``; x by bisection, as the mean falls with it."""
    away = values - s
    low, high = np.full(share.shape[:-1], -1 / away.max()), np.full(share.shape[:-1], -1 / away.min())
    for _ in range(60):
        x = (low + high) / 2
        above = (share * away / (1 + x[..., None] * away)).sum(-1) > 0
        low, high = np.where(above, x, low), np.where(above, high, x)
    return ((low + high) / 2)[..., None] * away
