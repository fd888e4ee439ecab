"""What a turn is worth: the game's reward in the game's own unit, and the form of an answer in a channel of its own."""

from __future__ import annotations

import numpy as np
import pytest

from algorithms.rewards import GameReward, unit_of
from marl_llm import registry
from marl_llm.agent import ILLEGAL, OK, TRUNCATED, UNPARSABLE
from marl_llm.exact import node_values
from marl_llm.tree import tree_of
from tests.algorithms.batches import batch_of


def test_unit_is_the_deviation_of_a_return_in_random_play():
    """kuhn_poker: E r = 0 on average over seats, and E r^2 by a walk over the tree under uniform play."""
    game = registry.game("kuhn_poker")
    tree = tree_of(game)
    squared = tree_of(game).gains.copy()
    kept, tree.gains = tree.gains, squared**2
    try:
        exact = float(np.sqrt(node_values(tree, tree.uniform_policy())[0].mean()))
    finally:
        tree.gains = kept
    assert unit_of(game) == pytest.approx(exact, rel=0.05)
    assert unit_of(game) == unit_of(game)


def test_channels_by_hand():
    batch = batch_of([[[2.0, -1.0]], [[3.0, 0.0]]], games=[0, 1])
    faults = np.asarray([OK, ILLEGAL, UNPARSABLE, TRUNCATED])
    batch = batch.with_columns(**{"turn.reward": batch["turn.game"], "turn.fault": faults})
    paid = GameReward(legal=0.1, illegal=-0.5, unparsable=-2.0).channels(batch, {"a": 2.0, "b": 4.0}, {})
    assert paid["turn.game"].tolist() == [1.0, -0.5, 0.75, 0.0]
    assert paid["turn.format"].tolist() == [0.1, -0.5, -2.0, -2.0]
    assert GameReward(scaled=False).channels(batch, {"a": 2.0, "b": 4.0}, {})["turn.game"].tolist() == [2.0, -1.0, 3.0, 0.0]
