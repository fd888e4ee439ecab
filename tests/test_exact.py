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
    expected_returns,
    exploitability,
    nash_conv,
    own_reach,
    policy_of,
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
