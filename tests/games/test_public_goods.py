"""The public goods family: payoffs of the literature, arrays that agree with states, what seats read, and clear refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from games.public_goods.game import PublicGoods
from games.public_goods.payoff import received
from games.public_goods.state import PublicGoodsState
from marl_llm import registry
from marl_llm.boards import StaleView, StateBoards
from marl_llm.check import check_game
from marl_llm.errors import UserError

VARIANTS = [
    "public_goods",
    "public_goods(seats=2,mpcr=1.5,levels=1)",
    "public_goods(seats=3,levels=2,rounds=2)",
    "public_goods(seats=40,rounds=2)",
    "public_goods(seats=5,threshold=2.5,penalty=1.5,cost=quadratic)",
    "public_goods(seats=3,threshold=2,benefit=1.5,mpcr=0,rounds=2)",
    "public_goods(seats=3,observe=full,levels=3)",
    "public_goods(seats=3,observe=full,levels=1,rounds=2,synergy=1.5)",
    "public_goods(seats=3,observe=partial,levels=3,rounds=2,synergy=0.5)",
    "public_goods(seats=3,fine=0.3,levels=2,rounds=2)",
    "public_goods(seats=2,fine=0.3,levels=1,rounds=2)",
    "public_goods(seats=3,observe=partial,fine=0.3,levels=2,rounds=3)",
    "public_goods(seats=3,observe=full,fine=0.3,levels=1)",
    "public_goods(seats=1,observe=partial,rounds=3)",
]


@pytest.mark.parametrize("spec", VARIANTS)
def test_keeps_the_contract(spec: str) -> None:
    report = check_game(registry.game(spec), matches=6)
    report.require()
    tested = {finding.rule for finding in report.findings if finding.holds}
    assert tested >= {"boards", "resample", "perfect_recall", "vector"}


def test_linear_payoffs() -> None:
    """Four seats, return 0.5: all give all, 2 each; nobody gives, 1 each; one free rider gains 2.5 and the givers 1.5."""
    game = PublicGoods(seats=4, mpcr=0.5, levels=10)
    gifts = np.asarray([[10, 10, 10, 10], [0, 0, 0, 0], [0, 10, 10, 10], [5, 0, 0, 0]])
    expected = [[2, 2, 2, 2], [1, 1, 1, 1], [2.5, 1.5, 1.5, 1.5], [0.75, 1.25, 1.25, 1.25]]
    np.testing.assert_allclose(game.payoff(gifts), expected)
    assert game.info.returns == (0.5, 2.5)


def test_threshold_payoffs() -> None:
    """2.55 endowments are 26 tokens of ten. 25 miss them, which costs each 1.5; or 26 reach them, which gains each 0.7."""
    punished = PublicGoods(seats=3, mpcr=0.6, levels=10, threshold=2.55, penalty=1.5)
    rewarded = PublicGoods(seats=3, mpcr=0, levels=10, threshold=2.55, benefit=0.7)
    gifts = np.asarray([[5, 10, 10], [6, 10, 10]])
    np.testing.assert_allclose(punished.payoff(gifts), [[0.5, 0, 0], [1.96, 1.56, 1.56]], atol=1e-12)
    np.testing.assert_allclose(rewarded.payoff(gifts), [[0.5, 0, 0], [1.1, 0.7, 0.7]], atol=1e-12)


def test_a_threshold_is_reached_exactly() -> None:
    """0.7 endowments are 7 tokens of ten, though 0.7 * 10 is not 7 in floats of every kind."""
    for tenths in range(1, 31):
        game = PublicGoods(seats=3, mpcr=0, levels=10, threshold=tenths / 10, benefit=1)
        assert (game.payoff.share > 0).argmax() == tenths


def test_synergy_and_quadratic_cost() -> None:
    """Of gifts 0.5, 1, 0.2 each seat gets 0.17, pays 0.25, 1, 0.04, and gains 2 (1)(0.5) and 2 (0.2)(1.5) with those before it."""
    game = PublicGoods(seats=3, mpcr=0.1, levels=10, synergy=2, cost="quadratic")
    np.testing.assert_allclose(game.payoff(np.asarray([5, 10, 2])), [0.92, 1.17, 1.73])


def test_fines() -> None:
    """A fine of 0.6 costs 0.2. Seats 1 and 3 fine seat 2, who fines nobody."""
    game = PublicGoods(seats=3, mpcr=0.5, levels=1, fine=0.6)
    state = game.start(0)
    state.apply({0: 1, 1: 0, 2: 1})
    assert list(state.returns()) == [1, 2, 1]
    assert [list(state.legal(seat)) for seat in range(3)] == [[0, 2, 3], [0, 1, 3], [0, 1, 2]]
    state.apply({0: 2, 1: 0, 2: 2})
    np.testing.assert_allclose(state.returns(), [0.8, 0.8, 0.8])
    assert state.to_act() == ()
    np.testing.assert_array_equal(received(np.asarray([[2, 0, 2], [3, 3, 1]])), [[0, 2, 0], [1, 0, 2]])


@settings(max_examples=40, deadline=None)
@given(
    seats=st.integers(1, 5),
    levels=st.integers(1, 4),
    rounds=st.integers(1, 3),
    mpcr=st.sampled_from([0.0, 0.3, 2.0]),
    observe=st.sampled_from(["none", "partial", "full"]),
    cost=st.sampled_from(["linear", "quadratic"]),
    synergy=st.sampled_from([0.0, 1.5]),
    stake=st.sampled_from([{}, {"threshold": 0.8, "penalty": 1.5}, {"threshold": 1, "benefit": 0.5}]),
    fine=st.sampled_from([0.0, 0.3]),
    seed=st.integers(0, 1000),
)
def test_arrays_agree_with_states(seats: int, fine: float, stake: dict[str, Any], seed: int, **rules: Any) -> None:
    game = PublicGoods(seats, fine=fine if seats > 1 else 0, **stake, **rules)
    ours, plain = game.boards(5), StateBoards(game, 5)
    row, rng = np.arange(5), np.random.default_rng(seed)
    for boards in (ours, plain):
        boards.start(row, row.astype(np.uint64))
    for k in range(200):
        acting = plain.acting()
        np.testing.assert_array_equal(ours.acting(), acting)
        if not len(acting[0]):
            break
        some = np.flatnonzero(rng.random(len(acting[0])) < (0.5 if k % 2 else 1))
        one, two = ours.views(*acting).take(some), plain.views(*acting).take(some)
        if len(some):
            assert one.texts() == two.texts()
            assert one.action_texts() == two.action_texts()
            np.testing.assert_array_equal(one.vectors(), two.vectors())
            assert [one.codes[k] for k in one.keys().tolist()] == [two.codes[k] for k in two.keys().tolist()]
            for mine, other in zip(one.states(), two.states(), strict=True):
                assert isinstance(mine, PublicGoodsState)
                assert isinstance(other, PublicGoodsState)
                assert (mine.gifts, mine.fines) == (other.gifts, other.fines)
                np.testing.assert_allclose(mine.returns(), other.returns(), atol=1e-12)
        mixed = np.isin(acting[0], np.flatnonzero(rng.random(5) < 0.7)) if k else np.ones(len(acting[0]), bool)
        acting = (acting[0][mixed], acting[1][mixed])  # rows need not keep step
        legal = plain.legal(*acting)
        np.testing.assert_array_equal(ours.legal(*acting).data, legal.data)
        moves = legal.at((rng.random(len(legal)) * legal.lengths).astype(np.int64))
        assert ours.step(*acting, moves).tolist() == plain.step(*acting, moves).tolist()
        np.testing.assert_allclose(ours.returns(row), plain.returns(row), atol=1e-12)
    else:
        raise AssertionError("the matches go on")
    low, high = game.info.returns
    assert low - 1e-9 <= ours.returns(row).min()
    assert ours.returns(row).max() <= high + 1e-9


@pytest.mark.parametrize(
    "spec",
    [
        "public_goods(seats=3,levels=2,mpcr=0.3)",
        "public_goods(seats=3,levels=2,cost=quadratic,synergy=1.5)",
        "public_goods(seats=3,levels=2,threshold=2,penalty=1.5)",
        "public_goods(seats=2,levels=2,fine=0.3)",
    ],
)
def test_bounds_of_returns_are_reached(spec: str) -> None:
    game = registry.game(spec)
    ends: list[float] = []

    def unroll(state: Any) -> None:
        seats = state.to_act()
        if not seats:
            ends.extend(state.returns())
        for joint in np.ndindex(*[len(state.legal(seat)) for seat in seats]) if seats else ():
            after = state.clone()
            after.apply({seat: state.legal(seat)[k] for seat, k in zip(seats, joint, strict=True)})
            unroll(after)

    unroll(game.start(0))
    assert (min(ends), max(ends)) == pytest.approx(game.info.returns)


def test_what_a_seat_reads() -> None:
    game = registry.game("public_goods(seats=3,mpcr=0.4,levels=5,rounds=2)")
    state = game.start(0)
    assert "Every token in the pot pays 0.4 to each player" in game.rules(0)
    assert state.view(1).text == "You are player 2. Round 1 of 2."
    state.apply({0: 5, 1: 2, 2: 0})
    assert state.view(1).text == "You are player 2. Round 2 of 2. In round 1 you gave 2 and all gave 7."
    np.testing.assert_allclose(state.view(1).vector, [0.5, 0.4, 7 / 15], rtol=1e-6)
    np.testing.assert_allclose(state.view(None).vector, [0.5, 0, 0, 0, 0.4 * 1.4, 0.6 + 0.4 * 1.4, 1 + 0.4 * 1.4], rtol=1e-6)
    assert state.view(None).text == "Given so far: ((5, 2, 0),)"


def test_what_is_seen_of_gifts_made_in_turn() -> None:
    partial, full = (
        registry.game(f"public_goods(seats=3,levels=4,rounds=2,observe={observe})").start(0) for observe in ("partial", "full")
    )
    for state in (partial, full):
        state.apply({0: 1})
        state.apply({1: 4})
    assert partial.view(2).text == "You are player 3. Round 1 of 2. In this round player 2 gave 4."
    assert full.view(2).text == "You are player 3. Round 1 of 2. In this round player 1 gave 1, player 2 gave 4."
    np.testing.assert_array_equal(partial.view(2).vector, [0, 0, 0, 0, 1, 0])
    np.testing.assert_array_equal(full.view(2).vector, [0, 0, 0, 0.25, 1, 0])
    for state in (partial, full):
        state.apply({2: 2})
        state.apply({0: 3})
    told = "You are player 2. Round 2 of 2. In round 1 player 1 gave 1, you gave 4{}. In this round player 1 gave 3."
    assert partial.view(1).text == told.format(" and all gave 7")
    assert full.view(1).text == told.format(", player 3 gave 2")
    np.testing.assert_allclose(partial.view(1).vector, [0.5, 1, 7 / 12, 0.75, 0, 0], rtol=1e-6)


def test_what_is_seen_of_fines() -> None:
    game = registry.game("public_goods(seats=3,levels=4,rounds=2,fine=0.5)")
    state = game.start(0)
    assert "who loses 2 tokens; a fine costs 0.666667." in game.rules(0)
    state.apply({0: 0, 1: 4, 2: 2})
    assert state.view(1).text == (
        "You are player 2. Round 1 of 2. In this round player 1 gave 0, you gave 4, player 3 gave 2. Whom do you fine?"
    )
    assert [state.action_text(1, choice) for choice in state.legal(1)] == ["nobody", "player 1", "player 3"]
    np.testing.assert_allclose(state.view(1).vector, [0, 1, 0.5, 0, 1, 0.5, 1, 0, 0, 0])
    state.apply({0: 3, 1: 1, 2: 0})
    assert state.view(0).text == (
        "You are player 1. Round 2 of 2. In round 1 you gave 0, player 2 gave 4, player 3 gave 2, "
        "you fined player 3, player 2 fined you, player 3 fined nobody."
    )
    np.testing.assert_allclose(state.view(0).vector, [0.5, 0, 0.5, 0, 0, 0, 0, 1 / 3, 0, 1 / 3], rtol=1e-6)


def test_rules_say_what_pays() -> None:
    told = registry.game(
        "public_goods(seats=3,levels=10,mpcr=0.6,observe=full,cost=quadratic,synergy=1.5,threshold=2.55,penalty=1.5)"
    ).rules(0)
    for sentence in (
        "They give one after another, player 1 first, and see all gifts so far.",
        "Giving k tokens costs k*k/10 tokens.",
        "A token that you give pays you another 0.15 for each token given in the round by players before you.",
        "If all give fewer than 26 tokens in a round, every player loses 15 tokens.",
    ):
        assert sentence in told


def test_resampled_gifts_are_those_that_a_seat_cannot_see() -> None:
    """The fourth seat saw the third give 1; what the first two gave is drawn, and every pair comes up."""
    state = registry.game("public_goods(seats=4,levels=2,observe=partial,rounds=2)").start(0)
    for seat, gift in [(0, 2), (1, 2), (2, 2), (3, 0), (0, 0), (1, 2), (2, 1)]:
        state.apply({seat: gift})
    worlds = [state.resample(3, seed) for seed in range(100)]
    assert all(isinstance(world, PublicGoodsState) for world in worlds)
    rounds = [world.gifts for world in worlds if isinstance(world, PublicGoodsState)]
    assert {gifts[0] for gifts in rounds} == {(2, 2, 2, 0)}
    assert {gifts[1] for gifts in rounds} == {(a, b, 1) for a in range(3) for b in range(3)}


def test_codes_of_what_is_known() -> None:
    """Equal knowledge has one code whenever it comes up, also in rows that start again; other knowledge has another."""
    boards = PublicGoods(seats=2, levels=2, rounds=3).boards(3)
    everyone = np.arange(3)
    boards.start(everyone, everyone.astype(np.uint64))
    boards.step(*boards.acting(), np.asarray([1, 0, 0, 1, 1, 0]))
    row, seat = boards.acting()
    first = boards.views(row, seat).keys()
    assert [boards.codes[code] for code in first.tolist()] == ["0:[1, 1]", "1:[0, 1]", "0:[0, 1]", "1:[1, 1]", "0:[1, 1]", "1:[0, 1]"]
    assert first[[0, 1]].tolist() == first[[4, 5]].tolist()
    boards.start(everyone[:2], everyone[:2].astype(np.uint64))
    for gifts in ([0, 1, 1, 0], [2, 2, 2, 2]):  # two rounds that nobody asks about
        boards.step(row[:4], seat[:4], np.asarray(gifts))
    again = boards.views(row, seat).keys()
    assert again[4:].tolist() == first[4:].tolist()
    told = [boards.codes[code] for code in again[:4].tolist()]
    assert told == ["0:[0, 1, 2, 4]", "1:[1, 1, 2, 4]", "0:[1, 1, 2, 4]", "1:[0, 1, 2, 4]"]
    assert len(set(boards.codes)) == len(boards.codes) == 8


def test_a_view_is_stale_once_its_match_moved() -> None:
    boards = registry.game("public_goods(seats=3,observe=full)").boards(2)
    boards.start(np.arange(2), np.arange(2).astype(np.uint64))
    views = boards.views(*boards.acting())
    boards.step(np.asarray([1]), np.asarray([0]), np.asarray([3]))
    assert views.take(np.asarray([0])).texts() == ["You are player 1. Round 1 of 1."]
    for read in (views.keys, views.texts, views.vectors, views.action_texts, views.states):
        with pytest.raises(StaleView):
            read()


@pytest.mark.parametrize(
    ("parameters", "line"),
    [
        ("seats=0", "seats is 0; expected an integer of at least 1"),
        ("levels=1.5", "levels is 1.5"),
        ("rounds=-1", "rounds is -1"),
        ("mpcr=nan", "mpcr is 'nan'; expected a number"),
        ("mpcr=-0.5", "mpcr is -0.5"),
        ("multiplier=2", "parameters: seats, mpcr, levels, rounds"),
        ("observe=all", "observe is 'all'; expected none or partial or full"),
        ("cost=cubic", "cost is 'cubic'; expected linear or quadratic"),
        ("synergy=-1", "synergy is -1; expected a number of at least 0"),
        ("threshold=5,penalty=1", "threshold is 5; expected at most 4, the endowments of all seats"),
        ("penalty=1", "penalty is 1; expected 0 without a threshold"),
        ("benefit=1", "benefit is 1; expected 0 without a threshold"),
        ("threshold=2", "threshold is 2; expected 0 where nothing depends on it"),
        ("seats=1,fine=1", "fine is 1; expected 0 with one seat"),
        ("fine=1,ratio=0", "fine is 1; expected 0 with one seat or a ratio of 0"),
    ],
)
def test_refusals(parameters: str, line: str) -> None:
    with pytest.raises(UserError, match=line) as refused:
        registry.game(f"public_goods({parameters})")
    assert "\n" not in str(refused.value)


def test_a_large_group_is_no_trouble() -> None:
    game = PublicGoods(seats=1000, rounds=100)
    assert not game.info.enumerable
    assert game.boards(1).acting()[0].tolist() == []
