"""Equilibria of public goods, exactly: backward induction where seats give in turn, the gain of deviating where they give at once.

Gains depend on a seat's own gift, on what was given before it and on what all give. So where every gift is seen, how much was given
so far is all that the rest of a round depends on, and backward induction over it costs seats^2 * levels^2 steps for any number of
seats. It need not look at other rounds: nothing carries over from one to the next, so the last one is played as if alone, then so is
the one before it. Nor need it look at fines: they cost who fines and change nothing after, so in a subgame-perfect equilibrium there
are none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from games.public_goods.state import PublicGoodsState
from marl_llm.errors import UserError
from marl_llm.game import Seat

if TYPE_CHECKING:
    from games.public_goods.game import PublicGoods
    from marl_llm.tree import Tree

TIE = 1e-9
"""Gains that differ by less are equal."""


@dataclass(frozen=True)
class Equilibrium:
    """A subgame-perfect equilibrium: of gifts that gain a seat equally much it makes the smallest, and nobody fines."""

    game: PublicGoods
    gift: tuple[NDArray[np.int64], ...]
    """Of every seat, the tokens that it gives by the tokens given before it in the round, [seat * levels + 1]."""

    @property
    def path(self) -> NDArray[np.int64]:
        """What is given in every round, in tokens, [seats]."""
        path: list[int] = []
        for gift in self.gift:
            path.append(int(gift[sum(path)]))
        return np.asarray(path)

    @property
    def returns(self) -> NDArray[np.float64]:
        """What each seat gains in a match, [seats]."""
        return self.game.rounds * self.game.payoff(self.path)

    def action(self, state: PublicGoodsState, seat: Seat) -> int:
        """What ``seat`` does in a match."""
        return 0 if state.fining else int(self.gift[seat][sum(state.now)])

    def policy(self, tree: Tree) -> NDArray[np.float64]:
        """The same as a policy for ``marl_llm.exact``, on the tree of this game."""
        policy = np.zeros(len(tree.legal.data))
        for k, (line, seat) in enumerate(zip(tree.lines, tree.owner.tolist(), strict=True)):
            chosen = self.action(cast(PublicGoodsState, line.state), seat)
            policy[tree.legal.starts[k] + tree.slot[k, chosen]] = 1
        return policy


def subgame_perfect(game: PublicGoods) -> Equilibrium:
    """By backward induction. UserError where seats do not see every gift before their own."""
    if game.observe != "full" and not (game.observe == "partial" and game.seats <= 2):
        raise UserError(
            f"{game.info.name}: backward induction needs every gift to be seen, and observe is {game.observe!r}; take observe=full, "
            "or check a policy with deviation_gains or marl_llm.exact"
        )
    gift = np.arange(game.levels + 1)
    final = np.arange(game.seats * game.levels + 1)  # what all give, by what was given before the seat at hand
    best: list[NDArray[np.int64]] = []
    for seat in reversed(range(game.seats)):
        before = np.arange(seat * game.levels + 1)[:, None]
        total = final[before + gift]
        gains = game.payoff.own(gift, before, total)
        best.insert(0, (gains >= gains.max(1, keepdims=True) - TIE).argmax(1))
        final = np.take_along_axis(total, best[0][:, None], 1)[:, 0]
    return Equilibrium(game, tuple(best))


def deviation_gains(game: PublicGoods, gifts: NDArray[np.integer]) -> NDArray[np.float64]:
    """The most that each seat gains in a round by giving another number of tokens while the others give as in ``gifts``; both of
    shape [..., seats]. Where seats give at once, ``gifts`` is a Nash equilibrium if nobody gains more than ``TIE``."""
    gifts = np.asarray(gifts)
    total, before = gifts.sum(-1, keepdims=True)[..., None], (np.cumsum(gifts, -1) - gifts)[..., None]
    instead = np.arange(game.levels + 1)
    return game.payoff.own(instead, before, total - gifts[..., None] + instead).max(-1) - game.payoff(gifts)


def is_nash(game: PublicGoods, gifts: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Whether no seat gains by deviating alone from ``gifts``, [..., seats], made at once; shape [...]."""
    return np.asarray((deviation_gains(game, gifts) <= TIE).all(-1))


def optimum(game: PublicGoods) -> NDArray[np.int64]:
    """The gifts of a round, in tokens, [seats], whose gains have the largest sum; the smallest such total.

    Only even splits are compared: the cost of a total is least so, and the synergy, in sum synergy/2 (C^2 - sum of c_i^2), largest.
    """
    total = np.arange(game.seats * game.levels + 1)
    even = total[:, None] // game.seats + (np.arange(game.seats) < total[:, None] % game.seats)
    welfare = game.payoff(even).sum(1)
    return even[int((welfare >= welfare.max() - TIE).argmax())]
