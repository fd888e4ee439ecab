"""Weights of turns by divergence: worked numbers, a loop, and GRPO where alpha is 1."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.composed import Composed
from algorithms.divergence import DivergenceWeight, place_weights
from algorithms.terms import Terms
from marl_llm import registry
from marl_llm.agents.pool import AgentPool
from marl_llm.algorithm import Setup
from marl_llm.iteration import played
from marl_llm.ragged import starts_of
from tests.algorithms.batches import batch_of


def test_weights_by_hand():
    """Divergences [.2, 0, .8] and alpha 1.7: [1.175, 1, 1.7]."""
    all_ = np.ones(3, bool)
    assert place_weights(np.zeros(3, int), np.asarray([0.2, 0, 0.8]), all_, 1.7) == pytest.approx([1.175, 1, 1.7])
    assert place_weights(np.zeros(3, int), np.full(3, 0.4), all_, 1.7).tolist() == [1, 1, 1]


def told(distributions, outcomes):
    """One seat on one deal; ``distributions[match][turn]`` is of moves 0, 1, ..."""
    batch = batch_of([[[0.0] * (len(own) - 1) + [r]] for own, r in zip(distributions, outcomes, strict=True)])
    flat = [p for own in distributions for p in own]
    lengths = np.asarray([len(p) for p in flat])
    columns = {
        "legal.action": np.concatenate([np.arange(n) for n in lengths]),
        "legal.logp": np.log(np.concatenate(flat)),
        "match.seed": np.zeros(len(distributions), np.uint64),
    }
    return replace(batch, columns={**batch.columns, **columns}, starts={**batch.starts, "legal": starts_of(lengths)})


simplex = st.lists(st.floats(0.05, 1), min_size=1, max_size=3).map(lambda x: np.asarray(x) / sum(x))
matches = st.lists(st.tuples(st.lists(simplex, min_size=1, max_size=3), st.floats(-2, 2)), min_size=1, max_size=5)


@settings(deadline=None)
@given(matches, st.floats(1, 2))
def test_equal_to_a_loop(rows, alpha):
    distributions, outcomes = ([column[k] for column in rows] for k in (0, 1))
    batch = told(distributions, outcomes)
    place = {}
    for k in range(max(map(len, distributions))):
        here = [own[k] for own in distributions if len(own) > k]
        q = np.zeros(3)
        for p in here:
            q[: len(p)] += p / len(here)
        away = [np.log(q[: len(p)]) - np.log(p) for p in here]
        place[k] = np.mean([np.sum(np.exp(x) - x - 1) for x in away])
    low, high = min(place.values()), max(place.values())
    weight = [
        1 + (alpha - 1) * ((place[k] - low) / (high - low) if high - low > 1e-12 else 0) for own in distributions for k in range(len(own))
    ]
    found = DivergenceWeight(alpha=alpha).finish(batch, np.ones(batch.size("turn")))
    assert found == pytest.approx(np.asarray(weight), abs=1e-5)


def built(alpha, spec="kuhn_poker", deals=16):
    recipe = registry.recipe("tw-grpo")
    recipe = replace(recipe, sampler=replace(recipe.sampler, deals=deals), credit=Terms(finish=(DivergenceWeight(alpha=alpha),)))
    algorithm = Composed(recipe, Setup((spec,), registry.game, "tabular", 8))
    return algorithm, AgentPool(algorithm.agents)


def test_alpha_one_is_grpo_and_more_stresses_where_views_differ():
    algorithm, pool = built(1.0, "leduc_poker")
    for step in range(3):
        batch = played(algorithm, step, pool, registry.game, in_flight=1024)
        algorithm.learn(batch)
    paid = algorithm.method.reward.channels(batch, algorithm.units, {})
    plain, one, more = (
        Terms(finish=finish).assign(paid, {}).advantage for finish in ((), (DivergenceWeight(alpha=1.0),), (DivergenceWeight(alpha=1.7),))
    )
    assert one == pytest.approx(plain)
    weight = (more / np.where(plain == 0, 1, plain))[plain != 0]
    assert weight.min() == pytest.approx(1)
    assert weight.max() == pytest.approx(1.7)


def test_two_iterations_for_real():
    algorithm, pool = built(1.7)
    for step in range(2):
        figures = algorithm.learn(played(algorithm, step, pool, registry.game, in_flight=1024))
    assert figures["skipped"] == 0
    assert algorithm.policy.agent.logits.detach().abs().max() > 0
