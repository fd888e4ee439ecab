"""Boards of one game are the same game: stacked states, trees, pyspiel states and arrays give equal matches for equal seeds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from games.openspiel.boards import SpielBoards
from games.public_goods.game import PublicGoods
from marl_llm import registry
from marl_llm.boards import Boards, BrokenView, StaleView, StateBoards
from marl_llm.game import Game
from marl_llm.seeding import fold, uniform
from marl_llm.tree import Tree, TreeBoards

GAMES = ["kuhn_poker", "leduc_poker", "tic_tac_toe", "openspiel:catch", "openspiel:matrix_rps", "kuhn_poker(players=3)"]


def kinds(game: Game, rows: int) -> dict[str, Boards]:
    made: dict[str, Boards] = {"states": StateBoards(game, rows), "tree": TreeBoards(Tree(game), rows)}
    if not game.info.simultaneous:
        made["pyspiel"] = SpielBoards(game, rows)  # type: ignore[arg-type]
    return made


def history(boards: Boards, rows: int, seed: int, salt: int = 0) -> list[Any]:
    """Everything that happens in random matches; moves are a function of seed, row, seat and time."""
    row = np.arange(rows)
    boards.start(row, fold(seed, row))
    seen: list[Any] = []
    for k in range(200):
        row, seat = boards.acting()
        if not len(row):
            break
        legal, views = boards.legal(row, seat), boards.views(row, seat)
        keys = [views.codes[code] for code in views.keys().tolist()]
        vectors = views.vectors().tolist() if boards.info.vector else []
        tables = views.tables().tolist() if boards.info.table else []
        seen.append([row.tolist(), seat.tolist(), legal.data.tolist(), keys, views.texts(), views.action_texts(), vectors, tables])
        moves = legal.at((uniform(fold(seed, row, salt), k, seat) * legal.lengths).astype(np.int64))
        over = np.sort(boards.step(row, seat, moves))
        seen.append([over.tolist(), boards.returns(over).tolist()])
        boards.stop(over)
    assert not boards.broken
    return seen


@pytest.mark.parametrize("spec", GAMES)
def test_all_kinds_of_boards_play_alike(spec: str) -> None:
    game = registry.game(spec)
    played = {name: history(boards, 24, seed=3) for name, boards in kinds(game, 24).items()}
    first = played.pop("states")
    assert len(first) > 1
    for name, other in played.items():
        for k, (a, b) in enumerate(zip(first, other, strict=True)):
            assert a == b, (name, k)


@pytest.mark.parametrize("rounds", [1, 3])
def test_array_boards_play_as_states(rounds: int) -> None:
    game = PublicGoods(seats=5, mpcr=0.4, levels=3, rounds=rounds)
    ours, plain = (history(boards, 12, seed=9) for boards in (game.boards(12), StateBoards(game, 12)))
    for a, b in zip(ours, plain, strict=True):
        if len(a) == 2:
            assert a[0] == b[0]
            np.testing.assert_allclose(a[1], b[1], rtol=0, atol=1e-12)
        else:
            assert a == b


@pytest.mark.parametrize("spec", ["leduc_poker", "kuhn_poker"])
def test_a_deal_stays_the_same_when_moves_differ(spec: str) -> None:
    """Chance draw k of a match depends on its seed alone, so the first cards are equal and so are the public ones."""
    game = registry.game(spec)
    for boards in kinds(game, 64).values():
        row = np.arange(64)
        one, two = history(boards, 64, 5, salt=1), history(boards, 64, 5, salt=2)
        assert one[0][3] == two[0][3]
        assert one[0] == two[0]
        assert one != two
        assert len(row) == 64
    state_boards = StateBoards(game, 2)
    state_boards.start(np.arange(2), np.asarray([7, 7], np.uint64))
    if spec == "leduc_poker":
        publics = []
        for moves in ([1, 1], [2, 1]):  # call, call or raise, call: both lead to the public card
            state_boards.start(np.asarray([0]), np.asarray([7], np.uint64))
            for move in moves:
                r, s = np.asarray([0]), np.asarray([state_boards.seats[0][0]])
                state_boards.step(r, s, np.asarray([move]))
            text = state_boards.views(np.asarray([0]), np.asarray([0])).texts()[0]
            publics.append(text.split("public ")[1].split(":")[0])
        assert publics[0] == publics[1] != "none"


def moved(boards: Boards) -> tuple[Any, Any]:
    """Views of rows 0 and 1 of which only row 0 has moved since."""
    boards.start(np.arange(2), np.asarray([1, 2], np.uint64))
    row, seat = boards.acting()
    views = boards.views(row, seat)
    first = row == 0
    boards.step(row[first], seat[first], boards.legal(row[first], seat[first]).at(np.zeros(first.sum(), np.int64)))
    return views.take(np.flatnonzero(first)), views.take(np.flatnonzero(~first))


@pytest.mark.parametrize("make", ["states", "pyspiel", "arrays"])
def test_a_view_is_valid_until_its_own_match_moves(make: str) -> None:
    game = PublicGoods(seats=3) if make == "arrays" else registry.game("connect_four")
    boards = {"states": lambda: StateBoards(game, 2), "pyspiel": lambda: SpielBoards(game, 2), "arrays": lambda: game.boards(2)}[make]()  # type: ignore[arg-type]
    stale, fresh = moved(boards)
    for read in ("keys", "texts", "vectors", "states") + (("action_texts",) if make != "arrays" else ()):
        with pytest.raises(StaleView):
            getattr(stale, read)()
        assert len(getattr(fresh, read)()) > 0
    boards.start(np.asarray([1]), np.asarray([3], np.uint64))
    with pytest.raises(StaleView):
        fresh.keys()


def test_views_of_a_tree_do_not_go_stale() -> None:
    stale, fresh = moved(TreeBoards(Tree(registry.game("kuhn_poker")), 2))
    assert "Moves so far: none" in stale.texts()[0]
    assert "Moves so far: none" in fresh.texts()[0]


def test_rows_start_again_independently() -> None:
    for boards in kinds(registry.game("tic_tac_toe"), 3).values():
        boards.start(np.arange(3), np.arange(3).astype(np.uint64))
        row, seat = boards.acting()
        boards.step(row, seat, np.asarray([0, 1, 2]))
        boards.start(np.asarray([1]), np.asarray([9], np.uint64))
        boards.stop(np.asarray([2]))
        row, seat = boards.acting()
        assert row.tolist() == [0, 1]
        assert seat.tolist() == [1, 0]
        assert boards.legal(row, seat).lengths.tolist() == [8, 9]


def test_a_copied_state_does_not_move_its_match() -> None:
    for boards in kinds(registry.game("leduc_poker"), 2).values():
        boards.start(np.arange(2), np.arange(2).astype(np.uint64))
        row, seat = boards.acting()
        before = boards.views(row, seat).texts()
        for state in boards.views(row, seat).states():
            state.apply({0: 2})
        assert boards.views(row, seat).texts() == before


def test_own_history_is_the_key_where_the_game_gives_none() -> None:
    """coin_game gives observations only: two matches with equal observations and different own moves have different keys."""
    game = registry.game("openspiel:coin_game")
    boards = game.boards(2)
    boards.start(np.arange(2), np.asarray([4, 4], np.uint64))
    seen = []
    for move in (0, 1, 2):
        row, seat = boards.acting()
        views = boards.views(row, seat)
        keys = views.keys().tolist()
        seen.append(keys[0] == keys[1])
        boards.step(row, seat, np.asarray([move, (move + 1) % 3]))
    assert seen[0]
    assert not seen[2]


def test_the_table_shows_what_a_seat_may_not_know() -> None:
    game = registry.game("kuhn_poker")
    boards, rows = game.boards(64), np.arange(64)
    boards.start(rows, fold(0, rows))
    row, seat = boards.acting()
    views = boards.views(row, seat)
    assert len(np.unique(views.vectors(), axis=0)) == 3, "the first seat's card"
    tables = views.tables()
    assert tables.shape == (64, *(game.info.table or ()))
    assert len(np.unique(tables, axis=0)) == 6, "both cards"
    assert (views.take(rows[5:9]).tables() == tables[5:9]).all()


def test_an_information_set_outside_of_a_match_has_no_table() -> None:
    tree = Tree(registry.game("kuhn_poker"))
    with pytest.raises(TypeError, match="outside of a match has no table"):
        tree.views(np.arange(3)).tables()


def test_a_game_without_a_table_says_so() -> None:
    game = registry.game('talk(game="matrix(payoffs=stag_hunt)")')
    boards = game.boards(1)
    boards.start(np.zeros(1, np.int64), np.zeros(1, np.uint64))
    with pytest.raises(BrokenView, match=r"no view of the whole table as numbers \(GameInfo.table\)"):
        boards.views(*boards.acting()).tables()
