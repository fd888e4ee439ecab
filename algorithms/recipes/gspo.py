"""``gspo``: group sequence policy optimisation (Zheng et al. 2025, arXiv 2507.18071).

    s = exp(mean over the reply's tokens of log pi / pi_old)      loss = -min(s A, clip(s, 1 - 0.0003, 1 + 0.0004) A)

A sequence is one turn's reply. A trajectory's turns count by their tokens, and trajectories alike.
"""

from dataclasses import replace

from algorithms.losses import Clipped
from algorithms.recipes.grpo import recipe as grpo

recipe = replace(grpo, loss=Clipped(ratio="turn", low=3e-4, high=4e-4, mean="sequence"))
