"""``tw-grpo``: token-weighted GRPO (TW-GRPO; Dang et al., 2025, arXiv 2505.24718) on games.

See ``algorithms.divergence``. Different here: weights are of turns, by their places in a seat's matches on one deal; one position of two
replies says little in a game, and where all members met the same view their distributions are equal. The reward for half right
choices has no counterpart: a game has its own rewards.
"""

from dataclasses import replace

from algorithms.divergence import DivergenceWeight
from algorithms.recipes.grpo import recipe as grpo
from algorithms.terms import Terms

recipe = replace(grpo, credit=Terms(finish=(DivergenceWeight(),)))
