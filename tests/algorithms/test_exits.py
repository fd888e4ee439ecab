"""Serial groups: rewards by order, commitment after the exit, and what of an exit is learned from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from algorithms.composed import Composed
from algorithms.exits import Decaying, Exits
from algorithms.recipes.s_grpo import recipe
from algorithms.samplers import Groups
from marl_llm import registry
from marl_llm.agents.pool import AgentPool
from marl_llm.algorithm import Setup, Unsuitable
from marl_llm.iteration import played
from marl_llm.records import Batch
from tests.algorithms.batches import batch_of
from tests.inference.models import random_agent

REPEATED = "leduc_poker"


def test_the_earliest_exit_that_wins_earns_most():
    """Right or wrong from early to late [0,1,1,0,1], the last the whole match: [0,1,.5,0,.25], centred [-.35,.65,.15,-.35,-.1]."""
    right, order = np.asarray([0, 1, 1, 0, 1]), np.asarray([3, 0, 4, 1, 2])
    batch = batch_of([[[float(r)]] for r in right])
    tags = ['{"exit": "1"}', '{"exit": "4"}', '{"exit": "10"}', '{"exit": "11"}', "{}"]
    columns = {"match.tags": np.arange(5), "match.seed": np.zeros(5, np.uint64)}
    batch = Batch({**batch.columns, **columns}, batch.starts, {**batch.tables, "tags": tags}).take(order)
    paid = Decaying().channels(batch, {}, {})
    back = np.argsort(order)
    assert paid["seat.outcome"][back].tolist() == [0, 1, 0.5, 0, 0.25]
    assert recipe.credit.assign(paid, {}).advantage[back] == pytest.approx([-0.35, 0.65, 0.15, -0.35, -0.1])


def built(sampler, spec=REPEATED, model="tabular"):
    algorithm = Composed(replace(recipe, sampler=sampler), Setup((spec,), registry.game, model, 6))
    return algorithm, AgentPool(algorithm.agents)


@pytest.mark.parametrize("kind", ["tabular", "language"])
def test_after_an_exit_the_seat_repeats_itself(kind, tmp_path):
    """In kuhn_poker both moves are always legal. Of an exit its first decision is learned from, of the whole match all are."""
    model = "tabular"
    if kind == "language":
        model = str(tmp_path)
        random_agent().save(tmp_path)
    sampler = Exits(inner=Groups(deals=24, size=1))
    algorithm, pool = built(sampler, "kuhn_poker", model)
    batch = played(algorithm, 0, pool, registry.game, in_flight=512)
    left, learned, later = batch.tag("exit"), sampler.accept(batch, {}), 0
    match, turn_of = batch.up("seat", "match"), batch.up("turn", "seat")
    for row in np.flatnonzero(batch["seat.learn"] & (left[match] != "")).tolist():
        own, at = np.flatnonzero(turn_of == row), int(left[match[row]])
        assert learned["turn.learn"][own].tolist() == [k == at for k in range(len(own))]
        assert len(set(batch["turn.action"][own[at:]].tolist())) == 1
        later += len(own) - 1 - at
    assert later > 0, "some exits had something to repeat"
    whole = np.flatnonzero(left[batch.up("turn", "match")] == "")
    assert learned["turn.learn"][whole].all()
    assert {learned.tables["player"][code] for code in learned["seat.player"]} == {"self"}
    assert algorithm.learn(batch)["choices"] == learned["turn.learn"].sum() or kind == "language"


def test_a_move_that_cannot_be_repeated_is_replaced_by_a_legal_one():
    """In leduc_poker nobody can fold unless there was a raise, nor raise for ever."""
    _, pool = algorithm = built(Exits(inner=Groups(deals=64, size=1)))
    batch = played(algorithm[0], 0, pool, registry.game, in_flight=512)
    assert (batch["turn.fault"] == 0).all()
    seat = batch.up("turn", "seat")
    committed = np.asarray(batch.tables["player"])[batch["seat.player"]] == "self:committed"
    moves = [set(batch["turn.action"][(seat == row) & batch["turn.learn"].astype(bool)].tolist()) for row in np.flatnonzero(committed)]
    assert max(map(len, moves)) > 1


def test_exits_are_turns_of_the_whole_match_but_its_last():
    algorithm, pool = built(Exits(inner=Groups(deals=32, size=1), exits=1))
    batch = played(algorithm, 0, pool, registry.game, in_flight=512)
    left, deal = batch.tag("exit"), batch["match.seed"]
    for m in np.flatnonzero(left != "").tolist():
        (row,) = np.flatnonzero(batch["seat.learn"] & (batch.up("seat", "match") == m))
        seat = batch["seat.seat"][row]
        (whole,) = np.flatnonzero((deal == deal[m]) & (left == ""))
        turns = int(np.diff(batch.starts["turn"])[batch.starts["seat"][whole] + seat])
        assert int(left[m]) < turns - 1
    seats = batch["seat.learn"].sum() - 2 * 32
    assert seats == (left != "").sum() <= 64


def test_who_answers_freely_cannot_commit(tmp_path):
    random_agent().save(tmp_path)
    free = replace(recipe, language=replace(recipe.language, reply="free"))
    with pytest.raises(Unsuitable, match="decides at once"):
        Composed(free, Setup(("kuhn_poker",), registry.game, str(tmp_path), 0))


def test_two_iterations_for_real():
    algorithm, pool = built(replace(recipe.sampler, inner=Groups(deals=64, size=1)))
    for step in range(2):
        figures = algorithm.learn(played(algorithm, step, pool, registry.game, in_flight=512))
    assert figures["skipped"] == 0
    assert algorithm.policy.agent.logits.detach().abs().max() > 0
