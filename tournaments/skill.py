"""Skill from places at tables of any size: the Plackett-Luce model of OpenSkill (Joshy 2024; Weng and Lin 2011).

Matches are rated in order of deals, so the figure leans towards the later ones; where the strength of agents does not change
it differs from a rating of all at once by less than its sigma. The interval is the model's own, mu +- 1.96 sigma.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from marl_llm.errors import MissingExtra
from marl_llm.intervals import Interval

MATCHES = 20_000
"""Of more matches than this, as many are rated, evenly spaced."""


def skill(player: NDArray[np.int64], payoff: NDArray[np.float64], n: int) -> list[Interval]:
    """mu of each of ``n`` agents: ``player`` [matches, seats] and ``payoff``, in order of deals.

    An agent on several seats plays as a team of itself there, placed by its mean payoff. MissingExtra without openskill.
    """
    try:
        from openskill.models import PlackettLuce
    except ImportError:
        raise MissingExtra("skill of more than two seats", "ratings") from None
    model = PlackettLuce()
    ratings = [model.rating() for _ in range(n)]
    games = np.zeros(n, np.int64)
    rows = np.linspace(0, len(player) - 1, min(len(player), MATCHES)).astype(np.int64)
    for seated, gained in zip(player[rows].tolist(), payoff[rows].tolist(), strict=True):
        at = sorted(set(seated))
        if len(at) < 2:
            continue
        mean = [np.mean([gain for who, gain in zip(seated, gained, strict=True) if who == agent]) for agent in at]
        rated = model.rate([[ratings[agent]] for agent in at], scores=[float(value) for value in mean])
        for agent, (rating,) in zip(at, rated, strict=True):
            ratings[agent] = rating
            games[agent] += 1
    return [
        Interval(rating.mu, rating.mu - 1.96 * rating.sigma, rating.mu + 1.96 * rating.sigma, int(count))
        for rating, count in zip(ratings, games, strict=True)
    ]
