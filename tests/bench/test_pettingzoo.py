"""Our connect_four as an AEC environment against PettingZoo's, in PettingZoo's own loop with one random player for both."""

from __future__ import annotations

import random

import numpy as np
import pytest

from marl_llm import registry
from tests.bench.measure import compare

pytestmark = pytest.mark.bench
OURS, THEIRS = 2_000, 200
"""Matches."""


def played(env, matches):
    """The loop of PettingZoo's documentation: everything is read at every turn; how many decisions were made."""
    rng = random.Random(1)

    def work():
        decisions = 0
        for match in range(matches):
            env.reset(seed=match)
            for _ in env.agent_iter():
                observation, _, terminated, truncated, _ = env.last()
                if terminated or truncated:
                    env.step(None)
                    continue
                legal = np.flatnonzero(observation["action_mask"]).tolist()
                env.step(rng.choice(legal))
                decisions += 1
        return decisions

    return work


def test_connect_four_in_turns():
    from pettingzoo.classic import connect_four_v3

    from games.pettingzoo.out import to_pettingzoo

    ours = to_pettingzoo(registry.game("connect_four"))
    figures = compare("aec/connect_four/pettingzoo", played(ours, OURS), played(connect_four_v3.env(), THEIRS), alone=True)
    assert figures["ratio"] >= 5
