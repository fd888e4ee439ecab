"""Estimators of published methods against their worked numbers, and the properties that define them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithms.agreement import Consistency, entropy
from algorithms.contrast import Contrast
from algorithms.estimators import Centre, LeaveOneOut, Raw, Standardise
from algorithms.tail import Tail
from algorithms.terms import Term, Terms, Whiten
from tests.algorithms.batches import group_of_matches

outcomes = st.lists(st.floats(-3, 3), min_size=2, max_size=9)


def advantage(estimator, batch, memory=None, **term):
    return Terms(terms=(Term(estimator=estimator, **term),)).assign(batch, {} if memory is None else memory).advantage


def test_leave_one_out():
    assert advantage(LeaveOneOut(), group_of_matches([1, 0, 0, 0])) == pytest.approx([1, -1 / 3, -1 / 3, -1 / 3])
    assert advantage(LeaveOneOut(), group_of_matches([2.0])).tolist() == [2], "alone, the outcome stays as it is"


@given(outcomes)
def test_the_relatives_of_grpo(rewards):
    """RLOO = N / (N - 1) (r - mean); Dr. GRPO / deviation = GRPO; ddof 0 is sqrt(N / (N - 1)) times ddof 1."""
    batch, n = group_of_matches(rewards), len(rewards)
    centred = advantage(Centre(), batch)
    assert advantage(LeaveOneOut(), batch) == pytest.approx(n / (n - 1) * centred, abs=1e-9)
    if np.std(rewards) > 1e-3:
        grpo = advantage(Standardise(eps=0), batch)
        assert centred / np.std(rewards, ddof=1) == pytest.approx(grpo)
        assert advantage(Standardise(eps=0, ddof=0), batch) == pytest.approx(np.sqrt(n / (n - 1)) * grpo)


def test_a_shifted_baseline():
    """AsymRE: a baseline 0.1 below the mean lets more count as good."""
    assert advantage(Centre(shift=-0.1), group_of_matches([1, 0, 0, 1])) == pytest.approx([0.6, -0.4, -0.4, 0.6])


def test_reinforce_plus_plus():
    batch = group_of_matches([1, 0, 0, 0, 1, 1, 1, 0], [0, 0, 0, 0, 1, 1, 1, 1])
    plain = Terms(terms=(Term(value="to_go", group=(), estimator=Raw()),), finish=(Whiten(),)).assign(batch, {}).advantage
    assert plain == pytest.approx(0.93541 * np.asarray([1, -1, -1, -1, 1, 1, 1, -1]), abs=1e-5)
    based = Terms(terms=(Term(estimator=Centre()),), finish=(Whiten(),)).assign(batch, {}).advantage
    assert based == pytest.approx([1.62019, *[-0.54006] * 3, *[0.54006] * 3, -1.62019], abs=1e-5)


def test_without_a_group_a_won_deal_still_teaches():
    batch = group_of_matches([1, 1, 0, 0], [0, 0, 1, 1])
    plain, based = (
        Terms(terms=(Term(value="to_go", group=group, estimator=estimator),), finish=(Whiten(),)).assign(batch, {}).advantage
        for group, estimator in (((), Raw()), (("deal", "seat"), Centre()))
    )
    assert plain == pytest.approx([0.866025, 0.866025, -0.866025, -0.866025], abs=1e-5)
    assert based.tolist() == [0] * 4


@given(outcomes, st.floats(0.1, 9), st.floats(-9, 9))
def test_a_scale_and_a_group_s_constant_do_nothing_under_a_deviation(rewards, scale, shift):
    """SRPO's factor of 5, a bonus for the task, a verifier's constant correction."""
    if np.std(rewards) > 1e-3:
        changed = group_of_matches((np.asarray(rewards) * scale + shift).tolist())
        assert advantage(Standardise(eps=0), changed) == pytest.approx(advantage(Standardise(eps=0), group_of_matches(rewards)), abs=1e-6)


def by_metric(rewards, metric, name="turn.entropy"):
    return group_of_matches(rewards, columns={name: np.asarray(metric, float)})


def test_contrast_by_hand():
    """r = [1,1,1,0] in ascending metric: across [.5,.5,0,-1], inside [0,0,.5,-.5]."""
    batch = by_metric([1, 1, 1, 0], [0.1, 0.2, 0.3, 0.4])
    assert advantage(Contrast(inter=1), batch) == pytest.approx([0.5, 0.5, 0, -1])
    assert advantage(Contrast(inter=0), batch) == pytest.approx([0, 0, 0.5, -0.5])
    assert advantage(Contrast(inter=0.5), batch) == pytest.approx([0.25, 0.25, 0.25, -0.75])
    assert advantage(Contrast(inter=1, alpha=0.8), batch) == pytest.approx([0.3, 0.3, 0.2, -0.8])
    lengths = by_metric([1, 1, 1, 0], [1, 2, 3, 4], "turn.length")
    short = Contrast(metric="turn.length", inter=1, alpha=0.8, favour="low")
    assert advantage(short, lengths) == pytest.approx([1 - 0.8 * 0.5, 0.6, 0.8 - 1, -1]), (
        "short half r - alpha mean, long half alpha r - mean"
    )
    assert advantage(Contrast(), by_metric([3.0], [0.0])).tolist() == [3], "alone"


@given(st.lists(st.tuples(st.floats(-3, 3), st.floats(0, 1)), min_size=2, max_size=8).filter(lambda x: len(x) % 2 == 0))
def test_contrast_of_equal_halves_in_equal_parts_is_the_centred_group(members):
    rewards, metric = zip(*members, strict=True)
    batch = by_metric(list(rewards), metric)
    assert advantage(Contrast(inter=0.5), batch) == pytest.approx(advantage(Centre(), batch), abs=1e-9)


def papers(first, second):
    """Two deals of a bundle; the j-th matches of both are paper j."""
    n = len(first)
    return group_of_matches([*first, *second], [0] * n + [1] * n, {"match.sample": [*range(n), *range(n)]})


def test_tail_by_hand():
    """Sums [2,1,1,0], quantiles .5 and 1.8: mixed [0,-.45714,-.45714,-2.24286], by the bundle's and the deal's deviation below."""
    memory = {"tail/a/0/low": 0.5, "tail/a/0/high": 1.8}
    found = advantage(Tail(), papers([1, 0, 1, 0], [1, 1, 0, 0]), memory)
    assert found[:4] == pytest.approx([0, -0.96975, -0.96975, -4.75782], abs=1e-5)
    assert found[4:] == pytest.approx(found[:4]), "both deals have the same deviation"
    assert memory["tail/a/0/low"] == pytest.approx(0.495), "one of four papers is below"
    assert memory["tail/a/0/high"] == pytest.approx(1.8 + 0.1 * (0.9 - 0.75))


def test_tail_teaches_a_deal_that_was_always_won():
    """[1,0,0,1] beside all wins: sums [2,1,1,2], mixed [0,-.94286,-.94286,0], divided by .57735; the won deal by 1."""
    memory = {"tail/a/0/low": 1.2, "tail/a/0/high": 1.8}
    found = advantage(Tail(), papers([1, 1, 1, 1], [1, 0, 0, 1]), memory)
    assert found[:4] == pytest.approx(np.asarray([0, -0.94286, -0.94286, 0]) / 0.57735, abs=1e-4)
    assert found[4:] == pytest.approx(found[:4] / 0.57735, abs=1e-4)


@given(st.lists(st.integers(0, 3), min_size=12, max_size=12))
def test_tail_only_pushes_away(rewards):
    batch = group_of_matches(rewards, [d for d in range(3) for _ in range(4)], {"match.sample": [*range(4)] * 3})
    memory = {}
    assert advantage(Tail(bundle=2), batch, memory).max() <= 1e-9
    assert memory["tail/a/0/low"] <= memory["tail/a/0/high"] + 0.1


def answered(rewards, answers, deals=None):
    return group_of_matches(rewards, deals, {"turn.action": np.asarray(answers)})


@pytest.mark.parametrize(
    ("answers", "nats", "weight"),
    [([0, 0, 0, 1], 0.562335, 0.0), ([0, 1, 2, 3, 4, 5], 1.791759, 0.997086), ([0, 0, 0, 1, 2, 3], 1.242453, 0.005761)],
)
def test_consistency_weighs_by_entropy(answers, nats, weight):
    n = len(answers)
    zeros, counted = np.zeros(n, np.int64), np.ones(n, bool)
    assert entropy(zeros, np.asarray(answers), counted) == pytest.approx([nats] * n, abs=1e-6)
    batch = answered([1.0, *[0.0] * (n - 1)], answers)
    local = advantage(Standardise(), batch)
    assert advantage(Consistency(), batch) == pytest.approx(weight * local, abs=1e-5), "one group has no others to compare with"


def test_consistency_among_groups():
    """Means 1, .5, 0 of three groups that each agree: [1.22474, 0, -1.22474] for all their members."""
    batch = answered([1, 1, 1, 0, 0, 0], [0] * 6, [0, 0, 1, 1, 2, 2])
    assert advantage(Consistency(), batch) == pytest.approx([1.22474, 1.22474, 0, 0, -1.22474, -1.22474], abs=1e-5)


@given(outcomes)
def test_consistency_at_weight_one_is_grpo(rewards):
    batch = answered(rewards, [0] * len(rewards))
    assert advantage(Consistency(threshold=-100), batch) == pytest.approx(advantage(Standardise(), batch), abs=1e-9)


@given(st.floats(-3, 3), st.integers(2, 8))
def test_a_group_of_equal_outcomes_teaches_nothing(reward, n):
    batch = answered([reward] * n, range(n)).with_columns(**{"turn.entropy": np.arange(n) / n})
    for estimator in (Centre(), Standardise(), LeaveOneOut(), Contrast(), Consistency()):
        assert advantage(estimator, batch) == pytest.approx([0] * n, abs=1e-6)
