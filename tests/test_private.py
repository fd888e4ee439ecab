"""Twins: the information sets that differ only in the seat's private chance; and how far play differs between them."""

from __future__ import annotations

import re
from collections import defaultdict
from itertools import combinations

import numpy as np
import pytest

from marl_llm import registry
from marl_llm.exact import policy_of
from marl_llm.private import COLLAPSED, private_tv, twins
from marl_llm.tree import tree_of

CARD = {"kuhn_poker": r"(?<=:)\d", "kuhn_poker(players=3)": r"(?<=:)\d", "leduc_poker": r"\[Private: \d\]"}


def distance(spec, policy):
    tree = tree_of(registry.game(spec))
    return private_tv(tree, policy(tree), twins(tree))


def always(*preferred):
    """The policy that plays the first of ``preferred`` that is legal."""

    def policy(tree):
        chosen = [
            next(legal.index(a) for a in preferred if a in legal) for legal in (tree.legal[i].tolist() for i in range(len(tree.keys)))
        ]
        flat = np.zeros(len(tree.legal.data))
        flat[tree.legal.starts[:-1] + chosen] = 1
        return flat

    return policy


@pytest.mark.parametrize("spec", CARD)
def test_twins_are_the_keys_that_differ_in_the_private_card(spec):
    tree = tree_of(registry.game(spec))
    same = defaultdict(list)
    for i, key in enumerate(tree.keys):
        same[re.sub(CARD[spec], "card", key, count=1)].append(i)
    assert twins(tree).tolist() == sorted(list(pair) for group in same.values() for pair in combinations(group, 2))


@pytest.mark.parametrize("spec", ["tic_tac_toe", "openspiel:goofspiel(num_cards=3,imp_info=True,points_order=random)"])
def test_public_chance_and_hidden_moves_make_no_twins(spec):
    assert not len(twins(tree_of(registry.game(spec))))
    assert distance(spec, lambda tree: tree.uniform_policy()) is None


def test_what_the_rules_alone_tell_apart_is_no_difference_in_play():
    """In a sealed-bid auction each value has its own legal bids: none of its information sets are compared."""
    assert not len(twins(tree_of(registry.game("openspiel:first_sealed_auction(max_value=3)"))))


@pytest.mark.parametrize("spec", CARD)
def test_blind_play_is_at_no_distance_and_equilibrium_is(spec):
    assert distance(spec, lambda tree: tree.uniform_policy()) == 0
    assert distance(spec, always(1)) == 0
    assert distance(spec, always(0, 1)) == 0
    assert distance(spec, lambda tree: policy_of(tree, registry.agent("cfr"))) > 4 * COLLAPSED


def test_the_distance_is_weighted_by_play():
    """In Kuhn poker the first seat bets with the king alone and the second always passes: only the first seat's two pairs
    with the king are apart, and each pair weighs as much as play comes to its two information sets."""
    tree = tree_of(registry.game("kuhn_poker"))
    policy = always(0)(tree)
    king = tree.keys.index("0:2")
    policy[tree.legal.starts[king] : tree.legal.starts[king + 1]] = [0, 1]
    first, after_pass, after_bet = [1 / 3, 1 / 3, 1 / 3], [1 / 6, 1 / 6, 1 / 3], [1 / 6, 1 / 6, 0]  # by the holder's card
    weight = sum(a + b for reached in (first, after_pass, after_bet) for a, b in combinations(reached, 2))
    assert private_tv(tree, policy, twins(tree)) == pytest.approx(2 * (1 / 3 + 1 / 3) / weight)
