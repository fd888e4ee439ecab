"""``salt``: SALT (arXiv 2510.20022), step-level advantages from a graph of trajectories.

GRPO's advantage, after which equal moves of a group (the same view and action, of one seat on one deal) share their mean; a move of its
own keeps what it has. Their sum stays as it was. From the abstract and reviews: that an edge is a view and an action without the
view that follows is our reading, for chance and other seats make the next views differ.
"""

from dataclasses import replace

from algorithms.recipes.grpo import recipe as grpo
from algorithms.terms import Pool, Terms

recipe = replace(grpo, credit=Terms(finish=(Pool(),)))
