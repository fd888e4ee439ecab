"""``mappo``: ``ippo`` with a critic that sees the whole table beside the seat's view (Yu et al. 2022, arXiv 2103.01955).

That the critic sees both is the paper's agent-specific global state, from memory; values are not normalised here as they are there.
"""

from dataclasses import replace

from algorithms.recipes.ippo import recipe as ippo

recipe = replace(ippo, critic="table")
