"""``ton``: think or not (TON; Wang et al., 2025, arXiv 2505.16854) on games.

In the paper a supervised stage empties half of the traces of thought, and GRPO with rewards for the answer and its form then chooses
between thinking and not. The part that is reinforcement learning is here: GRPO, groups of 8, in which half of the matches are played by
writing freely before the move, and half by moving at once; what pays on a deal becomes likelier. That the arm is drawn for every match,
instead of chosen by the model itself, is our reading, in place of the supervised stage.
"""

from dataclasses import replace

from algorithms.parts import Language
from algorithms.recipes.grpo import recipe as grpo
from algorithms.thinking import ThinkOrNot

recipe = replace(grpo, sampler=ThinkOrNot(), language=Language(reply="free", max_new=128))
