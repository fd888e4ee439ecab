"""How well a group does in public goods, as pure functions of what was given and gained.

Gifts are counted in tokens, shape [..., seats], gains in endowments, shape [..., seats]; every measure has the shape [...].
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from marl_llm.agent import OK
from marl_llm.records import PLAYED, Batch

if TYPE_CHECKING:
    from games.public_goods.game import PublicGoods


def gifts_of(batch: Batch, game: PublicGoods) -> NDArray[np.int64]:
    """The gifts of every match of ``batch`` that was played to its end, [matches, rounds, seats]; all its matches are of ``game``."""
    moves = batch.up("turn", "match")
    made = (batch["match.end"][moves] == PLAYED) & (batch["turn.fault"] == OK)
    kinds = 2 if game.fine else 1
    return batch["turn.action"][made].reshape(-1, game.seats, game.rounds, kinds)[..., 0].swapaxes(1, 2)


def welfare(gains: NDArray[np.float64]) -> NDArray[np.float64]:
    """What all seats gain together."""
    return gains.sum(-1)


def efficiency(gains: NDArray[np.float64], selfish: NDArray[np.float64], best: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much of what cooperation can add is reached: 0 at the welfare of ``selfish``, 1 at that of ``best``, below 0 if worse than both.

    ``selfish`` are the gains in equilibrium (``solver.subgame_perfect``, or where giving nothing is dominant those of giving
    nothing), ``best`` those of ``solver.optimum``. Nan where both have the same welfare.
    """
    low, room = welfare(selfish), welfare(best) - welfare(selfish)
    return np.where(room > 0, (welfare(gains) - low) / np.where(room > 0, room, 1), np.nan)


def gini(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inequality of non-negative gains or gifts: the mean difference of two seats over twice the mean. 0 where all have the same,
    (seats - 1) / seats where one has everything."""
    apart = abs(values[..., :, None] - values[..., None, :]).mean((-2, -1))
    mean = values.mean(-1)
    return np.where(apart > 0, apart / np.where(apart > 0, 2 * mean, 1), 0.0)


def free_rider_rate(gifts: NDArray[np.integer]) -> NDArray[np.float64]:
    """The share of seats that give nothing."""
    return (gifts == 0).mean(-1)
