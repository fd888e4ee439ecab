"""``at-grpo``: AT-GRPO (arXiv 2510.11062), groups by agent and turn.

    A(turn) = standardise(return-to-go; the k-th turns of a seat on a deal)

Clip 0.2 with a dual clip at 3, the mean over tokens, no KL, as its code has them. Different here: the matches of a group go on side by
side, where its tree sampling goes on from the best of a turn's candidates alone; so their prompts are alike in the first turn and
differ later. It is meant for teams, and holds for opponents too, whose groups are apart.
"""

from dataclasses import replace

from algorithms.losses import Clipped
from algorithms.recipes.grpo import recipe as grpo
from algorithms.terms import Term, Terms

recipe = replace(grpo, credit=Terms(terms=(Term(value="to_go", group=("deal", "seat", "turn")),)), loss=Clipped(dual=3.0))
