"""Games in rounds: their arrays play as their states do, keys are written on demand, and views go stale."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from games.congestion import Congestion
from games.coordination import Coordination
from games.matrix import Matrix
from games.rounds import Rounds
from marl_llm.boards import StaleView, StateBoards
from marl_llm.check import check_game
from marl_llm.seeding import fold

THREE_SEATS = np.arange(3 * 2 * 3 * 4).reshape(3, 2, 3, 4)
GAMES: dict[str, Callable[[], Rounds]] = {
    "one shot": lambda: Matrix("climbing"),
    "all remembered": lambda: Matrix("rps", 4),
    "two remembered": lambda: Matrix(THREE_SEATS, 5, 2),
    "nothing remembered": lambda: Matrix("chicken", 30, 0),
    "long": lambda: Matrix("prisoners_dilemma", 23),
    "bits of two": lambda: Coordination(2, 6),
    "bits of ten": lambda: Coordination(10, 3, 1),
    "small tree with chance": lambda: Coordination(3, 2),
    "sites": lambda: Congestion(3),
    "many at sites": lambda: Congestion(24, 6),
    "one at a site": lambda: Congestion(1, 1),
}


@pytest.mark.parametrize("name", GAMES)
def test_keeps_the_contract(name: str) -> None:
    report = check_game(GAMES[name](), matches=6)
    report.require()
    assert {finding.rule: finding.holds for finding in report.findings}["boards"]


@settings(max_examples=40, deadline=None)
@given(name=st.sampled_from(sorted(GAMES)), seed=st.integers(0, 2**32), rows=st.integers(1, 6))
def test_arrays_play_as_states_do(name: str, seed: int, rows: int) -> None:
    """Bit for bit, with rows that start again in the middle of the others' matches."""
    game = GAMES[name]()
    ours, plain, rng = game.boards(rows), StateBoards(game, rows), np.random.default_rng(seed)
    everyone = np.arange(rows)
    for boards in (ours, plain):
        boards.start(everyone, fold(seed, everyone))
    for k in range(game.rounds + 2):
        again = everyone[rng.random(rows) < 0.2]
        for boards in (ours, plain):
            boards.start(again, fold(seed, again, k))
        row, seat = plain.acting()
        np.testing.assert_array_equal(ours.acting(), (row, seat))
        legal = plain.legal(row, seat)
        np.testing.assert_array_equal(ours.legal(row, seat).starts, legal.starts)
        np.testing.assert_array_equal(ours.legal(row, seat).data, legal.data)
        if not len(row):
            continue
        one, two = ours.views(row, seat), plain.views(row, seat)
        assert one.texts() == two.texts()
        assert one.action_texts() == two.action_texts()
        assert [one.codes[key] for key in one.keys().tolist()] == [two.codes[key] for key in two.keys().tolist()]
        np.testing.assert_array_equal(one.vectors(), two.vectors())
        assert one.vectors().shape == (len(row), *(game.info.vector or ()))
        assert [state.returns() for state in one.states()] == [tuple(returns) for returns in ours.returns(row).tolist()]
        moves = legal.at((rng.random(len(row)) * legal.lengths).astype(np.int64))
        assert sorted(ours.step(row, seat, moves)) == sorted(plain.step(row, seat, moves))
        np.testing.assert_array_equal(ours.returns(everyone), plain.returns(everyone))


def test_a_view_goes_stale_with_its_match_alone() -> None:
    boards = Matrix("rps", 3).boards(2)
    boards.start(np.arange(2), np.arange(2, dtype=np.uint64))
    row, seat = boards.acting()
    views = boards.views(row, seat)
    boards.step(row[:2], seat[:2], np.asarray([0, 1]))
    assert len(views.take(np.asarray([2, 3])).texts()) == 2
    with pytest.raises(StaleView):
        views.take(np.asarray([0, 2])).keys()


def test_the_table_is_what_all_see() -> None:
    state = Matrix("rps", 3).start(0)
    state.apply({0: 1, 1: 2})
    table = state.view(None)
    assert table.text == "Round 2 of 3. In round 1 player 1 chose paper, player 2 chose scissors."
    np.testing.assert_array_equal(table.vector, state.view(0).vector)
    assert table.key not in {state.view(seat).key for seat in (0, 1)}
    for _ in range(2):
        state.apply({0: 1, 1: 2})
    assert state.view(None).text == "The match is over."
    assert state.to_act() == ()


def test_stopped_rows_are_left_alone() -> None:
    boards = Coordination(2, 4).boards(3)
    boards.start(np.arange(3), np.arange(3, dtype=np.uint64))
    boards.stop(np.asarray([1]))
    row, seat = boards.acting()
    assert row.tolist() == [0, 0, 2, 2]
    assert not len(boards.step(row, seat, np.zeros(4, np.int64)))
    assert boards.returns(np.asarray([1])).tolist() == [[0, 0]]
