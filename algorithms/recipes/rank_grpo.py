"""``rank-grpo``: Rank-GRPO (Zhu et al. 2025, arXiv 2510.20150), with a seat's own turns for the places of a ranked list.

    gain(k) = reward(k) / log2(k + 2)      A(k) = standardise(sum of gains from k on; the k-th turns of a seat on a deal)

The ratio is one a turn, the exponential of the mean over its tokens, clipped to 0.94 .. 1.08; weak KL. The paper's other gain,
reward(k) alone, is ``value="turn"`` without ``LogDecay``.
"""

from dataclasses import replace

from algorithms.estimators import Standardise
from algorithms.losses import Clipped
from algorithms.recipes.grpo import recipe as grpo
from algorithms.shaping import LogDecay
from algorithms.terms import Term, Terms

PLACE = Term(value="to_go", group=("deal", "seat", "turn"), estimator=Standardise(eps=1e-4))

recipe = replace(
    grpo,
    shaping=(LogDecay(),),
    credit=Terms(terms=(PLACE,)),
    loss=Clipped(ratio="turn", low=0.06, high=0.08, mean="turn", kl=1e-3),
)
