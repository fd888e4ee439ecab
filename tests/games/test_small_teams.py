"""Two-step, coordination and congestion games, and tiny Hanabi: optima and equilibria of the literature, by brute force."""

from __future__ import annotations

from collections import Counter
from itertools import product

import numpy as np
import pytest

from games.congestion import Congestion
from games.coordination import Coordination
from marl_llm import registry
from marl_llm.check import check_game
from marl_llm.errors import UserError
from marl_llm.exact import best_response, expected_returns, exploitability
from marl_llm.tree import Tree, tree_of


def pure(tree: Tree, actions: dict[str, int]) -> np.ndarray:
    """The policy that plays the action of each key."""
    return np.concatenate([np.eye(len(tree.legal[i]))[actions[key]] for i, key in enumerate(tree.keys)])


@pytest.mark.parametrize(
    "spec", ["two_step", "tiny_hanabi", "tiny_hanabi(num_players=3,num_chance=1,num_actions=2,payoff=1;2;3;4;5;6;7;8)"]
)
def test_keeps_the_contract(spec: str) -> None:
    check_game(registry.game(spec), matches=10).require()


def test_two_step_has_its_optimum_and_its_trap() -> None:
    """The best of all 2^8 pure policies is 8. To take the safe way is an equilibrium worth 7 if both would then miss in B."""
    tree = tree_of(registry.game("two_step"))
    assert tree.perfect_recall
    assert len(tree.keys) == 3 + 5
    policies = [pure(tree, dict(zip(tree.keys, actions, strict=True))) for actions in product(range(2), repeat=8)]
    returns = np.asarray([expected_returns(tree, policy) for policy in policies])
    assert returns.max() == 8
    assert set(returns.ravel()) == {0, 1, 7, 8}
    best = policies[int(returns[:, 0].argmax())]
    assert exploitability(tree, best) == 0
    safe = pure(tree, dict.fromkeys(tree.keys, 0))
    assert expected_returns(tree, safe).tolist() == [7, 7]
    assert exploitability(tree, safe) == 0


def test_two_step_pays_by_the_state() -> None:
    for first, second in product(product(range(2), repeat=2), repeat=2):
        state = registry.game("two_step").start(0)
        state.apply(dict(enumerate(first)))
        assert state.returns() == (0, 0)
        assert f"state {'AB'[first[0]]}. In step 1 you chose {'AB'[first[1]]}." in state.view(1).text
        np.testing.assert_array_equal(state.view(1).vector, [0, first[0] == 0, first[0] == 1, first[1] == 0, first[1] == 1])
        np.testing.assert_array_equal(state.view(None).vector, [0, first[0] == 0, first[0] == 1])
        state.apply(dict(enumerate(second)))
        pay = 7 if first[0] == 0 else [[0, 1], [1, 8]][second[0]][second[1]]
        assert state.returns() == (pay, pay)


def pay(bits: tuple[int, ...], margin: int) -> float:
    """The rule of the coordination game, written once more."""
    ones = sum(bits)
    zeros = len(bits) - ones
    if abs(zeros - ones) <= margin:
        return 1.0 if ones > zeros else 0.0
    return 3.0 if zeros > ones else 2.0


def by_value_iteration(seats: int, margin: int, rounds: int, discount: float) -> float:
    """The best expected return, over all Markov joint policies, by backward induction."""
    bits = list(product(range(2), repeat=seats))
    chance = np.asarray([[np.prod([0.9 if a == b else 0.1 for a, b in zip(aim, got, strict=True)]) for got in bits] for aim in bits])
    value = np.zeros(len(bits))
    reward = np.asarray([pay(b, margin) for b in bits])
    for _ in range(rounds):
        value = reward + discount * (chance @ value).max()
    return float(value.mean())


@pytest.mark.parametrize(
    ("seats", "margin", "value", "ones"), [(2, 1, 47.8, 0.6820), (3, 1, 43.104, 0.7743), (5, 2, 53.77816, 0.6985), (10, 3, None, None)]
)
def test_coordination_has_the_values_of_the_literature(seats: int, margin: int, value: float | None, ones: float | None) -> None:
    game = Coordination(seats, rounds=800)
    assert game.margin == margin
    bits = game.bits(np.arange(2**seats))
    assert game.pay.tolist() == [pay(tuple(b), margin) for b in bits.tolist()]
    assert game.noise.sum() == pytest.approx(1)
    if value is not None:
        assert game.optimum() == pytest.approx(value, abs=1e-5)
        safe = game.pay.mean() + 0.95 / 0.05 * (game.noise @ game.pay[::-1])  # all choose ones: f flips bits of all ones
        assert safe / value == pytest.approx(ones, abs=6e-5)
    for rounds, discount in ((2, 0.9), (7, 1.0), (800, 0.95)) if seats < 10 else ():
        brute = by_value_iteration(seats, margin, rounds, discount)
        assert Coordination(seats, rounds, discount).optimum() == pytest.approx(brute)


@pytest.mark.parametrize("seats", [2, 3])
def test_all_zeros_is_worth_the_optimum(seats: int) -> None:
    game = Coordination(seats, 2, 0.8)
    tree = tree_of(game)
    np.testing.assert_allclose(expected_returns(tree, pure(tree, dict.fromkeys(tree.keys, 0))), game.optimum())
    assert expected_returns(tree, tree.uniform_policy())[0] < game.optimum() - 0.1


def test_bits_are_got_with_probability_nine_tenths() -> None:
    game, rows = Coordination(3, 2), 20_000
    boards = game.boards(rows)
    boards.start(np.arange(rows), np.arange(rows, dtype=np.uint64))
    bits = game.bits(boards.position)  # type: ignore[attr-defined]
    np.testing.assert_allclose(bits.mean(0), 0.5, atol=0.015)
    boards.step(*boards.acting(), np.tile([1, 0, 1], rows))
    bits = game.bits(boards.position % game.span)  # type: ignore[attr-defined]
    np.testing.assert_allclose(bits.mean(0), [0.9, 0.1, 0.9], atol=0.01)
    assert abs(np.corrcoef(bits.T) - np.eye(3)).max() < 0.03


def test_coordination_reads_well() -> None:
    game = Coordination(3)
    assert "3 if zeros outnumber ones by more than 1, 2 if ones outnumber zeros by more than 1" in game.rules(0)
    assert "counts 0.95 times" in game.rules(0)
    assert "counts" not in Coordination(3, 5, 1).rules(0)
    assert game.text(game.span * 4 + 0b110, 1) == "You are player 2 and your bit is 1. Round 5 of 20. The bits of players 1 to 3: 0 1 1."
    np.testing.assert_allclose(game.vectors(np.asarray([game.span * 4 + 0b110])), [[0.2, 0, 1, 1]])


def site_gains(values: list[float], joint: tuple[int, ...]) -> list[float]:
    there = Counter(joint)
    return [values[site] / there[site] for site in joint]


@pytest.mark.parametrize(("seats", "sites"), [(1, 3), (2, 3), (3, 6), (4, 3), (5, 4)])
def test_congestion_by_brute_force(seats: int, sites: int) -> None:
    game = Congestion(seats, sites)
    values = [0.5 * site for site in range(1, sites + 1)]
    joints = list(product(range(sites), repeat=seats))
    expected = [site_gains(values, joint) for joint in joints]
    np.testing.assert_allclose(game.gains(np.zeros(len(joints), np.int64), np.asarray(joints)), expected)
    assert game.optimum() == pytest.approx(max(map(sum, expected)))
    low, high = game.info.returns
    assert (low, high) == (np.min(expected), np.max(expected))
    tree = tree_of(game)
    filled = np.repeat(np.arange(sites), game.equilibrium())
    assert len(filled) == seats
    keys = {key: int(filled[seat]) for key, seat in zip(tree.keys, tree.owner.tolist(), strict=True)}
    assert exploitability(tree, pure(tree, keys)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("seats", [3, 6, 9, 12, 24])
def test_congestion_of_the_source(seats: int) -> None:
    """The populations of the source: totals of 7.5 and 10.5, and an equilibrium that nobody gains by leaving."""
    game = Congestion(seats)
    assert game.optimum() == pytest.approx(7.5 if seats == 3 else 10.5)
    there = game.equilibrium()
    assert there.sum() == seats
    for site in np.flatnonzero(there):
        elsewhere = np.delete(game.values / (there + 1), site)
        assert game.values[site] / there[site] >= elsewhere.max()
    assert game.info.anonymous
    assert "site 6 3" in game.rules(0)


def test_tiny_hanabi_reads_as_it_pays() -> None:
    """Every deal and choice: the views name the seat's card and the choices, and the rules' table has the return."""
    game = registry.game("tiny_hanabi")
    table = {}
    for line in game.rules(0).splitlines()[1:]:
        cards, _, paid = line.removeprefix("cards ").partition(": ")
        for entry in paid.split(", "):
            *names, value = entry.split()
            table[cards, *names] = float(value)
    assert len(table) == 2 * 2 * 3 * 3
    for *cards, first, second in product(range(2), range(2), range(3), range(3)):
        state = game.start(0)
        for card in cards:
            state.apply_chance(card)
        assert state.view(0).text == f"You are player 1. Your card is {cards[0] + 1}. Choices so far: none."
        assert [state.action_text(0, action) for action in range(3)] == ["A", "B", "C"]
        state.apply({0: first})
        assert state.view(1).text == f"You are player 2. Your card is {cards[1] + 1}. Choices so far: player 1 {'ABC'[first]}."
        state.apply({1: second})
        assert list(state.returns()) == [table[f"{cards[0] + 1} {cards[1] + 1}", "ABC"[first], "ABC"[second]]] * 2


def test_tiny_hanabi_has_its_optimum() -> None:
    """A first choice that tells the card, with the best answer to it, is worth 10; the safe one that tells nothing, B, is worth 8."""
    tree = tree_of(registry.game("tiny_hanabi"))
    first = [i for i, owner in enumerate(tree.owner) if owner == 0]
    worth = {}
    for actions in product(range(3), repeat=2):
        policy = tree.uniform_policy()
        for infoset, action in zip(first, actions, strict=True):
            policy[tree.legal.starts[infoset] : tree.legal.starts[infoset + 1]] = np.eye(3)[action]
        worth[actions] = best_response(tree, policy, 1)[0]
    assert max(worth.values()) == 10
    assert worth[1, 1] == 8


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        ("coordination(seats=11)", "seats is 11; expected an integer of 2 to 10"),
        ("coordination(seats=1)", "seats is 1; expected an integer of 2 to 10"),
        ("coordination(rounds=1)", "rounds is 1; expected an integer of at least 2"),
        ("coordination(rounds=10**18)", "cannot read"),
        ("coordination(rounds=1000000000000000)", "rounds is 1000000000000000; expected fewer than"),
        ("coordination(discount=1.5)", "discount is 1.5; expected a number above 0 and up to 1"),
        ("coordination(discount=nan)", "discount is 'nan'"),
        ("congestion(seats=0)", "seats is 0; expected an integer of at least 1"),
        ("congestion(sites=2.0)", "sites is 2.0"),
        ("two_step(seats=3)", "parameters: none"),
    ],
)
def test_refusals(spec: str, line: str) -> None:
    with pytest.raises(UserError, match=line) as caught:
        registry.game(spec)
    assert "\n" not in str(caught.value)
