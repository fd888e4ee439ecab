"""``dapo``: DAPO (Yu et al. 2025, arXiv 2503.14476).

Groups whose matches all ended alike are dropped, and more deals played; the clip is 0.2 below and 0.28 above; the loss is the mean over
all tokens; replies near the limit cost up to 1; no KL. A dropped group changes the mean's denominator, which advantages of 0 do not.
The punishment counts for every turn, and its limits are for short replies.
"""

from dataclasses import replace

from algorithms.losses import Clipped
from algorithms.recipes.grpo import recipe as grpo
from algorithms.refill import Refill
from algorithms.shaping import Overlong

recipe = replace(grpo, sampler=Refill(), shaping=(Overlong(),), loss=Clipped(high=0.28))
