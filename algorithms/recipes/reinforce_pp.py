"""``reinforce-pp``: REINFORCE++ (Hu et al. 2025, arXiv 2501.03262).

    A = return-to-go, whitened over all turns of the batch

There is no group, so every match is on a deal of its own. In a zero-sum game the seats' returns add up to 0: whitened together they
have no baseline, and a seat's advantage by its place passes for skill; ``reinforce-pp-baseline`` compares inside groups first.
Different here: whitened over turns, not tokens; no KL in the reward.
"""

from dataclasses import replace

from algorithms.estimators import Raw
from algorithms.losses import Clipped
from algorithms.recipes.grpo import recipe as grpo
from algorithms.samplers import SelfPlay
from algorithms.terms import Term, Terms, Whiten

recipe = replace(
    grpo,
    sampler=SelfPlay(matches=512),
    credit=Terms(terms=(Term(value="to_go", group=(), estimator=Raw()),), finish=(Whiten(),)),
    loss=Clipped(),
)
