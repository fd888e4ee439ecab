"""``gcpo``: GCPO of GeometryZero (arXiv 2506.07160, from summaries of it): a thing is rewarded only where it helps.

A group's matches in which a certain move was made earn a bonus where they win more often than the others, and lose it where they win
less often (``algorithms.shaping_arms.Conditional``). In the paper half of a group is told to use auxiliary constructions, and half not to;
here a seat chooses, and the move is action 1 unless ``shaping.0.moves`` says another.
"""

from dataclasses import replace

from algorithms.recipes.grpo import recipe as grpo
from algorithms.shaping_arms import ArmByMove, Conditional

recipe = replace(grpo, shaping=(ArmByMove(moves=(1,)), Conditional()))
