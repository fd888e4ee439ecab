"""``red-drop``: RED-drop (Yao et al., 2025, arXiv 2509.24203) on league replay.

A = r - mean of the group, -A log pi without a ratio; of every group no more bad samples are learned from than good ones. How many stay
is our reading.

A group is a seat's matches on one deal with the same players. On half of the deals a past policy of the run holds all seats but one,
and its turns are learned from as well, with the probabilities that it recorded; old samples are those of the league instead of a
buffer's. The learning rate is one for small models.
"""

from dataclasses import replace

from algorithms.estimators import Centre
from algorithms.recipes.opmd import recipe as opmd
from algorithms.replay import Balanced
from algorithms.terms import Term, Terms

recipe = replace(opmd, sampler=Balanced(inner=opmd.sampler), credit=Terms(terms=(Term(estimator=Centre()),)))
