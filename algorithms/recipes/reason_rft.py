"""``reason-rft``: GRPO with graded success, in stages of a fixed length (Reason-RFT; Tan et al., 2025, arXiv 2503.20752) on games.

See ``algorithms.tolerance`` and ``algorithms.stages``. Different here: games in the order given are the stages, where the paper's first
is supervised; an outcome is compared with the best on its deal, in place of a number with the true one; partial credit for lists of
answers has no counterpart. Stages end by their length alone: no share of matches won is above 1.
"""

from dataclasses import replace

from algorithms.recipes.grpo import recipe as grpo
from algorithms.stages import Stages
from algorithms.tolerance import Tolerance

recipe = replace(grpo, sampler=Stages(promote=1.1), shaping=(Tolerance(),))
