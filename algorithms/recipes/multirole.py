"""``multirole``: MultiRole-R1's reward (arXiv 2507.20187), nine tenths outcome and one tenth diversity, in GRPO.

A group that all won, or all lost, still compares. Its first phase, supervised learning on roles' traces, is not here; roles are
the game's own. What diversity is in a game is our reading (``algorithms.shaping_peers.diversity``).
"""

from dataclasses import replace

from algorithms.recipes.grpo import recipe as grpo
from algorithms.shaping_peers import Diversity

recipe = replace(grpo, shaping=(Diversity(),))
