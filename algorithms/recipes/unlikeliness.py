"""``unlikeliness``: the unlikeliness reward (He et al. 2025, arXiv 2506.02355): of a group's wins, the likely ones earn less.

    r' = r (1 - 0.25 rank / N), rank 0 the least likely

GRPO otherwise, with two passes and a KL of 0.1. Groups of 8, where the paper has 32.
"""

from dataclasses import replace

from algorithms.learner import Adam
from algorithms.losses import Anneal, Clipped
from algorithms.recipes.grpo import recipe as grpo
from algorithms.shaping_peers import Unlikeliness

recipe = replace(
    grpo,
    shaping=(Unlikeliness(),),
    loss=Clipped(mean="sequence", kl=0.1),
    learner=Adam(rate=Anneal(start=3e-4, end=3e-5), epochs=2, minibatch=64),
)
