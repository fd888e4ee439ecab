"""``liet``: LIET (arXiv 2506.07232): every seat learns a utility of its own from play, and all share a list of advice.

Our reading of the paper's abstract; see ``algorithms.utility``. The credit only says which matches belong together, and the loss is not
used. With ``--learner.team.writer FOLDER`` a larger model writes the advice.
"""

from dataclasses import replace

from algorithms.recipes.training_free import recipe as training_free
from algorithms.utility import Individuals

recipe = replace(training_free, learner=Individuals())
