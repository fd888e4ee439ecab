"""What QMIX, VDN and CW-QMIX make of the two-step game and of payoff tables, over seeds that nothing was tuned on.

The published tables (Son et al. 2019; Claus and Boutilier 1998) are fitted with all entries counting alike; the bars are analytic
or were computed apart from this code.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.algorithms.fits import TABLES, UNIFORM, first_values, fitted, greedy_return, trained

pytestmark = pytest.mark.learn
SEEDS = range(20)


def test_the_two_step_game_over_five_seeds():
    """Discounted by 0.99: QMIX fits 6.93 and 7.92 and plays 8; VDN fits 6.93 and 6.435 and plays 7."""
    for seed in range(5):
        qmix, vdn = (
            trained(UNIFORM, "two_step", seed),
            trained(replace(UNIFORM, mixer="vdn", horizon=200, lr=1e-3, batch=256), "two_step", seed),
        )
        mixed, added = first_values(qmix), first_values(vdn)
        print(f"seed {seed}: QMIX {mixed}, VDN {added}", flush=True)
        assert mixed == pytest.approx((6.93, 7.92), abs=0.02)
        assert added == pytest.approx((6.93, 6.435), abs=0.25)
        assert greedy_return(qmix) == 8.0
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


@pytest.mark.parametrize(("payoffs", "weight", "paid"), [("qmix", 1.0, 0.0), ("qmix", 0.1, 8.0), ("climbing", 0.1, 11.0)])
def test_the_algorithm_on_tables(payoffs, weight, paid):
    """The same by play, replay and, with weights, a learned critic."""
    settings = replace(UNIFORM, horizon=200, batch=512, weight=weight, critic=64)
    returned = [greedy_return(trained(settings, f"matrix(payoffs={payoffs})", seed)) for seed in range(3)]
    print(f"{payoffs}, weight {weight}: {returned}", flush=True)
    assert returned == [paid] * 3
