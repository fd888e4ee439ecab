"""``unstable``: UnstableBaselines (2025), plain REINFORCE on single turns.

A match's outcome minus a very slow running mean of the game and seat (rate 0.001, which has taken in the outcome already),
plus 1.5 for an answer that could be read, and 1 for a legal move or -1 for none; standardised over the turns of a game;
-A log pi summed over a turn's tokens, divided by 4096, averaged over turns; no ratio, clip or KL; one step a batch.

Different here: equal values are standardised to 0; the batch is one iteration's, none is dropped at random; all matches of a
batch see the running mean in an order of their own, not as they ended; an invalid answer follows the match's rules for faults;
the learning rate is one for small models.
"""

from algorithms.credit import RunningBaseline
from algorithms.learner import Adam
from algorithms.losses import Anneal, Reinforce
from algorithms.parts import Method
from algorithms.rewards import GameReward
from algorithms.samplers import SelfPlay

recipe = Method(
    sampler=SelfPlay(matches=128),
    reward=GameReward(scaled=False, legal=2.5, illegal=0.5, unparsable=-1.0),
    credit=RunningBaseline(rate=0.001, updated_first=True, steps=True),
    loss=Reinforce(mean="constant", constant=4096.0),
    learner=Adam(rate=Anneal(start=3e-4, end=3e-4), epochs=1, minibatch=1 << 30, clip=0.2),
    horizon=400,
)
