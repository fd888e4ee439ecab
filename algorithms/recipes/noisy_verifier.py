"""``noisy-verifier``: rewards from referees that err, corrected by their rates (arXiv 2510.00915, from summaries of it).

Two referees of different rates judge every match (``algorithms.shaping_referees``), and their verdicts are corrected backward. Centred
without a deviation: with one that would be the group's own, a correction by constant rates does nothing.
"""

from dataclasses import replace

from algorithms.estimators import Centre
from algorithms.losses import Clipped
from algorithms.recipes.grpo import recipe as grpo
from algorithms.shaping_referees import Corrected, Referees
from algorithms.terms import Term, Terms

recipe = replace(grpo, shaping=(Referees(), Corrected()), credit=Terms(terms=(Term(estimator=Centre()),)), loss=Clipped(mean="sequence"))
