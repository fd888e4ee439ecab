"""``mac-spgg``: frozen language models, and a policy over how they are decoded, after MAC-SPGG (Liang et al., 2025, arXiv 2508.02076).

Agents act once each, in order; each has a network of its own (256 and 128 wide) that sees an embedding of the task, of what it reads
of its predecessors and of its place, and sets temperature, top_p, top_k, length and repetition penalty of its reply; every one
learns by PPO from its own reward in the sequential public good. ``algorithms.decoding`` has what is done differently here.

The settings are those of the project's public checkpoint; the reward of its game, ``spgg``, is a reconstruction. The order
of models there is ``--models`` here.
"""

from algorithms.decoding import Decoding
from algorithms.ppo import PPO
from algorithms.samplers import SelfPlay

recipe = Decoding(
    ppo=PPO(
        horizon=200,
        sampler=SelfPlay(matches=32),
        hidden=(256, 128),
        shared=False,
        epochs=4,
        minibatch=16,
        lr=5e-4,
        gamma=0.99,
        entropy=0.02,
        alpha=0.0,
        proximal=0.0,
    )
)
