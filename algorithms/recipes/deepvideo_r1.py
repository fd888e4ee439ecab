"""``deepvideo-r1``: difficulty-aware augmentation and the regression loss (DeepVideo-R1; Park et al., 2025, arXiv 2506.07464) on games.

See ``algorithms.hints`` and ``reg-grpo``. Different here: a hint is the first moves of the best match instead of a piece of reasoning,
noise is random moves instead of a corrupted video, and both are played after the plain group of the same iteration.
"""

from dataclasses import replace

from algorithms.hints import DifficultyAware
from algorithms.recipes.reg_grpo import recipe as reg_grpo

recipe = replace(reg_grpo, sampler=DifficultyAware(inner=reg_grpo.sampler))
