"""Equilibria of public goods: the table worked out by hand, closed forms, and the solver against trees and brute force."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from games.public_goods.game import PublicGoods
from games.public_goods.solver import TIE, Equilibrium, deviation_gains, is_nash, optimum, subgame_perfect
from games.public_goods.state import PublicGoodsState
from marl_llm.errors import UserError
from marl_llm.exact import best_responses, expected_returns, join, nash_conv
from marl_llm.tree import tree_of

TABLE: list[tuple[dict[str, Any], list[float]]] = [
    ({}, [0, 0, 0]),
    ({"synergy": 0.2}, [0, 0, 0]),
    ({"synergy": 0.5}, [0, 0.9, 1]),  # the first mover rides free
    ({"synergy": 1.5}, [0.3, 1, 1]),
    ({"penalty": 1.5, "threshold": 2.55}, [0.6, 1, 1]),
    ({"penalty": 1.5, "threshold": 2.55, "synergy": 1.5}, [0.6, 1, 1]),
    ({"penalty": 1.5, "threshold": 2.55, "synergy": 1.5, "cost": "quadratic"}, [0.6, 1, 1]),
    ({"penalty": 0.5, "threshold": 3}, [1, 1, 1]),
    ({"penalty": 1.5, "threshold": 3}, [1, 1, 1]),
    ({"mpcr": 1.1}, [1, 1, 1]),
]
"""Three seats, eleven gifts, rho 1.8 (a per-capita return of 0.6) where nothing else is said."""


def in_turn(**rules: Any) -> PublicGoods:
    return PublicGoods(**{"seats": 3, "levels": 10, "mpcr": 0.6, "observe": "full", **rules})


@pytest.mark.parametrize(("rules", "path"), TABLE)
def test_the_table_of_equilibria(rules: dict[str, Any], path: list[float]) -> None:
    np.testing.assert_allclose(subgame_perfect(in_turn(**rules)).path / 10, path)


@pytest.mark.parametrize(("rules", "path"), TABLE)
def test_the_table_by_brute_force(rules: dict[str, Any], path: list[float]) -> None:
    """Plain backward induction over all 1,331 plays, with nothing known of the payoff's form."""
    game = in_turn(**rules)
    gains = game.payoff(np.stack(np.meshgrid(*[np.arange(11)] * 3, indexing="ij"), -1))
    chosen: list[int] = []
    for seat in range(3):  # the play that follows each gift of this seat, given what has been chosen
        ends = gains[tuple(chosen)]
        for later in reversed(range(seat + 1, 3)):
            mine = ends[..., later]
            best = (mine >= mine.max(-1, keepdims=True) - TIE).argmax(-1)
            ends = np.take_along_axis(ends, best[..., None, None], -2)[..., 0, :]
        chosen.append(int((ends[:, seat] >= ends[:, seat].max() - TIE).argmax()))
    np.testing.assert_allclose(np.asarray(chosen) / 10, path)


def one_shot_gain(equilibrium: Equilibrium, state: PublicGoodsState) -> tuple[float, np.ndarray]:
    """The most that any seat gains anywhere below by one other action, and what the equilibrium leads to from here."""
    seats = state.to_act()
    if not seats:
        return 0.0, np.asarray(state.returns())
    worst, after = 0.0, {}
    for joint in product(*(state.legal(seat) for seat in seats)):
        below = state.clone()
        below.apply(dict(zip(seats, joint, strict=True)))
        assert isinstance(below, PublicGoodsState)
        gain, after[joint] = one_shot_gain(equilibrium, below)
        worst = max(worst, gain)
    plan = tuple(equilibrium.action(state, seat) for seat in seats)
    for joint, values in after.items():
        moved = [k for k in range(len(seats)) if joint[k] != plan[k]]
        if len(moved) == 1:
            worst = max(worst, values[seats[moved[0]]] - after[plan][seats[moved[0]]])
    return worst, after[plan]


@pytest.mark.parametrize(
    "game",
    [
        in_turn(levels=4, synergy=1.5),
        in_turn(levels=4, threshold=2.5, penalty=1.5, cost="quadratic", seats=4),
        in_turn(levels=2, rounds=2, threshold=2, benefit=0.8),
        in_turn(seats=2, levels=2, rounds=2, fine=0.3, synergy=1),
        in_turn(seats=2, levels=2, rounds=2, observe="partial", threshold=1.5, penalty=1),
    ],
    ids=lambda game: game.info.name,
)
def test_no_seat_gains_by_another_action_anywhere(game: PublicGoods) -> None:
    """In every position, on the path or not, and with rounds and fines: so the equilibrium is subgame-perfect."""
    equilibrium = subgame_perfect(game)
    start = game.start(0)
    assert isinstance(start, PublicGoodsState)
    gain, returns = one_shot_gain(equilibrium, start)
    assert gain <= TIE
    np.testing.assert_allclose(returns, equilibrium.returns)


def test_a_policy_that_is_no_equilibrium_is_seen() -> None:
    """The walk above, over a plan of the wrong game: with no synergy nobody should give."""
    wrong = Equilibrium(in_turn(levels=4), subgame_perfect(in_turn(levels=4, synergy=1.5)).gift)
    assert one_shot_gain(wrong, wrong.game.start(0))[0] > 0.3  # type: ignore[arg-type]


def test_the_equilibrium_as_a_policy() -> None:
    game = in_turn(levels=3, rounds=2, synergy=1.5)
    equilibrium, tree = subgame_perfect(game), tree_of(game)
    policy = equilibrium.policy(tree)
    assert nash_conv(tree, policy) == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(expected_returns(tree, policy), equilibrium.returns)
    assert nash_conv(tree, tree.uniform_policy()) > 0.5


@given(
    mpcr=st.sampled_from([0.1, 0.3, 0.5, 0.9, 1.1]),
    seats=st.integers(2, 6),
    levels=st.integers(1, 10),
    cost=st.sampled_from(["linear", "quadratic"]),
)
@settings(max_examples=40, deadline=None)
def test_the_dilemma(mpcr: float, seats: int, levels: int, cost: str) -> None:
    """Linear cost: nothing is given iff a token returns less than 1 to its giver, everything is best iff it returns more than 1
    to all. Quadratic: a seat gives mpcr / 2 of its endowment, and mpcr * seats / 2 is best (to the nearest token)."""
    game = PublicGoods(seats=seats, mpcr=mpcr, levels=levels, observe="full", cost=cost)
    path, best = subgame_perfect(game).path, optimum(game)
    if cost == "linear":
        np.testing.assert_array_equal(path, levels * (mpcr > 1))
        if abs(mpcr * seats - 1) > 1e-6:
            np.testing.assert_array_equal(best, levels * (mpcr * seats > 1))
    else:
        assert abs(path - min(mpcr / 2, 1) * levels).max() <= 0.5 + 1e-9
        assert abs(best - min(mpcr * seats / 2, 1) * levels).max() <= 1


@pytest.mark.parametrize("penalty", [0.1, 0.3, 0.5])
@pytest.mark.parametrize("seats", [2, 3, 5])
def test_a_pivotal_penalty(penalty: float, seats: int) -> None:
    """With all endowments needed, every seat is pivotal: all give all iff the last one, who gains least by it, prefers so,
    which is where penalty + mpcr > 1; earlier seats decide over the gifts of those after them too."""
    for mpcr in (0.45, 0.6, 0.8):
        path = subgame_perfect(in_turn(seats=seats, mpcr=mpcr, threshold=seats, penalty=penalty)).path
        np.testing.assert_array_equal(path, 10 * (penalty + mpcr > 1 + TIE))


@pytest.mark.parametrize("threshold", [2.1, 2.5, 2.9])
def test_below_a_pivotal_penalty_the_first_gives_the_slack(threshold: float) -> None:
    path = subgame_perfect(in_turn(threshold=threshold, penalty=1.5)).path
    assert path.tolist() == [round(10 * threshold) - 20, 10, 10]


@pytest.mark.parametrize("gamma", [0.41, 0.5, 0.75, 1.0, 1.5, 3.0])
def test_followers_give_all_once_synergy_pays(gamma: float) -> None:
    """Nothing after them depends on it, so the last of three gives all iff synergy times what was given exceeds 1 - mpcr."""
    last = subgame_perfect(in_turn(synergy=gamma)).gift[2]
    np.testing.assert_array_equal(last, 10 * (gamma * np.arange(21) / 10 > 0.4 + TIE))


def test_many_seats() -> None:
    """A hundred seats with a hundred tokens: only the last ones, for whom enough was given, join; the cascade is worth starting."""
    game = PublicGoods(seats=100, levels=100, mpcr=0.02, observe="full", synergy=0.1)
    path = subgame_perfect(game).path
    assert (np.diff((path > 0).astype(int)) >= 0).all()
    assert 0 < path.sum() < 100 * 100


@pytest.mark.parametrize("observe", ["none", "partial"])
def test_unseen_gifts_have_no_backward_induction(observe: str) -> None:
    with pytest.raises(UserError, match=f"every gift to be seen, and observe is '{observe}'; take observe=full"):
        subgame_perfect(PublicGoods(seats=3, observe=observe))


def test_deviation_gains_by_hand() -> None:
    """Return 0.6: a giver of 0.5 keeps 0.2 more by giving nothing, one who gives nothing gains nothing. Threshold 2 of 3 seats, penalty
    1.5: among gifts of 1, 1, 0 each giver is pivotal and would lose 1.1; at 1, 1, 1 each gains 0.4 by leaving."""
    linear = PublicGoods(seats=3, levels=10, mpcr=0.6)
    np.testing.assert_allclose(deviation_gains(linear, np.asarray([[5, 0, 10], [0, 0, 0]])), [[0.2, 0, 0.4], [0, 0, 0]], atol=1e-12)
    threshold = PublicGoods(seats=3, levels=1, mpcr=0.6, threshold=2, penalty=1.5)
    np.testing.assert_allclose(deviation_gains(threshold, np.asarray([[1, 1, 0], [1, 1, 1]])), [[0, 0, 0], [0.4, 0.4, 0.4]], atol=1e-12)


def test_pure_equilibria_of_a_threshold() -> None:
    """Exactly those in which the threshold is just met, as nobody would pay alone for what another still must, and giving nothing
    where no seat can reach it alone."""
    game = PublicGoods(seats=3, levels=4, mpcr=0.6, threshold=2.25, penalty=1.5)
    gifts = np.stack(np.meshgrid(*[np.arange(5)] * 3, indexing="ij"), -1)
    total = gifts.sum(-1)
    np.testing.assert_array_equal(is_nash(game, gifts), (total == 9) | (total == 0))


@given(
    profile=st.lists(st.integers(0, 2), min_size=3, max_size=3), synergy=st.sampled_from([0.0, 1.5]), penalty=st.sampled_from([0.0, 0.7])
)
@settings(max_examples=25, deadline=None)
def test_deviation_gains_agree_with_best_responses(profile: list[int], synergy: float, penalty: float) -> None:
    stake = {"threshold": 1.5, "penalty": penalty} if penalty else {}
    game = PublicGoods(seats=3, levels=2, mpcr=0.6, synergy=synergy, **stake)
    tree = tree_of(game)
    one = [(np.arange(9) % 3 == gift).astype(float) for gift in profile]
    assert tree.legal.data.tolist() == [0, 1, 2] * 3
    policy = join(tree, one)
    gains = best_responses(tree, policy) - expected_returns(tree, policy)
    np.testing.assert_allclose(deviation_gains(game, np.asarray(profile)), gains, atol=1e-12)


@pytest.mark.parametrize("rules", [{"cost": "quadratic"}, {"synergy": 1.5}, {"mpcr": 0.2}, {"threshold": 1.7, "penalty": 2, "mpcr": 0.2}])
def test_the_optimum_by_brute_force(rules: dict[str, Any]) -> None:
    game = PublicGoods(**{"seats": 3, "levels": 5, "mpcr": 0.6, **rules})
    gifts = np.stack(np.meshgrid(*[np.arange(6)] * 3, indexing="ij"), -1)
    assert game.payoff(optimum(game)).sum() == pytest.approx(game.payoff(gifts).sum(-1).max())
