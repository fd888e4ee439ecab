"""``spiral``: SPIRAL (2025), self-play with role-conditioned advantage estimation (RAE).

A match's outcome minus a running mean of the game and seat (decay 0.95), the same for all its turns; clipped surrogate,
two passes over the batch, no KL; the sum over a turn's tokens divided by a constant, averaged over turns.

Different here: one running mean for the run instead of one an actor process, kept when a run is resumed, that takes in the matches
of an iteration in an order of their own, not as they ended; the mean is kept for every game; a turn of advantage 0 counts in the
average; an invalid answer follows the match's rules for faults instead of paying -1.5 and 0.5; the learning rate is one for
small models.
"""

from algorithms.credit import RunningBaseline
from algorithms.learner import Adam
from algorithms.losses import Anneal, Clipped
from algorithms.parts import Method
from algorithms.rewards import GameReward
from algorithms.samplers import SelfPlay

recipe = Method(
    sampler=SelfPlay(matches=128),
    reward=GameReward(scaled=False, illegal=0.0, unparsable=0.0),
    credit=RunningBaseline(rate=0.05),
    loss=Clipped(mean="constant", constant=4096.0),
    learner=Adam(rate=Anneal(start=3e-4, end=3e-4), epochs=2, minibatch=128),
    horizon=400,
)
