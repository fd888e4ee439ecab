"""``copo``: consistency-aware policy optimisation (arXiv 2508.04138), as reviews give it.

Where a group's first moves differ, GRPO inside it; where they agree, the group's mean standardised among groups
(``algorithms.agreement.Consistency``). The threshold is 1.5 in the paper, more than the entropy of two or three actions can be; 0.35 nats
is ours. Six matches a deal, no KL. The comparison among groups measures their deals too.
"""

from dataclasses import replace

from algorithms.agreement import Consistency
from algorithms.losses import Clipped
from algorithms.recipes.grpo import recipe as grpo
from algorithms.samplers import Groups
from algorithms.terms import Term, Terms

recipe = replace(
    grpo,
    sampler=Groups(deals=84, size=6),
    credit=Terms(terms=(Term(estimator=Consistency(threshold=0.35)),)),
    loss=Clipped(mean="sequence"),
)
