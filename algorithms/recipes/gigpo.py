"""``gigpo``: group-in-group policy optimisation (Feng et al. 2025, arXiv 2505.10978), read from a third party's copy of its code.

    A(turn) = standardise(outcome; seat on a deal) + standardise(return-to-go at 0.95 a turn; the same, at the same view)

The second term compares what followed different moves from one information set; a view met once there gets 0 from it. A fault costs
0.1. With ``Centre`` for both estimators it is the paper's mode without deviations; ``rows="turn"`` takes the first term's statistics
over turns, so that long matches count more, as that code does by default.
"""

from dataclasses import replace

from algorithms.losses import Clipped
from algorithms.recipes.grpo import recipe as grpo
from algorithms.rewards import GameReward
from algorithms.terms import Term, Terms

STEP = Term(value="to_go", group=("deal", "seat", "view"), discount=0.95)

recipe = replace(
    grpo,
    reward=GameReward(illegal=-0.1, unparsable=-0.1),
    credit=Terms(terms=(Term(), STEP)),
    loss=Clipped(mean="sequence", kl=0.01),
)
