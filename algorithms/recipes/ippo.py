"""``ippo``: independent PPO with shared parameters (de Witt et al. 2020, arXiv 2011.09533): plain PPO, a critic of the seat's own view.

The settings are this project's own; the paper's are for games of another size.
"""

from algorithms.ppo import PPO

recipe = PPO(alpha=0.0, proximal=0.0)
