"""Matrix games: equilibria of the literature by exact exploitability, repeated play as a sum, texts, files and refusals."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import numpy as np
import pyspiel
import pytest

from games.matrix import Matrix
from games.payoff_tables import NAMED, payoff_table
from marl_llm import registry
from marl_llm.errors import UserError
from marl_llm.exact import expected_returns, exploitability
from marl_llm.tree import Tree, tree_of

PURE = {
    "prisoners_dilemma": {(1, 1)},
    "rps": set(),
    "matching_pennies": set(),
    "chicken": {(0, 1), (1, 0)},
    "stag_hunt": {(0, 0), (1, 1)},
    "battle_of_sexes": {(0, 0), (1, 1)},
    "shapley": set(),
    "climbing": {(0, 0), (1, 1)},
    "penalty": {(0, 2), (2, 0), (1, 1)},
    "qmix": {(0, 0), (1, 1), (1, 2), (2, 1), (2, 2)},
}
UTILITY = {"rps": "zero_sum", "matching_pennies": "zero_sum", "climbing": "team", "penalty": "team", "qmix": "team"}


def mixed(tree: Tree, strategies: list[list[float]]) -> np.ndarray:
    """The policy in which every seat plays its strategy in every information set."""
    return np.concatenate([strategies[seat] for seat in tree.owner])


def pure(tree: Tree, joint: tuple[int, ...]) -> np.ndarray:
    shape = tree.game.table.payoffs.shape[1:]  # type: ignore[attr-defined]
    return mixed(tree, [np.eye(n)[action].tolist() for n, action in zip(shape, joint, strict=True)])


def test_every_name_has_its_pure_equilibria() -> None:
    assert set(PURE) == set(NAMED)
    for name, expected in PURE.items():
        game = registry.game(f"matrix(payoffs={name})")
        assert isinstance(game, Matrix)
        tree = tree_of(game)
        joints = list(product(*map(range, game.table.payoffs.shape[1:])))
        found = {joint for joint in joints if exploitability(tree, pure(tree, joint)) < 1e-12}
        assert found == expected, name
        for joint in joints:
            np.testing.assert_allclose(expected_returns(tree, pure(tree, joint)), game.table.payoffs[:, *joint])
        assert game.info.utility == UTILITY.get(name, "general"), name
        assert game.info.returns == (game.table.payoffs.min(), game.table.payoffs.max())


@pytest.mark.parametrize(
    ("name", "first", "second", "value"),
    [
        ("rps", [1 / 3] * 3, [1 / 3] * 3, (0, 0)),
        ("matching_pennies", [0.5, 0.5], [0.5, 0.5], (0, 0)),
        ("battle_of_sexes", [0.6, 0.4], [0.4, 0.6], (1.2, 1.2)),
        ("chicken", [0.5, 0.5], [0.5, 0.5], (2, 2)),
        ("shapley", [1 / 3] * 3, [1 / 3] * 3, (1 / 3, 1 / 3)),
    ],
)
def test_mixed_equilibria(name: str, first: list[float], second: list[float], value: tuple[float, float]) -> None:
    tree = tree_of(registry.game(f"matrix(payoffs={name})"))
    assert exploitability(tree, mixed(tree, [first, second])) == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(expected_returns(tree, mixed(tree, [first, second])), value, atol=1e-12)
    away = (0.9 * np.asarray(first) + 0.1 * np.eye(len(first))[0]).tolist()
    assert exploitability(tree, mixed(tree, [away, second])) > 0.01


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("rps", "matrix_rps"),
        ("matching_pennies", "matrix_mp"),
        ("chicken", "matrix_cd"),
        ("stag_hunt", "matrix_sh"),
        ("battle_of_sexes", "matrix_bos"),
        ("shapley", "matrix_shapleys_game"),
    ],
)
def test_numbers_are_those_of_openspiel(name: str, theirs: str) -> None:
    native = pyspiel.load_matrix_game(theirs)
    np.testing.assert_array_equal(payoff_table(name).payoffs, [native.row_utilities(), native.col_utilities()])


def test_dilemmas_are_dilemmas() -> None:
    temptation, reward, punishment, sucker = (payoff_table("prisoners_dilemma").payoffs[0][k] for k in ((1, 0), (0, 0), (1, 1), (0, 1)))
    assert temptation > reward > punishment > sucker
    assert 2 * reward > temptation + sucker
    np.testing.assert_array_equal(payoff_table("penalty(k=-25)").payoffs[1], [[-25, 0, 10], [0, 2, 0], [10, 0, -25]])
    np.testing.assert_array_equal(payoff_table("penalty").payoffs[0], payoff_table("penalty(k=-100)").payoffs[0])


@pytest.mark.parametrize("memory", [0, 1, 4])
def test_repeated_play_is_the_sum_of_its_rounds(memory: int) -> None:
    payoffs = np.random.default_rng(1).normal(size=(3, 2, 3, 2))
    game, rng = Matrix(payoffs, 5, memory), np.random.default_rng(2)
    boards, row = game.boards(50), np.arange(50)
    boards.start(row, row.astype(np.uint64))
    moves = np.stack([rng.integers(0, n, (5, 50)) for n in (2, 3, 2)], -1)
    for joint in moves:
        over = boards.step(*boards.acting(), joint.ravel())
    np.testing.assert_array_equal(over, row)
    expected = sum(payoffs[:, *joint.T].T for joint in moves)
    np.testing.assert_allclose(boards.returns(row), expected, atol=1e-12)
    assert game.info.returns == (5 * payoffs.min(), 5 * payoffs.max())


def test_the_repeated_dilemma_unravels() -> None:
    """Three rounds with full memory: to defect always is an equilibrium, to cooperate always loses 2 a round to a defector."""
    tree = tree_of(Matrix("prisoners_dilemma", 3))
    assert tree.perfect_recall
    assert exploitability(tree, pure(tree, (1, 1))) == pytest.approx(0)
    assert exploitability(tree, pure(tree, (0, 0))) == pytest.approx(3 * 2)
    np.testing.assert_allclose(expected_returns(tree, mixed(tree, [[0.5, 0.5]] * 2)), [3 * 2.25] * 2)


def test_memory_says_what_is_seen() -> None:
    played = [(0, 1), (1, 2), (2, 2)]
    texts, keys, vectors = {}, {}, {}
    for memory in (0, 1, 3):
        state = Matrix("rps", 4, memory).start(0)
        for first, second in played:
            state.apply({0: first, 1: second})
        view = state.view(1)
        texts[memory], keys[memory], vectors[memory] = view.text, view.key, view.vector
        other = Matrix("rps", 4, memory).start(0)
        for first, second in [(1, 1), *played[1:]]:
            other.apply({0: first, 1: second})
        assert (other.view(1).key == view.key) == (other.view(1).text == view.text) == (memory < 3)
    assert texts[0] == "You are player 2. Round 4 of 4."
    assert texts[1] == "You are player 2. Round 4 of 4. In round 3 player 1 chose scissors, you chose scissors."
    assert texts[3].count("In round") == 3
    np.testing.assert_array_equal(vectors[0], [0.75])
    np.testing.assert_array_equal(vectors[1], [0.75, 0, 0, 1, 0, 0, 1])
    np.testing.assert_array_equal(vectors[3][1:7], [1, 0, 0, 0, 1, 0])
    assert {memory: Matrix("rps", 4, memory).info.key_kind for memory in (1, 3)} == {1: "state", 3: "information"}
    assert not tree_of(Matrix("rps", 3, 1)).perfect_recall


def test_rules_tell_the_table_to_every_seat() -> None:
    game = Matrix(np.arange(3 * 2 * 3 * 2).reshape(3, 2, 3, 2), 2)
    lines = game.rules(1).splitlines()
    assert lines[0] == "A game of 3 players, who choose at once, in each of 2 rounds. You choose one of A, B, C."
    assert len(lines) == 1 + 12
    assert "you C, player 1 B, player 3 A: you get 22, player 1 gets 10, player 3 gets 34" in lines
    assert "you B, player 2 A: everyone gets -12" in Matrix("qmix").rules(0)
    assert "you defect, player 2 cooperate: you get 5, player 2 gets 0" in Matrix().rules(0)
    assert [game.action_text(1, action) for action in range(3)] == ["A", "B", "C"]
    assert game.start(0).legal(0) == range(2)


def test_many_actions_have_numbers() -> None:
    game = Matrix(np.zeros((30, 2)), team=True)
    assert game.action_text(0, 29) == "30"


@pytest.mark.parametrize(
    ("payoffs", "utility"),
    [
        ([[[0.1, 0.2]], [[0.2, -0.7]], [[-0.3, 0.5]]], None),
        ([[[0.1], [0.7]], [[-0.1], [-0.7]]], "zero_sum"),
        ([[[[0.1, 0.2]]], [[[0.2, -0.7]]], [[[-0.3, 0.5]]]], "zero_sum"),
        ([[[1], [2]], [[1], [2]]], "team"),
        ([[[1], [2]], [[1], [2.1]]], "general"),
        ([[[1], [2]], [[1], [0]]], "general"),
        ([[3, 4]], "team"),
        ([[[0, 0]], [[0, 0]]], "team"),
    ],
)
def test_utility_is_read_from_the_table(payoffs: list[object], utility: str | None) -> None:
    if utility is None:
        with pytest.raises(UserError, match=r"shape \(3, 1, 2\)"):
            Matrix(payoffs)
    else:
        assert Matrix(payoffs).info.utility == utility


def test_tables_come_from_files_and_literals(tmp_path: Path) -> None:
    shared = [[4.0, 0], [0, 2]]
    np.save(tmp_path / "team.npy", shared)
    (tmp_path / "both.json").write_text(json.dumps([shared, shared]))
    specs = [f"payoffs='{tmp_path / 'team.npy'}',team=True", f"payoffs='{tmp_path / 'both.json'}'", "payoffs=[[4,0],[0,2]],team=True"]
    for spec in specs:
        game = registry.game(f"matrix({spec})")
        assert isinstance(game, Matrix)
        np.testing.assert_array_equal(game.table.payoffs, [shared, shared])
    given = np.asarray([shared, shared])
    game = Matrix(given)
    given[:] = 9
    np.testing.assert_array_equal(game.table.payoffs, [shared, shared])
    with pytest.raises(ValueError, match="read-only"):
        game.table.payoffs[0] = 1


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("[[1, 2")
    np.save(tmp_path / "objects.npy", np.asarray([None], object))
    (tmp_path / "empty.npy").touch()
    for name in ("missing.npy", "broken.json", "objects.npy", "empty.npy"):
        with pytest.raises(UserError, match=rf"cannot read payoffs .*{name}.*; expected numbers in a file") as caught:
            Matrix(str(tmp_path / name))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("parameters", "line"),
    [
        ("payoffs=rpz", "unknown payoffs 'rpz'; did you mean rps"),
        ("payoffs=[[1,2],[3]]", "payoffs has rows of different lengths; expected numbers of shape"),
        ("payoffs=[[1,2],[3,4]]", r"payoffs has shape \(2, 2\); expected numbers of shape .* or team=True"),
        ("payoffs=[[1,2],[3,4]],rounds=0", "expected numbers of shape"),
        ("payoffs=[]", r"shape \(0,\)"),
        ("payoffs=5,team=True", r"shape \(\); expected numbers of shape \[a_1, .., a_N\]"),
        ("payoffs=[[1,1e999]]", r"payoffs is inf at \[0, 1\]; expected finite numbers"),
        ("payoffs=[['a','b']]", "which is not an array of numbers"),
        ("payoffs=None", "payoffs is None, which is not an array of numbers"),
        ("payoffs=climbing,team=True", "team is True and payoffs are 'climbing'"),
        ("payoffs='penalty(k=5)'", "k of penalty is '5'; expected a number of at most 0"),
        ("payoffs='penalty(k=nan)'", "k of penalty is 'nan'"),
        ("payoffs='penalty(k=-inf)'", "k of penalty is '-inf'"),
        ("payoffs='rps(k=5)'", "cannot read payoffs 'rps.k=5.'; expected a name alone"),
        ("rounds=0", "rounds is 0; expected an integer of at least 1"),
        ("rounds=2.5", "rounds is 2.5"),
        ("rounds=3,memory=3", "memory is 3 and rounds is 3; expected a memory below"),
        ("rounds=3,memory=-1", "memory is -1; expected an integer of at least 0"),
        ("rounds=100", "99 rounds of 4 joint moves cannot be remembered; expected a smaller memory, such as 1"),
        ("seats=3", "parameters: payoffs, rounds, memory, team"),
    ],
)
def test_refusals(parameters: str, line: str) -> None:
    with pytest.raises(UserError, match=line) as caught:
        registry.game(f"matrix({parameters})")
    assert "\n" not in str(caught.value)


def test_not_a_number_from_python() -> None:
    with pytest.raises(UserError, match=r"payoffs is nan at \[1, 0\]"):
        Matrix(np.asarray([[1, 2], [np.nan, 4]]), team=True)
