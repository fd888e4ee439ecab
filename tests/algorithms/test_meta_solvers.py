"""Meta-solvers against closed forms, their own certificates and OpenSpiel's dynamics."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from open_spiel.python.algorithms.projected_replicator_dynamics import projected_replicator_dynamics as open_spiels

from algorithms.meta_solvers import _project, gap, nash, projected_replicator, uniform, values
from marl_llm.seeding import generator

ROCK_PAPER_SCISSORS = np.asarray([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]])
BIASED = np.asarray([[0.0, -1, 2], [1, 0, -1], [-2, 1, 0]])  # rock breaks scissors for two: equilibrium 1/4, 1/2, 1/4


def zero_sum(table):
    return np.stack([table, -np.asarray(table)])


@pytest.mark.parametrize(
    ("table", "row", "column"),
    [
        (ROCK_PAPER_SCISSORS, [1 / 3] * 3, [1 / 3] * 3),
        (BIASED, [1 / 4, 1 / 2, 1 / 4], [1 / 4, 1 / 2, 1 / 4]),
        ([[3.0, 1], [0, 2]], [1 / 2, 1 / 2], [1 / 4, 3 / 4]),
        ([[7.0]], [1], [1]),
        ([[1.0, 2], [0, 5]], [1, 0], [1, 0]),
        (np.zeros((2, 2)), None, None),
    ],
)
def test_nash_in_closed_form(table, row, column):
    found = nash(zero_sum(np.asarray(table)))
    assert gap(zero_sum(table), found) == pytest.approx(0, abs=1e-12)
    if row is not None:
        assert found == pytest.approx(np.asarray([row, column]))


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 12).flatmap(lambda n: arrays(float, (n, n), elements=st.integers(-3, 3) | st.floats(-1e3, 1e3))))
def test_nash_leaves_no_gain_in_any_table(table):
    found = nash(zero_sum(table))
    assert found.min() >= 0
    assert found.sum(1) == pytest.approx([1, 1])
    assert gap(zero_sum(table), found) <= 1e-9 * max(1.0, np.abs(table).max())


def test_nash_of_a_constant_sum_and_its_refusals():
    shifted = np.stack([BIASED + 4, 3 - BIASED])
    assert nash(shifted) == pytest.approx(nash(zero_sum(BIASED)))
    with pytest.raises(ValueError, match="sum to a constant; got sums from"):
        nash(np.stack([BIASED, BIASED]))
    with pytest.raises(ValueError, match="2 seats; got 3"):
        nash(np.zeros((3, 2, 2, 2)))


def test_the_dynamics_find_what_open_spiels_find():
    payoffs = zero_sum(BIASED)
    ours = projected_replicator(payoffs)
    theirs = np.stack(open_spiels(list(payoffs), prd_iterations=20_000, prd_dt=0.01, average_over_last_n_strategies=10_000))
    assert ours == pytest.approx(np.asarray([[0.25, 0.5, 0.25]] * 2), abs=0.02)
    assert ours == pytest.approx(theirs, abs=0.05)
    assert gap(payoffs, ours) < 0.1


def test_the_dynamics_leave_a_dominated_choice_and_know_any_number_of_seats():
    prisoners = np.asarray([[[3.0, 0], [5, 1]], [[3, 5], [0, 1]]])
    assert projected_replicator(prisoners)[:, 1] == pytest.approx([1, 1], abs=1e-5)
    majority = np.zeros((3, 2, 2, 2))
    for i, j, k in np.ndindex(2, 2, 2):
        majority[:, i, j, k] = [i + (i == j), j + (j == k), 2 * k]
    assert projected_replicator(majority)[:, 1] == pytest.approx([1, 1, 1], abs=1e-5)


def test_values_by_hand_with_three_seats():
    payoffs = generator(1).random((3, 2, 2, 2))
    x = np.asarray([[0.2, 0.8], [0.5, 0.5], [1.0, 0.0]])
    by_hand = sum(x[0, i] * x[2, k] * payoffs[1, i, 1, k] for i in range(2) for k in range(2))
    assert values(payoffs, x)[1, 1] == pytest.approx(by_hand)


def test_projection_is_the_nearest_point():
    x = generator(2).normal(size=(50, 4))
    found = _project(x, 0.01)
    assert found.sum(1) == pytest.approx(np.ones(50))
    assert found.min() >= 0.01 - 1e-12
    others = generator(3).dirichlet(np.ones(4), size=2000) * (1 - 0.04) + 0.01
    distance = np.linalg.norm(x[:, None] - others, axis=2).min(1)
    assert (np.linalg.norm(x - found, axis=1) <= distance + 1e-9).all()


def test_uniform():
    assert uniform(np.zeros((3, 4, 4, 4))).tolist() == [[0.25] * 4] * 3
