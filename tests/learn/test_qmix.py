"""What QMIX, VDN and CW-QMIX make of the two-step game and of payoff tables, over seeds that nothing was tuned on.

The published tables (Son et al. 2019; Claus and Boutilier 1998) are fitted with all entries counting alike; the bars are analytic
or were computed apart from this code.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from algorithms.qmix import QMIX
from tests.algorithms.fits import TABLES, UNIFORM, first_values, fitted, greedy_return, trained

pytestmark = pytest.mark.learn
SEEDS = range(20)


def test_the_two_step_game_over_five_seeds():
    """Discounted by 0.99: QMIX fits 6.93 and 7.92 and plays 8; VDN fits 6.93 and 6.435 and plays 7."""
    for seed in range(5):
        qmix = trained(UNIFORM, "two_step", seed)
        assert first_values(qmix) == pytest.approx((6.93, 7.92), abs=0.02)
        assert greedy_return(qmix) == 8.0
        vdn = trained(replace(UNIFORM, mixer="vdn", horizon=300, lr=1e-3), "two_step", seed)
        print(f"seed {seed}: QMIX {first_values(qmix)}, VDN {first_values(vdn)}")
        assert first_values(vdn) == pytest.approx((6.93, 6.435), abs=0.25)
        assert greedy_return(vdn) == 7.0


def test_tables_under_uniform_data():
    """Monotone mixtures miss the best joint action 20 times in 20, the weights of CW-QMIX find it."""
    for weight in (1.0, 0.1):
        _, paid, sse = fitted(list(TABLES.values()), SEEDS, 6000, weight)
        for k, name in enumerate(TABLES):
            print(f"weight {weight}, {name}: greedy payoffs {sorted(paid[k].tolist())}, SSE {sse[k].min():.1f} to {sse[k].max():.1f}")
        if weight == 1.0:
            assert (paid == np.asarray([[0.0], [5.0], [2.0]])).all()
            assert sse[0] == pytest.approx(320, abs=0.5)
        else:
            assert (paid == np.asarray([[8.0], [11.0], [10.0]])).all()


@pytest.mark.parametrize(("weight", "paid"), [(1.0, 0.0), (0.1, 8.0)])
def test_the_algorithm_on_the_table(weight, paid):
    """The same by play, replay and a learned critic."""
    settings = replace(UNIFORM, horizon=300, weight=weight, critic=64)
    for seed in range(5):
        assert greedy_return(trained(settings, "matrix(payoffs=qmix)", seed)) == paid, f"seed {seed}"


def test_climbing_with_weights():
    settings = QMIX(lam=0, horizon=300, matches=64, updates=6, batch=64, hidden=(32,), lr=3e-3, weight=0.1, epsilon_last=1.0, critic=64)
    paid = [greedy_return(trained(settings, "matrix(payoffs=climbing)", seed)) for seed in range(5)]
    print(f"climbing, weight 0.1: greedy payoffs {paid}")
    assert paid == [11.0] * 5
