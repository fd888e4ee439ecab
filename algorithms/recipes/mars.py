"""``mars``: turn-level self-play with the house estimator and magnetic mirror descent towards a uniform magnet.

Turn-level return-to-go with a per-seat baseline is MARS's (MARSHAL, 2025); the regularised update is Sokota et al.'s
(2023). What MARSHAL adds beyond (reward shaping, whitening, clipping) is left out: see ``algorithms/credit.py``.
"""

from algorithms.credit import TurnLevel
from algorithms.learner import Adam
from algorithms.losses import Anneal, MirrorDescent
from algorithms.parts import Method
from algorithms.rewards import GameReward
from algorithms.samplers import SelfPlay

recipe = Method(
    sampler=SelfPlay(matches=8192),
    reward=GameReward(),
    credit=TurnLevel(),
    loss=MirrorDescent(alpha=Anneal(start=0.14, end=0.03), eta=Anneal(start=0.44, end=0.07)),
    learner=Adam(rate=Anneal(start=1e-3, end=3e-5)),
    horizon=300,
)
