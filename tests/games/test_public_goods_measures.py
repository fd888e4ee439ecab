"""Measures of public goods on numbers worked by hand, and on batches of played matches."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from games.public_goods.game import PublicGoods
from games.public_goods.measures import efficiency, free_rider_rate, gifts_of, gini, welfare
from games.public_goods.solver import optimum, subgame_perfect
from marl_llm import registry
from marl_llm.agent import ILLEGAL, OK, Decision, Immediate, Request
from marl_llm.agents.random import RandomAgent
from marl_llm.matches import HOUSE_RULES, Rules, round_robin
from marl_llm.play import play
from marl_llm.records import Batch


def test_welfare_and_efficiency() -> None:
    """Four seats, return 0.5: nothing given is 4 together, everything 8. Half of it, or all from half of them, is halfway."""
    game = PublicGoods(seats=4, mpcr=0.5, levels=10)
    gains = game.payoff(np.asarray([[0, 0, 0, 0], [5, 5, 5, 5], [10, 10, 0, 0], [10, 10, 10, 10], [10, 0, 0, 0]]))
    np.testing.assert_allclose(welfare(gains), [4, 6, 6, 8, 5])
    share = efficiency(gains, game.payoff(np.zeros(4, int)), game.payoff(optimum(game)))
    np.testing.assert_allclose(share, [0, 0.5, 0.5, 1, 0.25])


def test_efficiency_beside_an_equilibrium_in_turn() -> None:
    """Synergy 1.5, three seats, return 0.6: the equilibrium 0.3, 1, 1 has welfare 7.24, the optimum of all giving all 9.9. Nothing
    given, 3, is worse than the equilibrium."""
    game = PublicGoods(seats=3, levels=10, mpcr=0.6, synergy=1.5, observe="full")
    selfish, best = subgame_perfect(game).returns, game.payoff(optimum(game))
    np.testing.assert_allclose([welfare(selfish), welfare(best)], [7.24, 9.9])
    nothing = efficiency(game.payoff(np.zeros(3, int)), selfish, best)
    np.testing.assert_allclose(nothing, (3 - 7.24) / (9.9 - 7.24))


def test_efficiency_where_there_is_nothing_to_gain() -> None:
    assert np.isnan(efficiency(np.ones(3), np.ones(3), np.ones(3)))


def test_gini() -> None:
    """Of 1, 2, 3, 4 the mean difference is 20/16 and twice the mean 5; one who has all of four has 3/4."""
    np.testing.assert_allclose(gini(np.asarray([[1, 2, 3, 4.0], [0, 0, 0, 8], [2, 2, 2, 2], [0, 0, 0, 0]])), [0.25, 0.75, 0, 0])


def test_free_riders() -> None:
    np.testing.assert_allclose(
        free_rider_rate(np.asarray([[[0, 1, 0, 3], [1, 1, 1, 1]], [[0, 0, 0, 0], [4, 0, 4, 4]]])), [[0.5, 0], [1, 0.25]]
    )


class Unruly(Immediate):
    """Gives its seat number plus its turn number; a third of its answers are no legal action first."""

    def decide(self, request: Request) -> Decision:
        fault = ((request.id % 3 == 0) & (request.fault == OK)).astype(np.int8) * ILLEGAL
        action = np.where(fault == OK, (request.seat + request.turn) % 3, 99)
        return Decision(request.id, action, np.zeros(len(request), np.int8), [None] * len(request))


def played(spec: str, agent: Any, matches: int, rules: Rules = HOUSE_RULES) -> Batch:
    pool = SimpleNamespace(resolve=lambda player: agent)
    plan = round_robin(spec, ["agent"], registry.game(spec).info.seats, matches, seed=3, rules=rules)
    return Batch.concat(list(play(plan, pool, registry.game, in_flight=16)))


@pytest.mark.parametrize("observe", ["none", "full"])
def test_gifts_of_a_batch(observe: str) -> None:
    """Answers that had to be repeated count once."""
    spec = f"public_goods(seats=3,levels=2,rounds=2,observe={observe})"
    batch = played(spec, Unruly(), 40)
    assert (batch["turn.fault"] == ILLEGAL).sum() > 50
    gifts = gifts_of(batch, PublicGoods(seats=3, levels=2, rounds=2))
    np.testing.assert_array_equal(gifts, np.tile([[0, 1, 2], [1, 2, 0]], (len(gifts), 1, 1)))
    assert len(gifts) == 40


@pytest.mark.parametrize("rules", ["", ",fine=0.3", ",fine=0.3,observe=partial", ",observe=full,synergy=2"])
def test_gifts_of_a_batch_pay_its_returns(rules: str) -> None:
    spec = f"public_goods(seats=3,levels=2,rounds=3{rules})"
    game, batch = registry.game(spec), played(spec, RandomAgent(), 50)
    assert isinstance(game, PublicGoods)
    gifts, returns = gifts_of(batch, game), batch["seat.return"].reshape(-1, 3)
    assert gifts.shape == (50, 3, 3)
    paid = game.payoff(gifts).sum(1)
    if game.fine:
        assert (paid >= returns - 1e-9).all()
        fines = welfare(paid - returns) / (game.fine + game.price)  # how many there were
        np.testing.assert_allclose(fines, fines.round(), atol=1e-9)
        assert fines.mean() == pytest.approx(9 * 2 / 3, abs=1)
    else:
        np.testing.assert_allclose(paid, returns, atol=1e-9)


class Illegal(Immediate):
    def decide(self, request: Request) -> Decision:
        return Decision(request.id, np.full(len(request), 99), np.zeros(len(request), np.int8), [None] * len(request))


def test_matches_that_were_not_played_out_have_no_gifts() -> None:
    batch = played("public_goods(seats=3,levels=2)", Illegal(), 5, Rules(retries=0, then="forfeit"))
    assert len(batch) == 5
    assert gifts_of(batch, PublicGoods(seats=3, levels=2)).shape == (0, 1, 3)
