"""``mf-ac``: mean-field actor-critic (Yang et al. 2018, arXiv 1802.05438), whose actor must not run ahead of what Q knows."""

from algorithms.mean_field_q import MeanFieldQ

recipe = MeanFieldQ(actor=True, lr=1e-3)
