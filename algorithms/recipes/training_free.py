"""``training-free``: Training-free GRPO (arXiv 2510.08191): a frozen model edits a list of advice for every seat from groups of matches.

See ``algorithms.experience`` for what differs. The credit only says which matches belong together, and the loss is not used. With
``--learner.writer FOLDER`` a larger model writes the advice.
"""

from algorithms.experience import Experience
from algorithms.losses import Reinforce
from algorithms.parts import Method
from algorithms.rewards import GameReward
from algorithms.samplers import Groups
from algorithms.terms import Terms

recipe = Method(
    sampler=Groups(deals=8, size=8),
    reward=GameReward(scaled=False),
    credit=Terms(),
    loss=Reinforce(),
    learner=Experience(),
    horizon=10,
)
