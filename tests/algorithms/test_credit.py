"""The house estimator against numbers worked by hand, a loop, and the properties that define it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.credit import TurnLevel
from algorithms.groups import return_to_go
from tests.algorithms.batches import batch_of

PLAIN = TurnLevel(shrink=0.0, baseline="turn")


def test_per_turn_return_to_go():
    """Turn rewards [0,0,1] and [0,1,0] have returns-to-go [1,1,1] and [1,1,0]; only the last turns differ from the other match's."""
    batch = batch_of([[[0, 0, 1]], [[0, 1, 0]]])
    assert return_to_go(batch, "turn.game").tolist() == [1, 1, 1, 1, 1, 0]
    assert PLAIN.assign(batch, {}).advantage.tolist() == [0, 0, 1, 0, 0, -1]


def test_seats_do_not_share_a_baseline():
    """Four zero-sum games, seat 0 scoring 1, 1, 1, -1: leave-one-out is N/(N-1) times the per-seat centred [.5, .5, .5, -1.5]."""
    batch = batch_of([[[r], [-r]] for r in (1, 1, 1, -1)])
    centred = np.asarray([[0.5, 0.5, 0.5, -1.5], [-0.5, -0.5, -0.5, 1.5]])
    assert pytest.approx(4 / 3 * centred) == PLAIN.assign(batch, {}).advantage.reshape(4, 2).T


def test_games_do_not_share_a_baseline():
    batch = batch_of([[[5.0]], [[5.0]], [[-1.0]], [[-1.0]]], games=[0, 0, 1, 1])
    assert PLAIN.assign(batch, {}).advantage.tolist() == [0, 0, 0, 0]


def test_a_small_cell_is_shrunk_to_the_seat():
    """One match goes on to a second turn, whose cell holds that turn alone: its baseline is that of the seat's other turns."""
    batch = batch_of([[[0, 4.0]], [[1.0]], [[3.0]]])
    alone = TurnLevel(shrink=2.0, baseline="turn").assign(batch, {}).advantage[1]
    assert alone == pytest.approx(4 - (4 + 1 + 3) / 3)
    assert PLAIN.assign(batch_of([[[7.0]]]), {}).advantage.tolist() == [7.0], "a turn alone in every cell has baseline 0"


def test_what_is_not_learned_from_counts_nowhere():
    batch = batch_of([[[1.0]], [[1.0]], [[100.0]]])
    batch = batch.with_columns(**{"turn.learn": np.asarray([True, True, False])})
    assert PLAIN.assign(batch, {}).advantage.tolist() == [0, 0, 0]


turns = st.lists(st.floats(-4, 4), max_size=4)
matches = st.lists(st.tuples(turns, turns).map(list), min_size=1, max_size=8)


@settings(deadline=None)
@given(matches, st.one_of(st.just(0.0), st.floats(0.01, 8)))
def test_equal_to_a_loop(rewards, shrink):
    batch = batch_of(rewards)
    rows = [(s, k, sum(own[k:])) for match in rewards for s, own in enumerate(match) for k in range(len(own))]
    expected = []
    for i, (s, k, gain) in enumerate(rows):
        cell = [g for j, (t, m, g) in enumerate(rows) if j != i and (t, m) == (s, k)]
        seat = [g for j, (t, _, g) in enumerate(rows) if j != i and t == s]
        wide = sum(seat) / len(seat) if seat else 0.0
        weight = len(cell) + shrink
        expected.append(gain - ((sum(cell) + shrink * wide) / weight if weight > 1e-9 else 0.0))
    assert TurnLevel(shrink=shrink, baseline="turn").assign(batch, {}).advantage == pytest.approx(np.asarray(expected), abs=1e-6)


@given(st.floats(-10, 10))
def test_a_constant_added_to_every_outcome_changes_nothing(shift):
    outcomes = np.random.default_rng(3).normal(size=(6, 2))
    a, b = (PLAIN.assign(batch_of([[[x + d], [y + d]] for x, y in outcomes]), {}).advantage for d in (0.0, shift))
    assert a == pytest.approx(b, abs=1e-9)
