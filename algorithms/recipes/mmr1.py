"""``mmr1``: GRPO on deals drawn by the variance of winning (variance-aware sampling; MMR1, Leng et al., 2025, arXiv 2509.21268).

See ``algorithms.difficulty.VarianceAware``. Different here: an arm is a game with an opponent, which is a past policy of the run or a
random player, instead of a prompt, and p is measured in training, not in rollouts of its own.
"""

from dataclasses import replace

from algorithms.difficulty import VarianceAware
from algorithms.recipes.grpo import recipe as grpo

recipe = replace(grpo, sampler=VarianceAware())
