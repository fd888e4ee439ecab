"""Swarms: hand-made rules return what they are known to, rows do not depend on their company, and large swarms step quickly."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from games.swarms.alignment import Alignment, neighbourhood
from games.swarms.motion import histogram
from marl_llm import registry
from marl_llm.agent import Immediate, Request, answer
from marl_llm.check import check_game
from marl_llm.errors import UserError
from marl_llm.matches import self_play
from marl_llm.play import play
from marl_llm.records import Batch

Rule = Callable[[Any], Any]


class Ruled(Immediate):
    """Does what a rule makes of the view."""

    def __init__(self, rule: Rule) -> None:
        super().__init__()
        self.rule = rule

    def decide(self, request: Request):
        return answer(request, self.rule(request.views.vectors()).clip(-1, 1).astype(np.float32))


def returns(spec: str, rule: Rule, matches: int = 5) -> Any:
    plan = self_play(spec, "rule", registry.game(spec).info.seats, matches, 0)
    batch = Batch.concat(play(plan, SimpleNamespace(resolve=lambda player: Ruled(rule)), registry.game, in_flight=matches))
    return batch["seat.return"].reshape(matches, -1)[:, 0]


@pytest.mark.parametrize(
    ("spec", "gain", "known", "within"),
    [
        ("aggregation", 0, -154.2, 5),
        ("aggregation", -1, -16.7, 1),
        ("aggregation", -5, -11.8, 1),
        ("aggregation(noise=0.5)", -1, -28.7, 1),
    ],
)
def test_aggregation_by_hand(spec, gain, known, within):
    """The rule u = gain * position, for which the view is scaled back."""
    assert returns(spec, lambda seen: 2 * gain * seen).mean() == pytest.approx(known, abs=within)


@pytest.mark.parametrize(("spec", "low", "high"), [("vicsek", 88, 94), ("kuramoto", 60, 95)])
def test_aligning_by_hand(spec, low, high):
    """Known: nothing done 6.7 and 7.6; the rule u = angle to the neighbours 91.1 and, with twisted states that stay, 71.5 (sd 26)."""
    assert returns(spec, lambda seen: 0 * seen).mean() == pytest.approx(7, abs=3)
    assert low < returns(spec, lambda seen: np.pi * seen).mean() < high


@pytest.mark.parametrize("spec", ["aggregation(seats=2,noise=0.5)", "vicsek(seats=2)", "kuramoto(seats=2)"])
def test_they_keep_the_rules(spec):
    check_game(registry.game(spec), matches=1).require()


def test_what_is_near_on_a_torus():
    place = np.asarray([[[0.05, 0.5], [0.95, 0.5], [0.5, 0.5], [0.05, 0.3]]], np.float32)
    heading = np.asarray([[[1, 0], [2, 0], [4, 0], [8, 0]]], np.float32)
    assert neighbourhood(place, heading)[0, :, 0].tolist() == [1 + 2 + 8, 1 + 2 + 8 * (0.1**2 + 0.2**2 < 0.0625), 4, 1 + 2 + 8]
    game = Alignment("vicsek", 4, 0.0)
    at = {"seed": np.zeros(1, np.uint64), "step": np.zeros(1), "place": place, "angle": np.asarray([[3.0, -3.0, 0.0, 3.0]])}
    seen = np.pi * game.observe(at)[0, :, 0]
    middle = np.angle(2 * np.exp(3j) + np.exp(-3j))
    assert seen == pytest.approx([middle - 3, middle + 3 - 2 * np.pi, 0, middle - 3], abs=1e-5)


def test_the_table_is_where_the_swarm_is():
    shares = histogram(np.asarray([[[0.0, 0.0], [1.0, 0.0], [0.5, 0.99]], [[0.0, 0.0]] * 3]))
    assert np.flatnonzero(shares[0]).tolist() == [0, 6, 6 * 7 + 3]
    assert shares[1, 0] == 1
    assert shares.sum(1) == pytest.approx([1, 1])


def test_a_match_does_not_depend_on_its_company():
    alone, company = returns("vicsek(seats=20)", lambda seen: seen, 1), returns("vicsek(seats=20)", lambda seen: seen, 4)
    assert alone[0] == company[0]
    assert len(set(company.tolist())) == 4


def test_a_thousand_seats_step_quickly():
    began = perf_counter()
    assert returns("vicsek(seats=1000)", lambda seen: np.pi * seen, 1)[0] > 85
    assert perf_counter() - began < 15


def test_what_cannot_be_is_refused():
    with pytest.raises(UserError, match="aggregation: seats is 1; expected an integer of 2 to 100000"):
        registry.game("aggregation(seats=1)")
    with pytest.raises(UserError, match="aggregation: noise is -1; expected a number of at least 0"):
        registry.game("aggregation(noise=-1)")
