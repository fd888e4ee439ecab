"""A game unrolled: the right positions, the right information sets, and clear refusals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from games.public_goods.game import PublicGoods
from marl_llm import registry
from marl_llm.boards import BrokenRule, StateBoards
from marl_llm.exact import expected_returns
from marl_llm.game import Box, Discrete, Game, GameInfo, State, View
from marl_llm.tree import CHANCE, OVER, TooLarge, Tree, TreeBoards, tree_of


@pytest.mark.parametrize(
    ("spec", "infosets", "over"),
    [("kuhn_poker", 12, 30), ("leduc_poker", 936, 5520), ("openspiel:matrix_rps", 2, 9), ("kuhn_poker(players=3)", 48, 312)],
)
def test_sizes(spec: str, infosets: int, over: int) -> None:
    """Information sets as published for these games; terminal histories as counted by hand or by OpenSpiel."""
    tree = Tree(registry.game(spec))
    assert len(tree.keys) == infosets
    assert (tree.seat == OVER).sum() == over
    assert tree.perfect_recall


def test_positions_that_are_equal_are_one() -> None:
    tree = Tree(registry.game("tic_tac_toe"))
    decided = tree.seat >= 0
    assert tree.merged
    assert decided.sum() == len(tree.keys) == 4520  # 5,478 positions less 958 that are over
    assert len(set(tree.keys)) == 4520


def test_arrays_fit_together() -> None:
    tree = Tree(registry.game("leduc_poker"))
    lengths = tree.children.lengths
    assert (lengths[tree.seat == OVER] == 0).all()
    assert (lengths[tree.seat >= 0] == tree.legal.lengths[tree.infoset[tree.seat >= 0]]).all()
    assert (tree.children.data > tree.edge_node).all()
    np.testing.assert_allclose(
        np.add.reduceat(tree.chance[np.isin(tree.edge_node, np.flatnonzero(tree.seat == CHANCE))], [0]), [1 + 6 + 6 * 5 * 5]
    )
    for infoset, parent in enumerate(tree.own_parent.tolist()):
        if parent >= 0:
            above = int(tree.legal.row_of()[parent])
            assert tree.owner[above] == tree.owner[infoset]
            assert tree.own_depth[above] + 1 == tree.own_depth[infoset]


def test_tree_is_kept_with_its_game() -> None:
    game = registry.game("kuhn_poker")
    assert tree_of(game) is tree_of(game)


def test_uniform_play_has_the_value_of_sampled_play() -> None:
    game = registry.game("leduc_poker")
    tree = Tree(game)
    exact = expected_returns(tree, tree.uniform_policy())
    assert exact.sum() == pytest.approx(0)
    boards, rows = TreeBoards(tree, 4000), np.arange(4000)
    boards.start(rows, np.arange(4000).astype(np.uint64))
    rng = np.random.default_rng(0)
    while len((acting := boards.acting())[0]):
        legal = boards.legal(*acting)
        boards.step(*acting, legal.at((rng.random(len(legal)) * legal.lengths).astype(np.int64)))
    got = boards.returns(rows)
    assert abs(got.mean(0) - exact)[0] < 4 * got[:, 0].std() / 4000**0.5


class Pick(State):
    """One seat names 0 or 1 twice; ``key`` decides what it remembers."""

    def __init__(self, game: PickGame, moves: tuple[int, ...] = ()) -> None:
        self.game, self.moves = game, moves

    def to_act(self) -> tuple[int, ...]:
        return (len(self.moves) % self.game.info.seats,) if len(self.moves) < 2 else ()

    def legal(self, seat: int) -> Sequence[int]:
        return self.game.legal(self.moves)

    def apply(self, moves: Mapping[int, Any]) -> None:
        self.moves = (*self.moves, *moves.values())

    def returns(self) -> Sequence[float]:
        return [float(sum(self.moves))] * self.game.info.seats

    def view(self, seat: int | None) -> View:
        return View(text=lambda: f"move {len(self.moves)}", key=lambda: self.game.key(seat, self.moves))

    def clone(self) -> State:
        return Pick(self.game, self.moves)


class PickGame(Game):
    def __init__(self, key: Any, legal: Any = lambda moves: [0, 1], seats: int = 1) -> None:
        self.key, self.legal = key, legal
        self.info = GameInfo(
            name="pick", seats=seats, returns=(0, 2), max_decisions=2, action=Discrete(2), enumerable=True, key_kind="information"
        )

    def start(self, seed: int) -> State:
        return Pick(self)


def test_forgetting_is_noticed() -> None:
    assert Tree(PickGame(lambda seat, moves: str(moves))).perfect_recall
    assert not Tree(PickGame(lambda seat, moves: str(len(moves)))).perfect_recall


def test_a_key_of_two_seats_is_refused() -> None:
    with pytest.raises(BrokenRule, match="belongs to seat 0 and to seat 1"):
        Tree(PickGame(lambda seat, moves: "one", seats=2))


def test_legal_moves_must_follow_from_the_key() -> None:
    with pytest.raises(BrokenRule, match="differs inside one information set"):
        Tree(PickGame(lambda seat, moves: str(len(moves)), lambda moves: [0, 1] if sum(moves) == 0 else [1]))


def test_a_large_game_is_refused_and_played_match_by_match() -> None:
    with pytest.raises(TooLarge, match="more than 1,000 positions"):
        Tree(registry.game("leduc_poker"), max_nodes=1000)
    game = PickGame(lambda seat, moves: str(moves))
    game.info = GameInfo(name="box", seats=1, returns=(0, 1), max_decisions=1, action=Box(0, 1, (1,)))
    with pytest.raises(TooLarge, match="Box"):
        Tree(game)
    broken = PickGame(lambda seat, moves: "one", seats=2)
    assert isinstance(broken.boards(2), StateBoards)


def test_seats_that_move_at_once_do_not_see_each_other() -> None:
    tree = Tree(PublicGoods(seats=3, levels=2))
    assert len(tree.keys) == 3
    assert (tree.legal.lengths == 3).all()
    uniform = expected_returns(tree, tree.uniform_policy())
    np.testing.assert_allclose(uniform, 1 - 0.5 + 0.5 * 3 * 0.5)
