"""Returns and advantages against worked numbers and a loop over turns."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithms.returns import advantages, discounted, sampled
from marl_llm.ragged import starts_of
from marl_llm.seeding import generator


def brute(rewards, values, lengths, cut, gamma, lam):
    """The definition: sum over k of (gamma lam)^k delta(t + k), one turn at a time."""
    out, start = [], 0
    for n, is_cut in zip(lengths, cut, strict=True):
        r, v = rewards[start : start + n], [*values[start : start + n], 0.0]
        known = n - 1 if is_cut else n
        delta = [r[t] + gamma * v[t + 1] - v[t] for t in range(known)] + [0.0] * (n - known)
        out += [sum((gamma * lam) ** (k - t) * delta[k] for k in range(t, n)) for t in range(n)]
        start += n
    return np.asarray(out)


def test_discounted_returns_worked():
    assert discounted(np.asarray([1.0, 2, 4, 8, 16]), np.asarray([0, 3, 3, 5]), 0.5).tolist() == [3, 4, 4, 16, 16]


def test_advantages_worked():
    """Two turns, V = (1, 3), r = (0, 2), gamma 0.5, lambda 0.5: deltas 0.5 and -1, so A = (0.5 - 0.25, -1)."""
    args = np.asarray([0.0, 2]), np.asarray([1.0, 3]), np.asarray([0, 2])
    assert advantages(*args, np.asarray([False]), 0.5, 0.5).tolist() == [0.25, -1]


def test_a_cut_match_bootstraps_from_the_value_of_its_last_view():
    """As above, but cut at the second turn: its reward is not known, V = 3 stands for all that follows."""
    args = np.asarray([0.0, 2]), np.asarray([1.0, 3]), np.asarray([0, 2])
    assert advantages(*args, np.asarray([True]), 0.5, 0.5).tolist() == [0.5, 0]
    assert sampled(np.asarray([0, 2, 2, 3]), np.asarray([True, True, False])).tolist() == [True, False, True]


@given(
    lengths=st.lists(st.integers(0, 6), min_size=1, max_size=8),
    seed=st.integers(0, 2**32),
    gamma=st.sampled_from([0.0, 0.9, 1.0]),
    lam=st.sampled_from([0.0, 0.7, 1.0]),
)
def test_advantages_equal_the_loop(lengths, seed, gamma, lam):
    rng, n = generator(seed), sum(lengths)
    rewards, values, cut = rng.normal(size=n), rng.normal(size=n), rng.random(len(lengths)) < 0.4
    got = advantages(rewards, values, starts_of(np.asarray(lengths)), cut, gamma, lam)
    assert got == pytest.approx(brute(rewards, values, lengths, cut, gamma, lam), abs=1e-12)


def test_with_lambda_one_advantage_is_return_minus_value():
    rng, starts = generator(3), np.asarray([0, 4, 5, 9])
    rewards, values = rng.normal(size=9), rng.normal(size=9)
    got = advantages(rewards, values, starts, np.zeros(3, bool), 0.9, 1.0)
    assert got == pytest.approx(discounted(rewards, starts, 0.9) - values, abs=1e-12)
