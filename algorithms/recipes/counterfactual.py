"""``counterfactual``: ``mars`` whose turns are credited by COMA's counterfactual advantage (Foerster et al. 2018, arXiv 1705.08926).

The critic is COMA's, the actor's loss that of ``mars``; see ``algorithms.counterfactual`` for what else differs.
"""

from dataclasses import replace

from algorithms.counterfactual import Counterfactual
from algorithms.recipes.mars import recipe as mars
from algorithms.samplers import SelfPlay

recipe = replace(mars, sampler=SelfPlay(matches=1024), credit=Counterfactual())
