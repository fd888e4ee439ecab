"""``turn-ppo``: PPO over turns, with a critic on the model's own hidden state.

Generalised advantage estimation over a seat's own turns (Schulman et al., 2016), whitened; clipped surrogate over tokens, with
the turn's advantage on each. ``algorithms.gae.BiLevelGAE`` is the variant that goes on inside the turns (RAGEN, 2025).
"""

from algorithms.gae import TurnGAE
from algorithms.learner import Adam
from algorithms.losses import Anneal, Clipped
from algorithms.parts import Method
from algorithms.rewards import GameReward
from algorithms.samplers import SelfPlay

recipe = Method(
    sampler=SelfPlay(matches=1024),
    reward=GameReward(),
    credit=TurnGAE(),
    loss=Clipped(mean="token"),
    learner=Adam(rate=Anneal(start=3e-4, end=3e-5), epochs=2, minibatch=128),
    horizon=200,
)
