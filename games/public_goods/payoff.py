"""What a round of a public goods game pays. Money is counted in endowments, gifts in tokens, of which ``levels`` make an endowment.

With c_i the share of its endowment that seat i gives, S_i = c_1 + ... + c_(i-1) what was given before it and C what all gave,

    gain_i = 1 - kappa(c_i) + synergy c_i S_i + mpcr C - penalty [C < threshold] + benefit [C >= threshold]

and kappa(c) = c or c^2. The first two terms and mpcr C alone are linear public goods (Isaac and Walker, 1988); with ``synergy`` and
``penalty`` it is the reward of sequential public goods between language models (Liang et al., 2025, arXiv 2508.02076, as far as it
is public; rho there is mpcr times the number of seats), plus the endowment.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.integer]


@dataclass(frozen=True)
class Payoff:
    """Gains as tables: they are a function of a seat's own gift, plus one of the group's, plus the synergy."""

    keep: NDArray[np.float64]
    """By own tokens, shape [levels + 1]."""
    share: NDArray[np.float64]
    """By the tokens of all, shape [seats * levels + 1]."""
    synergy: float
    """Gain of a token for each token given before it."""

    @staticmethod
    def of(seats: int, levels: int, mpcr: float, cost: str, synergy: float, threshold: float, penalty: float, benefit: float) -> Payoff:
        given = np.arange(levels + 1) / levels
        total = np.arange(seats * levels + 1)
        missed = total < needed(threshold, levels)
        return Payoff(
            keep=1 - (given if cost == "linear" else given**2),
            share=mpcr * total / levels - penalty * missed + benefit * ~missed,
            synergy=synergy / levels**2,
        )

    def __call__(self, gifts: Tokens, total: Tokens | None = None) -> NDArray[np.float64]:
        """Gains of one round from the tokens that each seat gave, both of shape [..., seats]; ``total`` is their sum, if it is known."""
        total = gifts.sum(-1) if total is None else total
        gains = self.keep.take(gifts)
        gains += self.share.take(total)[..., None]
        if self.synergy:
            gains += self.synergy * gifts * (np.cumsum(gifts, -1) - gifts)
        return gains

    def own(self, gift: Tokens, before: Tokens, total: Tokens) -> NDArray[np.float64]:
        """What a seat gains by ``gift`` tokens where ``before`` were given before it and ``total`` by all; shapes broadcast."""
        return self.keep[gift] + self.share[total] + self.synergy * gift * before

    def bounds(self) -> tuple[float, float]:
        """The least and the most that one seat can gain in a round: nothing was given before it, or by the others all was."""
        gift, others = np.arange(len(self.keep))[:, None], np.arange(len(self.share) - len(self.keep) + 1)
        least, most = (self.own(gift, before, gift + others) for before in (np.zeros_like(others), others))
        return float(least.min()), float(most.max())


def needed(threshold: float, levels: int) -> int:
    """Tokens that reach ``threshold`` endowments."""
    return ceil(threshold * levels - 1e-9)


def received(choices: Tokens) -> NDArray[np.int64]:
    """How many fined each seat, from whom each fined (0 nobody, k the k-th seat); both of shape [..., seats]."""
    return (choices[..., None] == np.arange(1, choices.shape[-1] + 1)).sum(-2)
