"""``mixer``: ``mars`` whose turns are credited by a mixture of utilities, for teams; see ``algorithms.mixer``.

Value decomposition (VDN, Sunehag et al. 2018, arXiv 1706.05296; QMIX, Rashid et al. 2018, arXiv 1803.11485) as a credit for a policy
gradient; that use and its centred utilities are this project's own. ``--credit.mixer qmix`` makes the mixture monotone instead of a sum.
"""

from dataclasses import replace

from algorithms.mixer import Mixed
from algorithms.recipes.mars import recipe as mars
from algorithms.samplers import SelfPlay

recipe = replace(mars, sampler=SelfPlay(matches=1024), credit=Mixed())
