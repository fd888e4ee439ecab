"""Linear public goods: the payoffs of the literature, arrays that agree with states, and clear refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from games.public_goods.game import PublicGoods
from marl_llm import registry
from marl_llm.boards import StateBoards
from marl_llm.check import check_game
from marl_llm.errors import UserError


@pytest.mark.parametrize(
    "spec",
    [
        "public_goods",
        "public_goods(seats=2,mpcr=1.5,levels=1)",
        "public_goods(seats=3,levels=2,rounds=3)",
        "public_goods(seats=40,rounds=2)",
    ],
)
def test_keeps_the_contract(spec: str) -> None:
    check_game(registry.game(spec), matches=8).require()


def test_payoffs() -> None:
    """Four seats, return 0.5: all give all, 2 each; nobody gives, 1 each; one free rider gains 2.5 and the givers 1.5."""
    game = PublicGoods(seats=4, mpcr=0.5, levels=10)
    given = np.asarray([[10, 10, 10, 10], [0, 0, 0, 0], [0, 10, 10, 10], [5, 0, 0, 0]])
    expected = [[2, 2, 2, 2], [1, 1, 1, 1], [2.5, 1.5, 1.5, 1.5], [0.75, 1.25, 1.25, 1.25]]
    np.testing.assert_allclose(game.payoff(given), expected)
    assert game.info.returns == (0.5, 2.5)


@settings(max_examples=25, deadline=None)
@given(
    seats=st.integers(1, 6),
    levels=st.integers(1, 4),
    rounds=st.integers(1, 3),
    mpcr=st.sampled_from([0.0, 0.3, 1.0, 2.0]),
    seed=st.integers(0, 1000),
)
def test_arrays_agree_with_states(seats: int, levels: int, rounds: int, mpcr: float, seed: int) -> None:
    game = PublicGoods(seats, mpcr, levels, rounds)
    ours, plain = game.boards(5), StateBoards(game, 5)
    row, rng = np.arange(5), np.random.default_rng(seed)
    for boards in (ours, plain):
        boards.start(row, row.astype(np.uint64))
    for _ in range(rounds):
        acting = plain.acting()
        np.testing.assert_array_equal(ours.acting(), acting)
        one, two = ours.views(*acting), plain.views(*acting)
        assert one.texts() == two.texts()
        np.testing.assert_array_equal(one.vectors(), two.vectors())
        assert [one.codes[k] for k in one.keys().tolist()] == [two.codes[k] for k in two.keys().tolist()]
        moves = rng.integers(0, levels + 1, len(acting[0]))
        assert ours.step(*acting, moves).tolist() == plain.step(*acting, moves).tolist()
    np.testing.assert_allclose(ours.returns(row), plain.returns(row), atol=1e-12)
    low, high = game.info.returns
    assert low - 1e-9 <= ours.returns(row).min()
    assert ours.returns(row).max() <= high + 1e-9


def test_what_a_seat_reads() -> None:
    game = registry.game("public_goods(seats=3,mpcr=0.4,levels=5,rounds=2)")
    state = game.start(0)
    assert "Every token in the pot pays 0.4 to each player" in game.rules(0)
    assert state.view(1).text == "You are player 2. Round 1 of 2."
    state.apply({0: 5, 1: 2, 2: 0})
    assert state.view(1).text == "You are player 2. Round 2 of 2. In round 1 you gave 2 and all gave 7."
    np.testing.assert_allclose(state.view(1).vector, [0.5, 0.4, 7 / 15], rtol=1e-6)


@pytest.mark.parametrize(
    ("parameters", "line"),
    [
        ("seats=0", "seats is 0; expected an integer of at least 1"),
        ("levels=1.5", "levels is 1.5"),
        ("rounds=-1", "rounds is -1"),
        ("mpcr=nan", "mpcr is 'nan'; expected a number"),
        ("mpcr=-0.5", "mpcr is -0.5"),
        ("multiplier=2", "parameters: seats, mpcr, levels, rounds"),
    ],
)
def test_refusals(parameters: str, line: str) -> None:
    with pytest.raises(UserError, match=line):
        registry.game(f"public_goods({parameters})")
