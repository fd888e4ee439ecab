"""Trees of matches: where they branch, what is cut off, and that a fork is the match it came from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithms.composed import Composed
from algorithms.forks import Played
from algorithms.lookahead import Lookahead, edit_distance
from algorithms.recipes.latr import recipe
from algorithms.samplers import Groups
from marl_llm import registry
from marl_llm.agents.pool import AgentPool
from marl_llm.algorithm import Setup, Unsuitable
from marl_llm.iteration import played
from marl_llm.play import play
from marl_llm.ragged import starts_of
from marl_llm.records import Batch
from tests.algorithms.batches import batch_of
from tests.inference.models import random_agent


def turn_of(*p, chosen=0):
    """One turn with these probabilities of its moves."""
    batch = batch_of([[[0.0]]])
    columns = {"legal.action": np.arange(len(p)), "legal.logp": np.log(p)}
    turn = {"turn.fault": np.zeros(1, int), "turn.ply": np.zeros(1, int), "turn.action": np.asarray([chosen])}
    return replace(batch, columns={**batch.columns, **columns, **turn}, starts={**batch.starts, "legal": starts_of(np.asarray([len(p)]))})


def test_where_the_policy_wavers_by_hand():
    """Probabilities .45, .32, .20: .45 - .32 = .13 opens a branch, .20 is too small."""
    assert Lookahead().branches(turn_of(0.45, 0.32, 0.20)) == [(0, 1)]
    assert Lookahead().branches(turn_of(0.45, 0.32, 0.20, chosen=1)) == [(0, 0)]
    assert Lookahead().branches(turn_of(0.6, 0.3, 0.1)) == [], ".6 - .3 is too much"
    assert Lookahead(least=0.15, gap=0.3).branches(turn_of(0.45, 0.32, 0.20)) == [(0, 1)], "one branch a turn"


def test_edit_distance_by_hand():
    parent = list("abcdefghijklmnopqrst")
    assert edit_distance(parent, [*parent[:14], *"XXXXXX"]) / 20 == 0.3
    assert edit_distance(parent, [*parent[:11], *"XXXXXXXXX"]) / 20 == 0.45
    assert edit_distance("kitten", "sitting") == 3


@given(st.text("ab", max_size=6), st.text("ab", max_size=6))
def test_edit_distance_is_a_metric_that_prefixes_do_not_change(a, b):
    assert edit_distance(a, b) == edit_distance(b, a)
    assert (edit_distance(a, b) == 0) == (a == b)
    assert edit_distance("ab" + a, "ab" + b) == edit_distance(a, b)
    assert abs(len(a) - len(b)) <= edit_distance(a, b) <= max(len(a), len(b))


def built(sampler, spec="kuhn_poker", model="tabular"):
    algorithm = Composed(replace(recipe, sampler=sampler), Setup((spec,), registry.game, model, 2))
    return algorithm, AgentPool(algorithm.agents)


@pytest.mark.parametrize("spec", ["kuhn_poker", "leduc_poker", "openspiel:goofspiel(players=2,num_cards=3)"])
def test_a_fork_goes_on_from_where_its_parent_was(spec):
    algorithm, pool = built(Groups(deals=8, size=2), spec)
    batch = played(algorithm, 0, pool, registry.game, in_flight=64)
    told = Played.of(batch)
    plies = [moves[len(moves) // 2][0] for moves in told.moves]
    again = Batch.concat(play([told.fork(m, ply) for m, ply in enumerate(plies)], pool, registry.game))
    for m, (before, after) in enumerate(zip(told.moves, Played.of(again).moves, strict=True)):
        shared = [move for move in before if move[0] < plies[m]]
        assert after[: len(shared)] == shared
        live = again["turn.ply"][again.up("turn", "match") == m] >= plies[m]
        assert again["turn.learn"][again.up("turn", "match") == m].tolist() == live.tolist()


def test_groups_are_trees_filled_up_with_plain_matches():
    """A new table wavers everywhere: branches of branches, until a deal has its leaves; every leaf but the trunk differs from its parent
    in the move that it began with."""
    sampler = Lookahead(inner=Groups(deals=16, size=1), leaves=4)
    algorithm, pool = built(sampler)
    batch = played(algorithm, 0, pool, registry.game, in_flight=512)
    leaves = sampler.accept(batch, {})
    assert np.unique(leaves["match.seed"], return_counts=True)[1].tolist() == [4] * 16
    rounds = set(batch.tag("round", "0").tolist())
    assert {"0", "1", "2"} <= rounds
    moves, row = Played.of(batch).moves, {int(p): m for m, p in enumerate(batch["match.plan"])}
    parents, plies = batch.tag("parent"), batch.tag("ply")
    for m in np.flatnonzero(parents != "").tolist():
        ply, parent = int(plies[m]), row[int(parents[m])]
        (own,), (other,) = ([move for when, _, move in moves[k] if when == ply] for k in (m, parent))
        assert own != other
    assert algorithm.learn(batch)["choices"] > 0


def test_a_branch_that_goes_on_like_its_parent_is_dropped():
    """Of three moves that follow only the first, forced one differs: 1/3 is below .4."""
    batch = batch_of([[[0.0] * 4], [[0.0] * 4], [[0.0] * 4]])
    actions = np.asarray([0, 1, 1, 1, 0, 2, 1, 1, 0, 2, 0, 1])
    table = ["{}", '{"parent": "7", "ply": "1"}']
    columns = {
        "turn.action": actions,
        "turn.fault": np.zeros(12, int),
        "turn.ply": np.tile(np.arange(4), 3),
        "match.plan": np.asarray([7, 8, 9]),
        "match.tags": np.asarray([0, 1, 1]),
    }
    batch = replace(batch, columns={**batch.columns, **columns}, tables={**batch.tables, "tags": table})
    assert Lookahead().kept(batch).tolist() == [True, False, True]
    assert Lookahead(alike=0.3).kept(batch).all()


def test_a_share_of_the_deals_is_sampled_plainly():
    sampler = Lookahead(inner=Groups(deals=200, size=1), leaves=3, shares=(0.5, 0.0), stage=1)
    algorithm, pool = built(sampler)
    batch = played(algorithm, 0, pool, registry.game, in_flight=2048)
    forked = len(np.unique(batch["match.seed"][batch.tag("parent") != ""]))
    assert 75 < forked < 125
    assert (played(algorithm, 1, pool, registry.game, in_flight=2048).tag("parent") == "").all()


def test_language_models_branch_by_the_probabilities_of_their_moves(tmp_path):
    random_agent().save(tmp_path)
    algorithm, pool = built(Lookahead(inner=Groups(deals=4, size=1), leaves=3, gap=0.9, least=0.01), model=str(tmp_path))
    batch = played(algorithm, 0, pool, registry.game, in_flight=64)
    assert (batch.tag("parent") != "").any()
    assert algorithm.learn(batch)["choices"] > 0


def test_free_replies_have_no_such_probabilities():
    free = replace(recipe, language=replace(recipe.language, reply="free"))
    with pytest.raises(Unsuitable, match=r"Lookahead reads the column legal\.action.*choose"):
        Composed(free, Setup(("kuhn_poker",), registry.game, "tabular", 0))


def test_two_iterations_for_real():
    algorithm, pool = built(replace(recipe.sampler, inner=Groups(deals=16, size=1)))
    for step in range(2):
        figures = algorithm.learn(played(algorithm, step, pool, registry.game, in_flight=512))
    assert figures["skipped"] == 0
    assert algorithm.policy.agent.logits.detach().abs().max() > 0
