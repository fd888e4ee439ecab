"""``kimi-length``: GRPO on outcomes with Kimi k1.5's length reward (arXiv 2501.12599) added: in a group, shorter wins earn up to half more,
and longer losses up to half less."""

from dataclasses import replace

from algorithms.recipes.grpo import recipe as grpo
from algorithms.shaping import RelativeLength

recipe = replace(grpo, shaping=(RelativeLength(),))
