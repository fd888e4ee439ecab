"""``cosine-length``: GRPO on the cosine reward of open-rs (Dang and Ngo 2025, arXiv 2503.16219).

Short wins earn more than long ones, long losses cost less than short ones; its reward for form is the channel that every recipe has.
A win is an outcome above 0, so in a game that pays no losses ``shaping.0.above`` says what is one.
"""

from dataclasses import replace

from algorithms.recipes.grpo import recipe as grpo
from algorithms.shaping import CosineLength

recipe = replace(grpo, shaping=(CosineLength(),))
