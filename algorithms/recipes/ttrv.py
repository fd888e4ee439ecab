"""``ttrv``: test-time reinforcement learning by votes (TTRV, arXiv 2510.06783), read from a fork of its code; for teams.

    r = share of the group's first moves that equal one's own - 0.75 x their normalised entropy

No truth is asked. 16 matches a deal, all learned from, where the paper votes with 16 and learns from 10. The entropy is constant in a
group, so with GRPO's baseline it does nothing.
"""

from dataclasses import replace

from algorithms.recipes.grpo import recipe as grpo
from algorithms.samplers import Groups
from algorithms.shaping_votes import Frequency

recipe = replace(grpo, sampler=Groups(deals=32, size=16), shaping=(Frequency(),))
