"""Losses of whole groups against worked numbers, against plain differentiation, and on a real game."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from algorithms.composed import Composed
from algorithms.credit import TurnLevel
from algorithms.joint import Regression, pairs_of
from algorithms.levels import Levels
from algorithms.parts import Choices, Credited
from algorithms.recipes import iterated_dpo, reg_grpo, trpa
from marl_llm import registry
from marl_llm.agents.pool import AgentPool
from marl_llm.algorithm import Setup, Unsuitable
from marl_llm.iteration import played
from tests.algorithms.batches import batch_of

TRPA = trpa.recipe.loss


def compared(loss, ratios, score, group=None, reference=0.0):
    """The loss of trajectories whose choices have the given log-ratios to the sampler, or to a reference that many from it; and its
    gains."""
    lengths = [len(own) for own in ratios]
    turn = np.repeat(np.arange(len(ratios)), lengths)
    batch = batch_of([[[0.0]] for _ in ratios])
    old = torch.full((len(turn), 1), -1.0, dtype=torch.float64)
    choices = Choices.of(np.arange(len(turn)), np.zeros(len(turn), np.int64), turn, old)
    credited = Credited(np.asarray(score, float), group=np.asarray(group if group is not None else [0] * len(ratios)))
    away = torch.tensor([d for own in ratios for d in own], dtype=torch.float64)
    there = choices.logp + reference if loss.reference is not None else None
    gains, figures = loss.gains(choices.logp + reference + away, choices, there, credited, batch)
    return figures["compared"].item(), gains.numpy()


def test_reg_grpo_by_hand():
    """r = [1,0,0,1] and log-ratios [.2,-.1,0,.1], of which the first is two tokens': A [1,-1,-1,1], predicted [1.34164,-1.34164,-.44721,
    .44721]."""
    ratios = [[0.15, 0.05], [-0.1], [0.0], [0.1]]
    assert compared(Regression(eps=0.0), ratios, [1, -1, -1, 1])[0] == pytest.approx(0.211146, abs=1e-6)
    twice = compared(Regression(eps=0.0), ratios * 2, [1, -1, -1, 1] * 2, [0] * 4 + [1] * 4)[0]
    assert twice == pytest.approx(0.211146, abs=1e-6), "every group is its own"


def test_the_first_step_of_reg_grpo_is_along_the_advantage():
    """All log-ratios are equal there: the loss is the mean square of A, and its derivative finite."""
    loss, gains = compared(Regression(eps=0.01), [[0.0]] * 4, [1, -1, -1, 1])
    assert loss == pytest.approx(1)
    assert gains == pytest.approx(2 / 4 / 0.01 * np.asarray([1, -1, -1, 1]))


def test_trpa_by_hand():
    """Levels 1, 2 and 4 of the paper are 3, 2 and 0 here; D [.1, 0, -.2]: h .025, .075 and .02."""
    assert compared(TRPA, [[0.1], [-0.1, 0.1], [-0.2, -0.2]], [3, 2, 0])[0] == pytest.approx(0.673424, abs=1e-6)
    away = compared(TRPA, [[0.1], [-0.1, 0.1], [-0.2, -0.2]], [3, 2, 0], reference=0.7)[0]
    assert away == pytest.approx(0.673424, abs=1e-6), "the ratio is to the reference, not to the sampler"


@pytest.mark.parametrize(("level", "expected"), [(3, 0.671268), (2, 0.721268)])
def test_trpa_without_pairs(level, expected):
    assert compared(TRPA, [[0.2], [-0.1]], [level] * 2)[0] == pytest.approx(expected, abs=1e-6)


def test_a_group_of_one_level_teaches_nothing_beside_one_with_pairs():
    _, gains = compared(TRPA, [[0.2], [-0.1], [0.3], [0.1]], [3, 3, 3, 1], [0, 0, 1, 1])
    assert gains[:2].tolist() == [0, 0]
    assert gains[2] > 0 > gains[3]


def test_dpo_by_hand():
    dpo = iterated_dpo.recipe.loss
    assert compared(dpo, [[0.2, 0.3], [-0.5]], [3, 1])[0] == pytest.approx(0.644397, abs=1e-6)
    loss, gains = compared(dpo, [[0.5], [0.5]], [3, 1])
    assert loss == pytest.approx(0.693147, abs=1e-6)
    assert gains == pytest.approx([0.05, -0.05]), "beta sigmoid(0) for the winner's and against the loser's choice"
    assert compared(dpo, [[0.5], [0.5]], [3, 3])[1].tolist() == [0, 0]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=12))
def test_pairs_are_those_of_two_loops(rows):
    group, level = (np.asarray(column) for column in zip(*rows, strict=True))
    found = set(zip(*(side.tolist() for side in pairs_of(group, level)), strict=True))
    assert found == {(i, j) for i, (g, a) in enumerate(rows) for j, (h, b) in enumerate(rows) if g == h and a > b}


def test_levels_of_won_drawn_lost_and_faulty():
    batch = batch_of([[[0.0, 1.0]], [[0.0]], [[-1.0]], [[2.0]]])
    batch = batch.with_columns(**{"turn.fault": np.asarray([0, 0, 0, 0, 1])})
    assert Levels().assign(batch, {}).advantage.tolist() == [3, 3, 2, 1, 0]


def test_what_a_joint_loss_cannot_compare_is_refused():
    algorithm = Composed(replace(reg_grpo.recipe, credit=TurnLevel()), Setup(("kuhn_poker",), registry.game, "tabular", 0))
    batch = played(algorithm, 0, AgentPool(algorithm.agents), registry.game, in_flight=512)
    with pytest.raises(Unsuitable, match="the credit names no groups"):
        algorithm.learn(batch)


def built(recipe):
    learner = replace(recipe.learner, rate=replace(recipe.learner.rate, start=0.05, end=0.05))
    return Composed(replace(recipe, learner=learner), Setup(("kuhn_poker",), registry.game, "tabular", 0))


@pytest.mark.parametrize("name", ["reg-grpo", "trpa", "iterated-dpo"])
def test_they_learn_on_kuhn_poker(name, tmp_path):
    """Folding the king to a bet is unlearned; a step takes in the whole batch; half way a checkpoint loses nothing."""
    whole, rest = built(registry.recipe(name)), built(registry.recipe(name))
    for step in range(16):
        if step == 8:
            whole.save(tmp_path)
            rest.load(tmp_path)
        for algorithm in (whole, rest) if step >= 8 else (whole,):
            figures = algorithm.learn(played(algorithm, step, AgentPool(algorithm.agents), registry.game, in_flight=1024))
    logits, other = (algorithm.policy.agent.logits.detach() for algorithm in (whole, rest))
    assert torch.equal(logits, other)
    assert np.isfinite(figures["compared"])
    fold, call = logits[whole.policy.agent.row["1:2b"], :2].softmax(0).tolist()
    assert call > 0.6 > fold


def test_the_pass_without_gradients_leads_where_plain_differentiation_does():
    """One step of the regression on a real batch against autograd through the table."""
    algorithm = built(replace(reg_grpo.recipe, loss=Regression()))
    batch = played(algorithm, 0, AgentPool(algorithm.agents), registry.game, in_flight=1024)
    batch = algorithm.method.reward.channels(batch, algorithm.units, {})
    credited = algorithm.method.credit.assign(batch, {})
    policy, loss = algorithm.policy, algorithm.method.loss
    with torch.no_grad():
        policy.agent.logits[:6] += torch.linspace(0, 1, 18, dtype=torch.float64).reshape(6, 3)
    choices = policy.choices(batch)
    logp, _ = policy.forward(np.arange(len(choices.old)))
    now = logp[choices.context, choices.place]
    gains, figures = loss.gains(now, choices, None, credited, batch)
    (ours,) = torch.autograd.grad(loss.value(logp, choices, gains, None, 0.0)[0], policy.agent.logits, retain_graph=True)
    rows = batch.up("turn", "seat")[choices.turn]
    taken = np.unique(rows)
    x = torch.stack([(now - choices.logp)[torch.from_numpy(rows == row)].sum() for row in taken])
    group = credited.group[batch.starts["turn"][taken]]
    parts = [torch.from_numpy(np.flatnonzero(group == g)) for g in np.unique(group)]
    a = torch.from_numpy(credited.advantage[batch.starts["turn"][taken]])
    squares = [(a[p] - (x[p] - x[p].mean()) / (x[p].var(correction=0) + 1e-4).sqrt()).square() for p in parts]
    plain = torch.cat(squares).mean()
    (theirs,) = torch.autograd.grad(plain, policy.agent.logits)
    assert figures["compared"].item() == pytest.approx(plain.item())
    assert torch.allclose(ours, theirs, atol=1e-12)
    assert ours.abs().max() > 1e-3
