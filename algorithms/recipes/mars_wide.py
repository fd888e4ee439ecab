"""``mars-wide``: ``mars`` for games of hundreds of information sets and more (leduc_poker, tic_tac_toe).

The same estimator and loss. Minibatches of distinct decisions, so that an iteration takes many steps; and openings, in which
half of the moves are random and nothing is learned, so that play which narrows does not forget the rest of the game.
"""

from algorithms.credit import TurnLevel
from algorithms.learner import Adam
from algorithms.losses import Anneal, MirrorDescent
from algorithms.parts import Method
from algorithms.rewards import GameReward
from algorithms.samplers import SelfPlay

recipe = Method(
    sampler=SelfPlay(matches=8192, opening=4),
    reward=GameReward(),
    credit=TurnLevel(),
    loss=MirrorDescent(alpha=Anneal(start=0.12, end=0.085), eta=Anneal(start=0.4, end=0.1)),
    learner=Adam(rate=Anneal(start=5e-4, end=5e-5), epochs=2, minibatch=96),
    horizon=120,
)
