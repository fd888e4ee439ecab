"""Exact evaluation against OpenSpiel's own, and what averaging policies means."""

from __future__ import annotations

import numpy as np
import pyspiel
import pytest
from open_spiel.python import policy as spiel
from open_spiel.python.algorithms import expected_game_score
from open_spiel.python.algorithms import exploitability as spiel_exploitability

from marl_llm import registry
from marl_llm.agents.random import RandomAgent
from marl_llm.exact import (
    AveragedPolicy,
    NotExact,
    best_response,
    best_responses,
    expected_returns,
    exploitability,
    join,
    nash_conv,
    own_reach,
    policy_of,
    results,
)
from marl_llm.ragged import segment_sum
from marl_llm.tree import TooLarge, Tree, tree_of

GAMES = ["kuhn_poker", "kuhn_poker(players=3)", "leduc_poker", "openspiel:liars_dice(numdice=1,dice_sides=3)"]


def random_policy(tree, seed):
    weights = np.random.default_rng(seed).random(len(tree.legal.data)) ** 3 + 1e-3
    return weights / np.repeat(segment_sum(weights, tree.legal.starts), tree.legal.lengths)


def as_spiel(game, tree, policy):
    """The same policy as OpenSpiel's tabular one."""
    table = spiel.TabularPolicy(game)
    for i, key in enumerate(tree.keys):
        row = table.policy_for_key(key.split(":", 1)[1])
        row[:] = 0
        row[tree.legal[i]] = policy[tree.legal.starts[i] : tree.legal.starts[i + 1]]
    return table


@pytest.mark.parametrize("spec", GAMES)
def test_equal_to_openspiel(spec):
    tree = tree_of(registry.game(spec))
    native = pyspiel.load_game(spec.removeprefix("openspiel:"))
    for policy in (tree.uniform_policy(), random_policy(tree, 1)):
        theirs = as_spiel(native, tree, policy)
        assert nash_conv(tree, policy) == pytest.approx(spiel_exploitability.nash_conv(native, theirs), abs=1e-9)
        scores = expected_game_score.policy_value(native.new_initial_state(), [theirs] * tree.info.seats)
        assert expected_returns(tree, policy) == pytest.approx(scores, abs=1e-9)


def test_known_values():
    """Uniform Kuhn 0.458, uniform Leduc NashConv 4.7472 (published), rock-paper-scissors 0."""
    values = {spec: nash_conv(t := tree_of(registry.game(spec)), t.uniform_policy()) for spec in ("kuhn_poker", "leduc_poker")}
    assert values == pytest.approx({"kuhn_poker": 0.916667, "leduc_poker": 4.747222}, abs=1e-6)
    rps = tree_of(registry.game("openspiel:matrix_rps"))
    assert nash_conv(rps, rps.uniform_policy()) == pytest.approx(0)
    assert exploitability(tree_of(registry.game("kuhn_poker")), random_policy(tree_of(registry.game("kuhn_poker")), 0)) > 0


def test_simultaneous_moves_are_not_seen():
    spec = "goofspiel(num_cards=3,imp_info=True,points_order=descending)"
    tree = tree_of(registry.game(f"openspiel:{spec}"))
    native = pyspiel.convert_to_turn_based(pyspiel.load_game(spec))
    theirs = spiel_exploitability.nash_conv(native, spiel.UniformRandomPolicy(native))
    assert nash_conv(tree, tree.uniform_policy()) == pytest.approx(theirs, abs=1e-9)


def test_perfect_play_of_tic_tac_toe_is_a_draw():
    tree = tree_of(registry.game("tic_tac_toe"))
    minimax = policy_of(tree, registry.agent("minimax"))
    assert exploitability(tree, minimax) == 0
    assert expected_returns(tree, minimax).tolist() == [0, 0]
    value, response = best_response(tree, minimax, 1)
    assert value == 0
    assert expected_returns(tree, response).tolist() == [0, 0]
    assert nash_conv(tree, tree.uniform_policy()) == pytest.approx(1.9196594, abs=1e-6)


def brute_force(state, policies, seat):
    """Chances that ``seat`` wins, draws and loses, by going through every line of play of pyspiel's own state."""
    if state.is_terminal():
        sign = np.sign(state.returns()[seat])
        return np.asarray([sign > 0, sign == 0, sign < 0], float)
    moves = state.chance_outcomes() if state.is_chance_node() else policies[state.current_player()](state)
    return sum(p * brute_force(state.child(move), policies, seat) for move, p in moves if p)


def evenly(state):
    legal = state.legal_actions()
    return [(move, 1 / len(legal)) for move in legal]


def test_results_of_random_tic_tac_toe():
    """Published: the first seat wins 58.5%, the second 28.8%, and 12.7% are draws."""
    tree = tree_of(registry.game("tic_tac_toe"))
    found = results(tree, tree.uniform_policy())
    seen = {}

    def chances(state):  # every line, with equal boards gone through once
        key = str(state), state.is_terminal()
        if key not in seen:
            over = state.is_terminal()
            seen[key] = brute_force(state, None, 0) if over else sum(chances(state.child(a)) * p for a, p in evenly(state))
        return seen[key]

    expected = chances(pyspiel.load_game("tic_tac_toe").new_initial_state())
    assert expected == pytest.approx([0.585, 0.127, 0.288], abs=5e-4)
    assert found[0] == pytest.approx(expected, abs=1e-12)
    assert found[1] == pytest.approx(expected[::-1], abs=1e-12)


@pytest.mark.parametrize("spec", ["kuhn_poker", "kuhn_poker(players=3)"])
def test_results_of_a_match_up(spec):
    """A policy in each seat and another in the others, against a walk over pyspiel's states."""
    tree, native = tree_of(registry.game(spec)), pyspiel.load_game(spec)
    seats = tree.info.seats
    mine, theirs = random_policy(tree, 5), random_policy(tree, 6)
    for seat in range(seats):
        spiel_policies = [as_spiel(native, tree, mine if other == seat else theirs) for other in range(seats)]
        walked = [lambda state, table=table: table.action_probabilities(state).items() for table in spiel_policies]
        both = join(tree, [mine if other == seat else theirs for other in range(seats)])
        for other in range(seats):
            expected = brute_force(native.new_initial_state(), walked, other)
            assert results(tree, both)[other] == pytest.approx(expected, abs=1e-12)


def test_best_responses_are_one_a_seat():
    tree = tree_of(registry.game("kuhn_poker(players=3)"))
    policy = random_policy(tree, 2)
    values = best_responses(tree, policy)
    assert values.tolist() == [best_response(tree, policy, seat)[0] for seat in range(3)]
    assert nash_conv(tree, policy) == pytest.approx((values - expected_returns(tree, policy)).sum(), abs=1e-12)


def test_agent_s_policy():
    tree = tree_of(registry.game("leduc_poker"))
    assert policy_of(tree, RandomAgent()) == pytest.approx(tree.uniform_policy())


@pytest.mark.parametrize("spec", ["kuhn_poker", "leduc_poker"])
def test_average_is_one_member_drawn_for_each_match(spec):
    """Against any fixed opponent the averaged policy gains what its members gain on average; averaging the
    probabilities of each information set does not."""
    tree = tree_of(registry.game(spec))
    members, weights = [random_policy(tree, seed) ** 2 for seed in range(3)], [1.0, 2.0, 5.0]
    members = [m / np.repeat(segment_sum(m, tree.legal.starts), tree.legal.lengths) for m in members]
    average = AveragedPolicy(tree)
    for member, weight in zip(members, weights, strict=True):
        average.add(member, weight)
    opponent = random_policy(tree, 9)
    owner = np.repeat(tree.owner, tree.legal.lengths)
    apart = []
    for seat in (0, 1):

        def gain(policy, seat=seat):
            return expected_returns(tree, np.where(owner == seat, policy, opponent))[seat]

        mixture = np.average([gain(member) for member in members], weights=weights)
        assert gain(average.policy()) == pytest.approx(mixture, abs=1e-12)
        apart.append(abs(gain(np.average(members, axis=0, weights=weights)) - mixture))
    assert max(apart) > 1e-3


def test_own_reach_is_a_product_of_own_moves():
    tree = tree_of(registry.game("kuhn_poker"))
    policy = random_policy(tree, 4)
    x = own_reach(tree, policy)
    first = tree.keys.index("0:0")
    second = tree.keys.index("0:0pb")
    assert x[first] == 1
    assert x[second] == pytest.approx(policy[tree.legal.starts[first]])


def test_what_cannot_be_exact_is_refused():
    with pytest.raises(TooLarge, match="more than 1,000 positions"):
        Tree(registry.game("leduc_poker"), max_nodes=1000)
    tree = tree_of(registry.game("tic_tac_toe"))
    with pytest.raises(NotExact, match="own reach is not defined"):
        AveragedPolicy(tree).add(tree.uniform_policy(), 1.0)
