"""``vade``: GRPO on deals whose outcome is open, chosen by Thompson sampling (VADE, 2025, arXiv 2511.18902).

See ``algorithms.difficulty.Vade``. Different here: an arm is a game with an opponent, which is a past policy of the run or a random
player, instead of a prompt; the second scale of forgetting is our reading.
"""

from dataclasses import replace

from algorithms.difficulty import Vade
from algorithms.recipes.grpo import recipe as grpo

recipe = replace(grpo, sampler=Vade())
