"""``rec``: REC (Yao et al., 2025, arXiv 2509.24203) on league replay.

A = r - mean of the group; the loss is the mean over tokens of -A log pi over those that the gate lets through: the ratio to the policy
that sampled only decides which (see ``algorithms.gates``; "one" is REC-OneSide, "two" REC-TwoSide, "ring" REC-Ring).

A group is a seat's matches on one deal with the same players. On half of the deals a past policy of the run holds all seats but one,
and its turns are learned from as well, with the probabilities that it recorded; old samples are those of the league instead of a
buffer's. The learning rate is one for small models.
"""

from dataclasses import replace

from algorithms.estimators import Centre
from algorithms.gates import Gated
from algorithms.learner import Adam
from algorithms.losses import Anneal
from algorithms.recipes.opmd import recipe as opmd
from algorithms.terms import Term, Terms

recipe = replace(
    opmd,
    credit=Terms(terms=(Term(estimator=Centre()),)),
    loss=Gated(gate="one"),
    learner=Adam(rate=Anneal(start=3e-4, end=3e-5), epochs=2, minibatch=64),
)
