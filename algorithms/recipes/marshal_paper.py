"""``marshal-paper``: MARSHAL (2025) as its paper describes it.

Turn-level return-to-go minus the mean of the seat's turns of that game, without a deviation; clipped surrogate over
tokens, averaged over seats, then trajectories, then turns, then tokens; k3 penalty of 0.2 to the initial model; a valid
answer earns 0.05 and an invalid one -10.

Different here: rewards are in the game's own unit instead of being scaled to a largest reward of 4; an invalid answer follows
the match's rules for faults instead of always ending the match; there is no length term (replies are limited instead); the
learning rate is one for small models.
"""

from algorithms.credit import SeatMean
from algorithms.learner import Adam
from algorithms.losses import Anneal, Clipped
from algorithms.parts import Method
from algorithms.rewards import GameReward
from algorithms.samplers import SelfPlay

recipe = Method(
    sampler=SelfPlay(matches=384),
    reward=GameReward(legal=0.05, illegal=-10.0, unparsable=-10.0),
    credit=SeatMean(),
    loss=Clipped(mean="turn", kl=0.2),
    learner=Adam(rate=Anneal(start=3e-4, end=3e-5), epochs=1, minibatch=32),
    horizon=200,
)
