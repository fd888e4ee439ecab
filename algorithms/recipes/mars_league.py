"""``mars-league``: ``mars`` with half of its deals against past policies of the run, the hard ones more often.

Mirror play and prioritised fictitious self-play mixed as in AlphaStar (Vinyals et al., 2019); the update is that of ``mars``.
"""

from dataclasses import replace

from algorithms.recipes.mars import recipe as mars
from algorithms.samplers import LeaguePlay

recipe = replace(mars, sampler=LeaguePlay(mirror=mars.sampler))
