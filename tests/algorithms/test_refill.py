"""Dynamic sampling: what is dropped, what is played instead, and when it ends."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.composed import Composed
from algorithms.recipes.grpo import recipe
from algorithms.refill import Refill
from algorithms.samplers import Groups
from algorithms.terms import Terms
from marl_llm import registry
from marl_llm.agents.pool import AgentPool
from marl_llm.algorithm import Setup
from marl_llm.iteration import played
from marl_llm.records import Batch
from tests.algorithms.batches import batch_of

SETUP = Setup(("kuhn_poker",), registry.game, "tabular", 3)


def one_seat(groups):
    """One match a number, whose group is its list: on one deal."""
    flat = [r for group in groups for r in group]
    deal = np.repeat(np.arange(len(groups), dtype=np.uint64), [len(group) for group in groups])
    return batch_of([[[float(r)]] for r in flat]).with_columns(**{"match.seed": deal, "seat.return": np.asarray(flat, float)})


def test_groups_that_ended_alike_are_dropped():
    batch = one_seat([[1, 1, 1], [1, -1, 1], [-1, -1, -1], [0, 0, 0], [2, 1, 1]])
    assert Refill().accept(batch, {})["match.seed"].tolist() == [1, 1, 1, 4, 4, 4]


def test_a_band_of_success_rates():
    """SRPO's [.1, .9]: nine of ten is inside, and twelve of thirteen beyond; returns that differ are not enough."""
    batch = one_seat([[1] * 9 + [-1], [1] * 12 + [-1], [2, 1, 1, 1], [-1, 0]])
    kept = Refill(low=0.1, high=0.9).accept(batch, {})
    assert np.unique(kept["match.seed"]).tolist() == [0, 3]


def test_a_seat_of_equal_returns_is_not_learned_from_beside_one_that_is():
    batch = batch_of([[[1.0], [5.0]], [[0.0], [5.0]]]).with_columns(**{"match.seed": np.zeros(2, np.uint64)})
    batch = batch.with_columns(**{"seat.return": np.asarray([1.0, 5, 0, 5])})
    assert Refill().accept(batch, {})["turn.learn"].tolist() == [True, False, True, False]


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from([-1, 1]), min_size=2, max_size=4), min_size=1, max_size=6))
def test_a_filter_is_no_reweighting(groups):
    """Groups that ended alike have advantage 0, and still count in the mean over tokens: without them it is larger by their share."""
    batch = one_seat(groups)
    kept = Refill().accept(batch, {})
    gain, left = (np.abs(Terms().assign(one, {}).advantage) for one in (batch, kept))
    assert gain.sum() == pytest.approx(left.sum())
    if len(left):
        assert left.mean() * len(left) / len(gain) == pytest.approx(gain.mean())
    assert len(kept) == sum(len(group) for group in groups if len(set(group)) > 1)


def run(sampler):
    algorithm = Composed(replace(recipe, sampler=sampler), SETUP)
    return played(algorithm, 0, AgentPool(algorithm.agents), registry.game, in_flight=512), algorithm


def deals(batch: Batch) -> int:
    return len(np.unique(batch["match.seed"]))


def test_more_deals_are_played_until_enough_differ():
    """Two matches a deal end alike about half of the time, so that a plain plan of 32 deals keeps far fewer."""
    sampler = Refill(inner=Groups(deals=32, size=2), most=8)
    batch, algorithm = run(sampler)
    first = batch.take(np.arange(64))
    assert deals(sampler.accept(first, {})) < 28
    assert 32 <= deals(sampler.accept(batch, {})) <= 40
    assert deals(batch) * 2 == len(batch), "no deal is played twice over"
    assert algorithm.learn(batch)["accepted"] == pytest.approx(len(sampler.accept(batch, {})) / len(batch))


def test_no_more_than_asked_for():
    """Alone on its deal no match ever differs: three times the plan is played, and nothing is learned."""
    batch, algorithm = run(Refill(inner=Groups(deals=8, size=1), most=3))
    assert len(batch) == 24
    assert algorithm.learn(batch) == {"accepted": 0.0}
