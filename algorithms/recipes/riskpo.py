"""``riskpo``: RiskPO (arXiv 2510.00911): the lower tail of sums over bundles of five deals (``algorithms.tail``), no KL.

Advantages are 0 at most: a bundle's good papers are left alone, its worst pushed away from. A group of equal outcomes learns too, since its
bundle's sums differ. Five matches a deal.
"""

from dataclasses import replace

from algorithms.losses import Clipped
from algorithms.recipes.grpo import recipe as grpo
from algorithms.samplers import Groups
from algorithms.tail import Tail
from algorithms.terms import Term, Terms

recipe = replace(grpo, sampler=Groups(deals=100, size=5), credit=Terms(terms=(Term(estimator=Tail()),)), loss=Clipped(mean="sequence"))
