"""``mars-population``: ``mars`` for populations of language seats that share one model and are told how the population chose.

A mean field in the prompt; see ``algorithms.population``. Seats are exchangeable, so a turn is compared with all others of its game.
"""

from dataclasses import replace

from algorithms.credit import TurnLevel
from algorithms.population import Population
from algorithms.recipes.mars import recipe as mars

recipe = replace(mars, sampler=Population(), credit=TurnLevel(baseline="game"))
