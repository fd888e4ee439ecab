"""``entropy-shaped``: GRPO with an advantage shaped by entropy, A + min(0.4 H, |A| / 2).

The shape is that of reasoning with exploration (Cheng et al. 2025, arXiv 2506.14758). That function-call training by entropy
(arXiv 2508.05118) uses it is our reading of its abstract; its code was not published.
"""

from dataclasses import replace

from algorithms.recipes.grpo import recipe as grpo
from algorithms.terms import EntropyBonus, Terms

recipe = replace(grpo, credit=Terms(finish=(EntropyBonus(),)))
