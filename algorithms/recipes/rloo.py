"""``rloo``: REINFORCE leave-one-out (Ahmadian et al. 2024, arXiv 2402.14740).

    A = r - mean of the *others* in the group = N / (N - 1) (r - mean)

Different here: the clipped ratio of tokens stands in for log pi, so that an iteration may take several steps; the first is the same.
"""

from dataclasses import replace

from algorithms.estimators import LeaveOneOut
from algorithms.losses import Clipped
from algorithms.recipes.grpo import recipe as grpo
from algorithms.terms import Term, Terms

recipe = replace(grpo, credit=Terms(terms=(Term(estimator=LeaveOneOut()),)), loss=Clipped(mean="sequence"))
