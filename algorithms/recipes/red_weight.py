"""``red-weight``: RED-weight (Yao et al., 2025, arXiv 2509.24203) on league replay.

A exp(A / temperature) with A = r - mean of the group and temperature 1, -A log pi without a ratio.

A group is a seat's matches on one deal with the same players. On half of the deals a past policy of the run holds all seats but one,
and its turns are learned from as well, with the probabilities that it recorded; old samples are those of the league instead of a
buffer's. The learning rate is one for small models.
"""

from dataclasses import replace

from algorithms.estimators import Centre
from algorithms.recipes.opmd import recipe as opmd
from algorithms.replay import Emphasise
from algorithms.terms import Term, Terms

recipe = replace(opmd, credit=Terms(terms=(Term(estimator=Centre()),), finish=(Emphasise(temperature=1.0),)))
