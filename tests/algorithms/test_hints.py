"""Help on hard deals and trouble on easy ones: who gets what, and what is learned from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from algorithms.composed import Composed
from algorithms.forks import Played
from algorithms.hints import DifficultyAware
from algorithms.recipes.deepvideo_r1 import recipe
from algorithms.samplers import Groups
from marl_llm import registry
from marl_llm.agents.pool import AgentPool
from marl_llm.algorithm import Setup
from marl_llm.iteration import played
from marl_llm.records import Batch
from tests.algorithms.batches import batch_of

SETUP = Setup(("kuhn_poker",), registry.game, "tabular", 4)


def group_of_five(returns, moves=4):
    """Matches of one seat on one deal, of so many moves each; in match m the moves are m."""
    batch = batch_of([[[0.0] * moves] for _ in returns])
    n = len(returns)
    columns = {
        "seat.return": np.asarray(returns, float),
        "seat.player": np.zeros(n, int),
        "match.seed": np.zeros(n, np.uint64),
        "match.tags": np.zeros(n, int),
        "turn.fault": np.zeros(n * moves, int),
        "turn.ply": np.tile(np.arange(moves), n),
        "turn.action": np.repeat(np.arange(n), moves),
    }
    return Batch({**batch.columns, **columns}, batch.starts, {"game": ["kuhn_poker"], "player": ["self"], "tags": ["{}"]})


@pytest.mark.parametrize(
    ("window", "returns", "told"),
    [
        (0.6, [-1, -1, 1, -1, -1], "hint 2"),  # Delta .6 - .2 = .4, of four moves 1.6
        (0.3, [-1, 1, 1, -1, 1], "noise 1"),  # Delta .3 - .6
        (0.25, [-1, 1, -1, -1, -1], None),  # Delta .05, of four moves none
        (1.0, [-1, -1, -1, -1, -1], "hint 3"),  # the last move is never given
    ],
)
def test_how_much_is_given(window, returns, told):
    planned = DifficultyAware().react(group_of_five(returns), 3, SETUP, {"0 kuhn_poker/0": window})
    if told is None:
        assert planned == () or planned == []
        return
    kind, amount = told.split()
    assert len(planned) == 5
    assert {match.tags["help"] for match in planned} == {f"0 {told}"}
    best = returns.index(max(returns))
    history = ((best,) * int(amount),) if kind == "hint" else ()
    assert {(match.history, match.opening, match.learn) for match in planned} == {
        (history, 0 if history else int(amount), frozenset({0})),
    }
    assert len({match.id for match in planned}) == 5


def built(sampler):
    algorithm = Composed(replace(recipe, sampler=sampler), SETUP)
    return algorithm, AgentPool(algorithm.agents)


def test_what_was_played_again_is_learned_from_in_place_of_what_was_not():
    """In every group, a seat on a deal, either plain matches or matches played again teach; hints lead along the best match."""
    sampler = DifficultyAware(inner=Groups(deals=32, size=4))
    algorithm, pool = built(sampler)
    batch = played(algorithm, 0, pool, registry.game, in_flight=512)
    told, moves = batch.tag("help"), Played.of(batch).moves
    kinds = {tag.split()[1] for tag in told if tag}
    assert kinds == {"hint", "noise"}, "where one seat is hard the other is easy"
    for m in np.flatnonzero([" hint " in tag for tag in told]).tolist():
        seat, _, amount = told[m].split()
        rows = np.flatnonzero((batch["match.seed"] == batch["match.seed"][m]) & (told == ""))
        gains = batch["seat.return"][batch.starts["seat"][rows] + int(seat)]
        assert [move[1:] for move in moves[m][: int(amount)]] == [move[1:] for move in moves[rows[gains.argmax()]][: int(amount)]]
    memory: dict[str, float] = {}
    learned = sampler.accept(batch, memory)
    seats, plain = learned.up("turn", "seat"), (told == "")[learned.up("turn", "match")]
    keep = learned["turn.learn"].astype(bool)
    key = learned["match.seed"][learned.up("turn", "match")] * np.uint64(2) + learned["seat.seat"][seats].astype(np.uint64)
    assert not set(key[keep & plain].tolist()) & set(key[keep & ~plain].tolist())
    assert (keep & plain).any()
    assert (keep & ~plain).any()
    assert memory["iterations"] == 1
    assert memory["0 kuhn_poker/0"] + memory["0 kuhn_poker/1"] == pytest.approx(1)


def test_the_window_forgets():
    sampler, memory = DifficultyAware(window=2), {}
    for returns in ([1, 1], [-1, 1], [-1, -1]):
        sampler.accept(group_of_five(returns), memory)
    assert {name: value for name, value in memory.items() if name != "iterations"} == {"0 kuhn_poker/0": 0.0, "1 kuhn_poker/0": 0.5}


def test_two_iterations_for_real():
    algorithm, pool = built(DifficultyAware(inner=Groups(deals=16, size=4)))
    for step in range(2):
        figures = algorithm.learn(played(algorithm, step, pool, registry.game, in_flight=512))
    assert np.isfinite(figures["compared"])
    assert algorithm.policy.agent.logits.detach().abs().max() > 0
