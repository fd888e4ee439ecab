"""``step-grpo``: Step-GRPO of R1-Router (Peng et al. 2025, arXiv 2505.22095).

    A(turn) = standardise(the turn's own reward; turns at the same view)

Every step is a prompt with a group and a reward of its own, so what a move brings later is not its own: of a game that pays at
the end only last moves learn. Groups form wherever play comes to a view again, on whatever deal.
"""

from dataclasses import replace

from algorithms.recipes.grpo import recipe as grpo
from algorithms.samplers import SelfPlay
from algorithms.terms import Term, Terms

recipe = replace(grpo, sampler=SelfPlay(matches=512), credit=Terms(terms=(Term(value="turn", group=("game", "seat", "view")),)))
