"""``pref-grpo``: Pref-GRPO (arXiv 2508.20751), whose candidates play each other (``algorithms.candidates``).

    A = standardise(win rate over the N - 1 others; all candidates of the deal)

The group is the deal and not the seat, for every candidate plays both. A candidate stands in as many rows as it has matches, so
that the deviation divides by n: by n - 1 it would depend on their number.
"""

from dataclasses import replace

from algorithms.candidates import Candidates, WinRate
from algorithms.estimators import Standardise
from algorithms.recipes.grpo import recipe as grpo
from algorithms.terms import Term, Terms

recipe = replace(
    grpo,
    sampler=Candidates(),
    shaping=(WinRate(),),
    credit=Terms(terms=(Term(group=("deal",), estimator=Standardise(ddof=0)),)),
)
