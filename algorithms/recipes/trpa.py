"""``trpa``: Trust Region Preference Approximation (Su et al., 2025, arXiv 2504.04524) on games.

Matches of one seat on one deal are sorted into levels, and of every two of different levels the higher is preferred:
-log sigmoid(beta (D_w - D_l)) with D the mean log-ratio of a trajectory's choices to the initial model, beta 2.5 times as large where
the winner won; 0.001 of k3 to the policy that sampled. Where a batch has no pair at all, winners alone are made likelier and all
others less likely.

Different here: the levels are won, drawn, lost, and faulty, instead of right, wrong, unparsable, and badly formed; groups of 8
instead of 16; the learning rate is one for small models.
"""

from algorithms.joint import Pairs
from algorithms.learner import Adam
from algorithms.levels import Levels
from algorithms.losses import Anneal
from algorithms.parts import Method
from algorithms.rewards import GameReward
from algorithms.samplers import Groups

recipe = Method(
    sampler=Groups(deals=64, size=8),
    reward=GameReward(),
    credit=Levels(),
    loss=Pairs(beta=0.1, ratio="mean", against="initial", emphasis=2.5, alone="absolute", kl=0.001),
    learner=Adam(rate=Anneal(start=3e-4, end=3e-5), epochs=4),
    horizon=200,
)
