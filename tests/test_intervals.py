"""Intervals cover the truth about as often as they say."""

import math

import numpy as np
import pytest

from marl_llm import intervals
from marl_llm.seeding import generator

RUNS = 1500


def covers(interval: intervals.Interval, truth: float) -> bool:
    return interval.low <= truth <= interval.high


@pytest.mark.parametrize(("deals", "luck"), [(5, 1.0), (40, 1.0), (40, 0.0)])
def test_clustered_mean_covers_at_its_level(deals, luck):
    rng, seatings = generator(1, deals), 6
    hits = naive = 0
    for _ in range(RUNS):
        values = 0.3 + luck * rng.normal(size=(deals, 1)) + rng.normal(size=(deals, seatings))
        of = np.repeat(np.arange(deals), seatings)
        hits += covers(intervals.mean(values.ravel(), of), 0.3)
        naive += covers(intervals.mean(values.ravel()), 0.3)
    assert 0.93 < hits / RUNS < 0.97
    assert (naive / RUNS < 0.85) == (luck > 0)  # forgetting that matches share a deal is what the clusters are for


def test_groups_are_independent_of_each_other():
    rng = generator(2)
    values, deals, group = rng.normal(size=60), rng.integers(0, 9, 60), rng.integers(0, 3, 60)
    for g, interval in enumerate(intervals.means(values, deals, group, 4)[:3]):
        mine = group == g
        assert np.allclose(interval, intervals.mean(values[mine], deals[mine]))
    empty = intervals.means(values, deals, group, 4)[3]
    assert empty.n == 0
    assert math.isnan(empty.mean)
    assert empty.json() == {"mean": None, "low": None, "high": None, "games": 0}


def test_one_deal_gives_no_interval():
    assert intervals.mean([1.0, 3.0], [7, 7]) == (2.0, -math.inf, math.inf, 2)


@pytest.mark.parametrize(("p", "n"), [(0.02, 50), (0.5, 20), (0.9, 200)])
def test_wilson_covers_at_its_level(p, n):
    wins = generator(3, n).binomial(n, p, size=4000)
    assert 0.92 < np.mean([covers(intervals.proportion(int(w), n), p) for w in wins]) < 0.985


def test_wilson_by_hand():
    mean, low, high, n = intervals.proportion(8, 10)
    assert (mean, n) == (0.8, 10)
    assert low == pytest.approx(0.4902, abs=1e-4)  # Newcombe (1998), table of Wilson limits
    assert high == pytest.approx(0.9433, abs=1e-4)
    assert intervals.proportion(0, 0)[1:3] == (0.0, 1.0)


def test_bootstrap_covers_at_its_level():
    rng, hits = generator(4), 0
    for run in range(300):
        totals = rng.exponential(size=(60, 2))  # the ratio of two sums, for which no formula is at hand
        draws = intervals.resampled(totals, 300, seed=run)
        low, high = intervals.quantiles(draws[:, 0] / draws[:, 1])
        hits += low <= 1.0 <= high
    assert 0.90 < hits / 300 < 0.98


def test_many_deals_are_resampled_in_blocks():
    deal, count = intervals.units(np.arange(2500))
    assert count == intervals.BLOCKS
    assert np.bincount(deal).tolist() == [3] * 500 + [2] * 500


def test_student_quantiles():
    expected = {1: 12.7062, 2: 4.3027, 3: 3.1824, 5: 2.5706, 10: 2.2281, 30: 2.0423, 1000: 1.9623}  # any table of t
    assert intervals.student(list(expected)) == pytest.approx(list(expected.values()), rel=0.005)
