"""``opmd``: OPMD (online policy mirror descent, as Yao et al., 2025, arXiv 2509.24203, give it) on league replay.

A = r - tau log mean exp(r / tau) in the group, and the loss is the mean over tokens of -A log pi / (1 + tau), without a ratio, tau 1.

A group is a seat's matches on one deal with the same players. On half of the deals a past policy of the run holds all seats but one,
and its turns are learned from as well, with the probabilities that it recorded; old samples are those of the league instead of a
buffer's. The learning rate is one for small models.
"""

from algorithms.learner import Adam
from algorithms.losses import Anneal, Reinforce
from algorithms.parts import Method
from algorithms.replay import SoftMean
from algorithms.rewards import GameReward
from algorithms.samplers import Groups, LeaguePlay
from algorithms.terms import Term, Terms

recipe = Method(
    sampler=LeaguePlay(mirror=Groups(deals=64, size=8), replay=True),
    reward=GameReward(),
    credit=Terms(terms=(Term(estimator=SoftMean(tau=1.0), weight=0.5),)),
    loss=Reinforce(),
    learner=Adam(rate=Anneal(start=3e-4, end=3e-5), epochs=1, minibatch=64),
    horizon=200,
)
