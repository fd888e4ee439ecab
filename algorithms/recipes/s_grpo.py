"""``s-grpo``: serial-group decaying-reward policy optimisation (S-GRPO; Dai et al., 2025, arXiv 2505.07686) on games.

See ``algorithms.exits``. A = r - mean of the group, without a deviation; clipped surrogate; the mean over trajectories of the
trajectory's token mean; no KL.

Different here: to leave early is to repeat one's move to the end, which is our reading; winning is an outcome above 0. A seat of a
single turn has no exit and so no group: games of many turns a seat suit it.
"""

from dataclasses import replace

from algorithms.estimators import Centre
from algorithms.exits import Decaying, Exits
from algorithms.losses import Clipped
from algorithms.recipes.grpo import recipe as grpo
from algorithms.terms import Term, Terms

recipe = replace(
    grpo,
    sampler=Exits(),
    shaping=(Decaying(),),
    credit=Terms(terms=(Term(estimator=Centre()),)),
    loss=Clipped(mean="sequence"),
)
