"""Gaussian squeeze: the best sum is the formula's, and seats see the mean of the others' choices."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

from games.squeeze import Squeeze
from marl_llm import registry
from marl_llm.check import check_game
from marl_llm.errors import UserError


@pytest.mark.parametrize(("mu", "sigma"), [(400, 200), (200, 100)])
def test_the_best_sum(mu, sigma):
    game = Squeeze(seats=100, mu=mu, sigma=sigma)
    best = (mu + sqrt(mu**2 + 2 * sigma**2)) / 2
    assert np.argmax(game.paid(np.arange(901))) == round(best)
    assert game.optimum() == pytest.approx(best * np.exp(-(((best - mu) / sigma) ** 2)), abs=0.01)
    assert Squeeze(seats=100).optimum() == pytest.approx(423.03, abs=0.01)


def test_a_round_by_hand():
    state = registry.game("squeeze(seats=3,mu=10,sigma=5,rounds=2)").start(0)
    assert state.view(0).vector == pytest.approx([0.1] * 10)
    state.apply({0: 3, 1: 3, 2: 9})
    assert state.returns() == pytest.approx([15 * np.exp(-1)] * 3)
    assert np.flatnonzero(state.view(2).vector).tolist() == [3]
    assert state.view(0).vector[[3, 9]] == pytest.approx([0.5, 0.5])


def test_it_keeps_the_rules():
    check_game(registry.game("squeeze(seats=3,rounds=3)")).require()


def test_what_cannot_be_is_refused():
    with pytest.raises(UserError, match="squeeze: sigma is 0; expected a number above 0"):
        Squeeze(sigma=0)
