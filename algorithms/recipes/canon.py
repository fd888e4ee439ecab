"""``canon``: conditional advantage estimation (Chen et al. 2025, arXiv 2509.23962), by the entropy of what was chosen.

A group is split into a half of high and a half of low entropy, and a match compared with the mean of the other half and of its own
(``algorithms.contrast``); no deviation, sums over a turn's tokens divided by a constant, clip 0.2 below and 0.28 above, no KL. The
share of the first comparison is constant here, at the top of the paper's schedule; ``metric``, ``favour`` and ``alpha`` give its
directed variants.
"""

from dataclasses import replace

from algorithms.contrast import Contrast
from algorithms.losses import Clipped
from algorithms.recipes.grpo import recipe as grpo
from algorithms.terms import Term, Terms

recipe = replace(grpo, credit=Terms(terms=(Term(estimator=Contrast(inter=0.6)),)), loss=Clipped(high=0.28, mean="constant", constant=8.0))
