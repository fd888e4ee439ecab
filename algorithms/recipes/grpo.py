"""``grpo``: GRPO (DeepSeekMath, Shao et al., 2024) on games.

Every deal is played several times; a match's outcome, standardised among those of the same seat on the same deal, goes to
all its turns; clipped surrogate and a k3 penalty to the initial model; the mean over trajectories of the trajectory's token
mean. A match that is alone on its deal teaches nothing; groups of equal outcomes have advantage 0. An invalid
answer follows the match's rules for faults.
"""

from algorithms.learner import Adam
from algorithms.losses import Anneal, Clipped
from algorithms.parts import Method
from algorithms.rewards import GameReward
from algorithms.samplers import Groups
from algorithms.terms import Terms

recipe = Method(
    sampler=Groups(deals=64, size=8),
    reward=GameReward(),
    credit=Terms(),
    loss=Clipped(mean="sequence", kl=0.04),
    learner=Adam(rate=Anneal(start=3e-4, end=3e-5), epochs=1, minibatch=64),
    horizon=200,
)
