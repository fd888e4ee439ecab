"""Candidates that play each other: worked numbers, and real matches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from algorithms.candidates import Candidates, WinRate
from algorithms.composed import Composed
from algorithms.estimators import Standardise
from algorithms.recipes.pref_grpo import recipe
from marl_llm import registry
from marl_llm.agents.pool import AgentPool
from marl_llm.algorithm import Setup, Unsuitable
from marl_llm.errors import UserError
from marl_llm.iteration import played
from tests.algorithms.batches import batch_of, group_of_matches


def setup(game: str) -> Setup:
    return Setup((game,), registry.game, "tabular", 3)


def met(results):
    """A batch of one deal from {(first candidate, second candidate): the first one's outcome}."""
    batch = batch_of([[[float(r)], [float(-r)]] for r in results.values()])
    pairs = [f'{{"candidates": "{i} {j}"}}' for i, j in results]
    batch = replace(batch, tables={**batch.tables, "tags": pairs})
    deal = np.zeros(len(batch), np.uint64)
    return batch.with_columns(**{"match.tags": np.arange(len(pairs)), "match.seed": deal})


def test_win_rate_by_hand():
    """0 beats 1 and 2, these tie: [1,.25,.25], and by GRPO [1.1547,-.57735,-.57735], or [1.41421,-.70711,-.70711] with ddof 0."""
    batch = WinRate().channels(met({(0, 1): 1, (1, 0): -1, (0, 2): 3, (2, 0): -1, (1, 2): 0, (2, 1): 0}), {}, {})
    rate = batch["seat.outcome"].reshape(-1, 2).tolist()
    assert rate == [[1, 0.25], [0.25, 1], [1, 0.25], [0.25, 1], [0.25, 0.25], [0.25, 0.25]]
    found = recipe.credit.assign(batch, {}).advantage
    assert found[batch["seat.outcome"] == 1] == pytest.approx([1.41421] * 4, abs=1e-5)
    assert found[batch["seat.outcome"] < 1] == pytest.approx([-0.70711] * 8, abs=1e-5)
    one_each = replace(recipe.credit.terms[0], estimator=Standardise()).of(group_of_matches([1, 0.25, 0.25]), {})
    assert one_each == pytest.approx([1.1547, -0.57735, -0.57735], abs=1e-4)


@pytest.mark.parametrize("game", ["kuhn_poker", "matrix"])
def test_win_rates_of_a_deal_add_up_to_half_its_candidates(game):
    algorithm = Composed(replace(recipe, sampler=Candidates(deals=12, size=5)), setup(game))
    batch = played(algorithm, 0, AgentPool(algorithm.agents), registry.game, in_flight=4096)
    assert len(batch) == 12 * 5 * 4
    paid = WinRate().channels(recipe.reward.channels(batch, algorithm.units, {}), {}, {})
    candidate = np.asarray([pair.split() for pair in batch.tag("candidates")], int)
    rates = paid["seat.outcome"].reshape(-1, 2)
    for deal in np.unique(batch["match.seed"]):
        here = batch["match.seed"] == deal
        of_candidate = [np.unique(rates[here][candidate[here] == k]) for k in range(5)]
        assert all(len(found) == 1 for found in of_candidate), "a candidate has one rate, in whatever seat and match"
        assert sum(found[0] for found in of_candidate) == pytest.approx(5 / 2)
    assert len(np.unique(rates)) > 2, "candidates differ"


def test_a_candidate_opens_alike_whoever_it_meets():
    algorithm = Composed(replace(recipe, sampler=Candidates(deals=40, size=3)), setup("kuhn_poker"))
    batch = played(algorithm, 0, AgentPool(algorithm.agents), registry.game, in_flight=4096)
    first = batch["turn.action"][batch.starts["turn"][:-1][batch["seat.seat"] == 0]]
    who = [(seed, pair.split()[0]) for seed, pair in zip(batch["match.seed"].tolist(), batch.tag("candidates"), strict=True)]
    opened = {}
    for key, action in zip(who, first.tolist(), strict=True):
        assert opened.setdefault(key, action) == action
    assert len({tuple(opened[seed, str(k)] for k in range(3)) for seed, _ in opened}) > 4, "and candidates do not all open alike"


def test_what_candidates_need():
    with pytest.raises(Unsuitable, match=r"kuhn_poker\(players=3\) has 3 seats"):
        Candidates().plan(0, setup("kuhn_poker(players=3)"), {})
    with pytest.raises(Unsuitable, match="one must beat another, needs a zero_sum or general game; tiny_hanabi is team"):
        Candidates().plan(0, setup("tiny_hanabi"), {})
    batch = replace(group_of_matches([1, 0]), tables={"game": ["a"], "tags": ["{}"]})
    with pytest.raises(UserError, match="give the method a Candidates sampler"):
        WinRate().channels(batch.with_columns(**{"match.tags": np.zeros(2, np.int64)}), {}, {})
