"""``latr``: GRPO over lookahead trees (LATR; Xing et al., 2025, arXiv 2510.24302).

See ``algorithms.lookahead``. Different here: a branch begins with another move instead of another token, and is compared with its parent
when it has been played to its end; the moves that lead to it are given and not learned from, so its group teaches what came after,
and what the trunk chose there.
"""

from dataclasses import replace

from algorithms.lookahead import Lookahead
from algorithms.recipes.grpo import recipe as grpo

recipe = replace(grpo, sampler=Lookahead())
