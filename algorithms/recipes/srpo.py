"""``srpo``: self-referential policy optimisation (arXiv 2511.15605): lost matches that went like won ones earn part of a win.

``algorithms.shaping_progress`` has the reward; GRPO with a clip of 0.2 below and 0.28 above, on deals of which 10% to 90% are won. Its
scaling of rewards by 5 is left out, which division by a deviation undoes; the temperature is 1, where the paper samples at 1.6.
"""

from dataclasses import replace

from algorithms.losses import Clipped
from algorithms.recipes.grpo import recipe as grpo
from algorithms.refill import Refill
from algorithms.shaping_progress import Progress

recipe = replace(grpo, sampler=Refill(low=0.1, high=0.9), shaping=(Progress(),), loss=Clipped(high=0.28))
