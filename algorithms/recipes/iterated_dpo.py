"""``iterated-dpo``: direct preference optimisation in rounds, as in PLaID++ (Xu et al., 2025, arXiv 2509.07150), on games.

A round samples from the policy, pairs what was sampled, and minimises -log sigmoid(beta (D_w - D_l)) with D the summed log-ratio of a
trajectory to the policy that sampled, the previous iterate.

Different here: tiers are won, drawn, lost, and faulty, instead of energies, and every two matches of one seat on one deal that
are of different tiers are a pair, instead of drawn ones; rounds are short and many; the temperature stays 1, at which probabilities
are recorded; the learning rate is one for small models.
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
    loss=Pairs(beta=0.1),
    learner=Adam(rate=Anneal(start=3e-4, end=3e-5), epochs=4),
    horizon=200,
)
