"""``dr-grpo``: Dr. GRPO (Liu et al. 2025, arXiv 2503.20783).

    A = r - mean of the group       loss: sums over a turn's tokens / a constant, averaged over turns

No deviation, which weighs deals by how even they are, no division by a reply's own length, which favours long mistakes, and no KL.
The constant is the longest reply in the paper, and here one for the few tokens of a move.
"""

from dataclasses import replace

from algorithms.estimators import Centre
from algorithms.losses import Clipped
from algorithms.recipes.grpo import recipe as grpo
from algorithms.terms import Term, Terms

recipe = replace(grpo, credit=Terms(terms=(Term(estimator=Centre()),)), loss=Clipped(mean="constant", constant=8.0))
