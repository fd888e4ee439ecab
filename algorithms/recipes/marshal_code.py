"""``marshal-code``: MARSHAL (2025) as its released code computes it, which differs from the paper.

Turn rewards are centred before they are summed, standardised over all response tokens, summed to returns, centred on the
unweighted mean of the *distinct* returns of the seat with all games pooled, and standardised again; clipped surrogate with a
dual clip at 1.4; the mean over trajectories of the trajectory's token mean; k3 penalty of 0.2 to the initial model.

Different here: the response tokens are those that were sampled (not those that the rules force); old log-probabilities are the
sampler's own, at temperature 1; an invalid answer follows the match's rules for faults; draws are worth what the game says;
there is no length term; a step takes in 8 distinct decisions or replies where the original takes 8 trajectories; the learning
rate is one for small models.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from algorithms.credit import cells
from algorithms.gae import whitened
from algorithms.groups import Floats, cell_mean
from algorithms.learner import Adam
from algorithms.losses import Anneal, Clipped
from algorithms.parts import Credit, Credited, Memory, Method
from algorithms.returns import discounted
from algorithms.rewards import GameReward
from algorithms.samplers import SelfPlay
from marl_llm.records import Batch


@dataclass(frozen=True, kw_only=True)
class ReleasedPipeline(Credit):
    """The five steps above. One advantage a token; one a turn where a move is no tokens."""

    def assign(self, batch: Batch, memory: Memory) -> Credited:
        learned_turn = batch["turn.learn"].astype(bool)
        reward = batch["turn.game"] + batch["turn.format"]
        reward = reward - cell_mean(cells(batch, "seat"), reward, learned_turn)
        if "token.learn" in batch:
            turn = batch.up("token", "turn")
            learned = batch["token.learn"].astype(bool) & learned_turn[turn]
            starts = batch.starts["token"][batch.starts["turn"]]
        else:
            turn, learned, starts = np.arange(len(learned_turn)), learned_turn, batch.starts["turn"]
        returns = discounted(whitened(_at_turn_ends(reward, turn, learned, batch), learned), starts, 1.0)
        return Credited(whitened(returns - _distinct_mean(returns, batch["turn.seat"][turn], learned), learned))


def _at_turn_ends(reward: Floats, turn: NDArray[np.int64], learned: NDArray[np.bool_], batch: Batch) -> Floats:
    """Turns' rewards on their last learned token; of a turn without one (its move was forced) on the seat's latest before it."""
    last = np.full(len(reward), -1)
    last[turn[learned]] = np.flatnonzero(learned)
    bearer = np.maximum.accumulate(np.where(last >= 0, np.arange(len(reward)), -1))
    borne = bearer >= batch.starts["turn"][:-1][batch.up("turn", "seat")]
    return np.bincount(last[bearer[borne]], reward[borne], minlength=len(learned)).astype(np.float64)


def _distinct_mean(values: Floats, seat: NDArray[np.int64], counted: NDArray[np.bool_]) -> Floats:
    """For every token the mean of its seat's distinct values, the 0 of padding among them."""
    mean = np.zeros(len(values))
    for one in np.unique(seat[counted]):
        here = counted & (seat == one)
        mean[here] = np.unique(np.append(values[here], 0.0)).mean()
    return mean


recipe = Method(
    sampler=SelfPlay(matches=384),
    reward=GameReward(scaled=False, legal=0.05, illegal=-10.0, unparsable=-10.0),
    credit=ReleasedPipeline(),
    loss=Clipped(dual=1.4, mean="sequence", kl=0.2),
    learner=Adam(rate=Anneal(start=3e-4, end=3e-5), epochs=1, minibatch=8),
    horizon=200,
)
