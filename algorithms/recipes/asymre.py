"""``asymre``: asymmetric REINFORCE (Arnal et al., 2025, arXiv 2506.20520) on league replay.

A = r - (mean of the group + shift) with shift -0.1, so that more samples count as good ones: off the policy it is bad samples that do
harm. The loss is -A log pi, without a ratio.

A group is a seat's matches on one deal with the same players. On half of the deals a past policy of the run holds all seats but one,
and its turns are learned from as well, with the probabilities that it recorded; old samples are those of the league instead of a
buffer's. The learning rate is one for small models.
"""

from dataclasses import replace

from algorithms.estimators import Centre
from algorithms.recipes.opmd import recipe as opmd
from algorithms.terms import Term, Terms

recipe = replace(opmd, credit=Terms(terms=(Term(estimator=Centre(shift=-0.1)),)))
