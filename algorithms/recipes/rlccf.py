"""``rlccf``: coordinated consensus (RLCCF, arXiv 2508.12338), as reviews give it; for teams.

Each voter's first moves on a deal count by how sure the voter is of them, and what wins is the label for all; every voter runs a GRPO of
its own. The voters are the seats, of one model, where the paper has several models.
"""

from dataclasses import replace

from algorithms.recipes.grpo import recipe as grpo
from algorithms.shaping_votes import Consensus

recipe = replace(grpo, shaping=(Consensus(),))
