"""Negotiation: pots, private values and claims as the rules say, and duplicate deals."""

from __future__ import annotations

import numpy as np
import pytest

from games.negotiation import KINDS, POTS, WORTH, DivisionState, worths
from marl_llm import registry
from marl_llm.agents.pool import AgentPool
from marl_llm.check import check_game
from marl_llm.errors import UserError
from marl_llm.matches import self_play
from marl_llm.play import play
from marl_llm.records import PLAYED, Batch

TWO = DivisionState(2, (1, 2, 3), ((1, 3, 1), (4, 3, 0)))


def claim(state, **items):
    text = ", ".join(f"{kind} {items.get(kind, 0)}" for kind in KINDS)
    return next(action for action in state.legal(0) if state.action_text(0, action) == text)


@pytest.mark.parametrize("spec", ["negotiation", "negotiation(seats=4,turns=1)", "negotiation(turns=0)"])
def test_contract(spec):
    report = check_game(registry.game(spec), matches=4)
    report.require()
    assert {"chance", "clone", "resample", "perfect_recall", "returns"} <= {f.rule for f in report.findings if f.holds}


def test_every_pot_has_five_to_seven_items_worth_ten():
    assert len(POTS) == 31
    for pot in POTS:
        assert 5 <= sum(pot) <= 7
        assert min(pot) >= 1
        assert all(np.dot(value, pot) == WORTH for value in worths(pot))
        assert len(worths(pot)) > 1, "values are private"
    assert sorted(worths((2, 2, 2))) == sorted((a, b, 5 - a - b) for a in range(6) for b in range(6 - a))


@pytest.mark.parametrize(
    ("one", "two", "paid"),
    [
        ({"hats": 2}, {"books": 1}, (6, 4)),
        ({"hats": 2, "balls": 3}, {"books": 1}, (9, 4)),
        ({"hats": 2}, {"hats": 1}, (0, 0)),
        ({}, {"books": 1, "hats": 2, "balls": 3}, (0, 10)),
        ({"books": 1, "hats": 1}, {"books": 1}, (0, 0)),
    ],
)
def test_claims_that_fit_are_paid_by_own_values(one, two, paid):
    state = TWO.clone()
    assert len(state.legal(0)) == 2 * 3 * 4, "no claim of more than there is"
    state.apply({0: claim(state, **one), 1: claim(state, **two)})
    assert state.to_act() == ()
    assert tuple(state.returns()) == paid


def test_a_seat_sees_its_own_values_only():
    assert TWO.view(0).text == "You are player 1. The pot: books 1, hats 2, balls 3. Worth to you, each: books 1, hats 3, balls 1."
    other = DivisionState(2, TWO.pot, ((1, 3, 1), (0, 5, 0)))
    assert other.view(0).key == TWO.view(0).key
    assert other.view(1).key != TWO.view(1).key
    assert other.view(1).vector.tolist() == pytest.approx([0.2, 0.4, 0.6, 0, 0.5, 0])
    assert len({TWO.resample(0, seed).values for seed in range(60)}) > 10
    assert {TWO.resample(1, seed).values[1] for seed in range(20)} == {(4, 3, 0)}


def test_deals_are_equal_whatever_is_said():
    agents = AgentPool()
    batches = [
        Batch.concat(play(self_play(spec, "random", 2, 30, 5), agents, registry.game))
        for spec in ("negotiation(turns=0)", "negotiation", "negotiation(turns=3,words=5)")
    ]
    deals = []
    for batch in batches:
        assert (batch["match.end"] == PLAYED).all()
        first = batch["turn.action"] >= 0
        keys = [batch.tables["key"][code].split("\n")[0] for code in batch["turn.key"][first].tolist()]
        deals.append(keys)
    assert deals[0] == deals[1] == deals[2]
    assert len(set(deals[0])) > 40


@pytest.mark.parametrize("spec", ["negotiation(seats=1)", "negotiation(turns=-1)", "negotiation(words=0)"])
def test_refusals(spec):
    with pytest.raises(UserError, match=r"negotiation: \w+ is .*; expected an integer of at least"):
        registry.game(spec)
