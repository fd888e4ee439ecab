"""``reg-grpo``: the regression loss of DeepVideo-R1 (Park et al., 2025, arXiv 2506.07464) on games.

The advantage of GRPO, (r - mean) / deviation in the group with n in the variance, is what the log-ratio of the whole trajectory to the
policy that sampled, standardised in the group as well, is regressed on; no ratio is clipped. Its difficulty-aware augmentation
is ``deepvideo-r1``.

Different here: groups of 8 matches of one seat on one deal; the floor of the deviation of log-ratios is ours, and so are the
weight of the penalty to the initial model and the learning rate.
"""

from algorithms.estimators import Standardise
from algorithms.joint import Regression
from algorithms.learner import Adam
from algorithms.losses import Anneal
from algorithms.parts import Method
from algorithms.rewards import GameReward
from algorithms.samplers import Groups
from algorithms.terms import Term, Terms

recipe = Method(
    sampler=Groups(deals=64, size=8),
    reward=GameReward(),
    credit=Terms(terms=(Term(estimator=Standardise(ddof=0)),)),
    loss=Regression(kl=0.04),
    learner=Adam(rate=Anneal(start=3e-4, end=3e-5), epochs=2),
    horizon=200,
)
