"""The Ising model as a game: gains of neighbours, the rules, and that the heat bath has Onsager's magnetisation."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from games.ising import CRITICAL, magnetisation
from marl_llm import registry
from marl_llm.agent import Immediate, sampled
from marl_llm.check import check_game
from marl_llm.matches import self_play
from marl_llm.play import play
from marl_llm.ragged import Ragged
from marl_llm.records import Batch


class HeatBath(Immediate):
    """Spins in proportion to exp(gain / tau)."""

    def __init__(self, tau):
        super().__init__()
        self.tau = tau

    def decide(self, request):
        field = 8 * request.views.vectors()[:, 1] - 4
        up = 1 / (1 + np.exp(-2 * field / self.tau))
        return sampled(request, Ragged(np.stack([1 - up, up], 1).ravel(), request.legal.starts))


def test_a_round_by_hand():
    state = registry.game("ising(side=3,rounds=2)").start(0)
    state.apply({seat: int(seat in (0, 1, 4)) for seat in range(9)})  # sites (0, 0), (0, 1), (1, 1) are up
    assert state.returns() == [-2, 0, 0, 0, -2, 2, 2, 0, 4]
    assert state.view(1).vector.tolist() == [0.5, 0.5]
    assert state.view(4).vector.tolist() == [0.75, 0.25]


def test_known_magnetisations():
    assert pytest.approx(2.269, abs=1e-3) == CRITICAL
    assert [magnetisation(tau) for tau in (1.0, 2.0, 2.3)] == pytest.approx([0.9993, 0.9113, 0.0], abs=1e-4)


def test_it_keeps_the_rules():
    check_game(registry.game("ising(side=3,rounds=3)")).require()


@pytest.mark.parametrize(("tau", "within"), [(1.5, 0.01), (2.0, 0.03)])
def test_the_heat_bath_has_onsagers_magnetisation(tau, within):
    spec = "ising(side=20,rounds=60)"
    plan = self_play(spec, "bath", 400, 8, 0)
    batch = Batch.concat(play(plan, SimpleNamespace(resolve=lambda player: HeatBath(tau)), registry.game, keys=False))
    late = batch["turn.index"] >= 30
    assert 2 * batch["turn.action"][late].mean() - 1 == pytest.approx(magnetisation(tau), abs=within)
