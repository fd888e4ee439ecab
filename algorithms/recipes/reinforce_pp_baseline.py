"""``reinforce-pp-baseline``: REINFORCE++ with the group's mean as its baseline (Hu et al. 2025, arXiv 2501.03262).

    A = (r - mean of the group), whitened over all turns of the batch

No group has a deviation of its own. Different here: whitened over turns, not tokens.
"""

from dataclasses import replace

from algorithms.estimators import Centre
from algorithms.losses import Clipped
from algorithms.recipes.grpo import recipe as grpo
from algorithms.terms import Term, Terms, Whiten

recipe = replace(grpo, credit=Terms(terms=(Term(estimator=Centre()),), finish=(Whiten(),)), loss=Clipped(kl=0.01))
