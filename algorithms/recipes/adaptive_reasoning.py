"""``adaptive-reasoning``: adaptive deep reasoning (arXiv 2505.20101, from summaries of it): short where it is easy, long where it is hard.

Of a group that mostly wins the short wins earn 1.5 and the long ones 1, else the other way round
(``algorithms.shaping_arms.Adaptive``). Long is longer than the group's mean, where the paper tells half of the group to think long; its
auxiliary loss on the token that chooses the mode, its warm-up and its length penalty are not here.
"""

from dataclasses import replace

from algorithms.recipes.grpo import recipe as grpo
from algorithms.shaping_arms import Adaptive, ArmByLength

recipe = replace(grpo, shaping=(ArmByLength(), Adaptive()))
