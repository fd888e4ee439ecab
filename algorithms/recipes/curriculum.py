"""``curriculum``: GRPO in stages, from easy to hard.

CRAFT-GUI (2025, arXiv 2508.11360) sorts tasks by difficulty, Mobile-R1 (2025, arXiv 2506.20332) goes from single actions to whole tasks.
What is theirs here are the stages: games in the order given, ``--game tic_tac_toe connect_four``, and opponents in the order of
``--sampler.opponents``. To go on by win rate is our reading of the first, and after some iterations of the second
(``--sampler.promote 1.1``). Supervised stages and judges are left out.
"""

from dataclasses import replace

from algorithms.recipes.grpo import recipe as grpo
from algorithms.stages import Stages

recipe = replace(grpo, sampler=Stages(opponents=("random", "self")))
