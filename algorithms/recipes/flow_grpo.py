"""``flow-grpo``: Flow-GRPO of AgentFlow (Li et al. 2025, arXiv 2510.05592).

The outcome is copied to every turn, each turn is a row of its own, and the group is all rows of a seat's matches on a deal:
statistics run over turns, so that long matches count more. Clip 0.2 below and 0.3 above, a weak KL. In the paper one module among
frozen ones is trained; ``LeaguePlay`` with anchors holds seats so.
"""

from dataclasses import replace

from algorithms.losses import Clipped
from algorithms.recipes.grpo import recipe as grpo
from algorithms.terms import Term, Terms

recipe = replace(grpo, credit=Terms(terms=(Term(rows="turn"),)), loss=Clipped(high=0.3, kl=0.001))
