"""``ppo-league``: ``ppo`` with half of its deals against past policies of the run, the hard ones more often.

Mirror play and prioritised fictitious self-play mixed as in AlphaStar (Vinyals et al., 2019); the update is that of ``ppo``.
"""

from algorithms.ppo import MIRROR, PPO
from algorithms.samplers import LeaguePlay

recipe = PPO(sampler=LeaguePlay(mirror=MIRROR))
