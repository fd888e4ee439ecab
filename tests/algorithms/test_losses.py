"""Mirror descent: the loss by hand, its minimiser in closed form, and the equilibria it leads to."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from algorithms.losses import Anneal, MirrorDescent
from algorithms.parts import Choices
from marl_llm import registry
from marl_llm.exact import exploitability, node_values, reach
from marl_llm.ragged import segment_sum
from marl_llm.tree import tree_of


def constant(alpha, eta, magnet="uniform"):
    return MirrorDescent(alpha=Anneal(start=alpha, end=alpha), eta=Anneal(start=eta, end=eta), magnet=magnet)


def test_loss_by_hand():
    old = torch.log(torch.tensor([[0.5, 0.5, 0.0], [0.2, 0.3, 0.5]], dtype=torch.float64))
    logp = torch.log(torch.tensor([[0.25, 0.75, 0.0], [0.2, 0.3, 0.5]], dtype=torch.float64))
    choices = Choices.of(np.asarray([0, 0, 1]), np.asarray([0, 1, 2]), np.asarray([0, 1, 2]), old)
    loss, figures = constant(0.5, 0.25).value(logp, choices, torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64), None, 0.0)
    gain = (0.5 * 1 + 1.5 * -2 + 1 * 3) / 3
    to_uniform = [0.25 * np.log(0.5) + 0.75 * np.log(1.5), sum(p * np.log(3 * p) for p in (0.2, 0.3, 0.5))]
    to_old = [to_uniform[0], 0.0]
    expected = -gain + 0.5 * (2 * to_uniform[0] + to_uniform[1]) / 3 + 4 * (2 * to_old[0] + to_old[1]) / 3
    assert loss.item() == pytest.approx(expected)
    assert figures["kl_old"].item() == pytest.approx(2 * to_old[0] / 3)


@pytest.mark.parametrize(("evenness", "expected"), [(0.0, [0.25] * 4), (1.0, [1 / 6] * 3 + [0.5]), (0.5, None)])
def test_contexts_count_as_often_as_they_are_met_or_all_alike(evenness, expected):
    choices = Choices.of(np.asarray([0, 0, 0, 1]), np.zeros(4, np.int64), np.arange(4), torch.zeros(2, 1, dtype=torch.float64))
    loss = MirrorDescent(alpha=Anneal(start=1, end=1), eta=Anneal(start=1, end=1), evenness=evenness)
    weights = loss.weights(choices, None)
    assert weights.sum() == pytest.approx(1)
    if expected is None:
        assert weights[3] / weights[0] == pytest.approx(3**0.5)
    else:
        assert weights == pytest.approx(expected)


def test_anneal():
    falling = Anneal(start=0.4, end=0.1)
    assert [falling.at(x) for x in (0, 0.5, 1, 2)] == pytest.approx([0.4, 0.2, 0.1, 0.1])


def test_minimiser_is_the_closed_form():
    """argmin of -<pi, q> + alpha KL(pi, uniform) + KL(pi, old) / eta is proportional to exp((q + log(old) / eta) / (alpha + 1 / eta))."""
    rng = np.random.default_rng(0)
    old, q, alpha, eta = rng.dirichlet(np.ones(4)), rng.normal(size=4), 0.3, 0.7
    logits = torch.zeros(1, 4, dtype=torch.float64, requires_grad=True)
    counts = np.round(old * 10_000).astype(int)
    place = np.repeat(np.arange(4), counts)
    sampled = torch.log(torch.from_numpy(counts / counts.sum()))[None]
    choices = Choices.of(np.zeros(len(place), np.int64), place, np.arange(len(place)), sampled)
    gain = torch.from_numpy(q[place])
    optimiser = torch.optim.LBFGS([logits], max_iter=200, tolerance_grad=1e-12, tolerance_change=1e-14)

    def closure():
        optimiser.zero_grad()
        loss, _ = constant(alpha, eta).value(logits.log_softmax(1), choices, gain, None, 0.0)
        loss.backward()
        return loss

    optimiser.step(closure)
    expected = np.exp((q + np.log(counts / counts.sum()) / eta) / (alpha + 1 / eta))
    assert logits.detach().softmax(1)[0].numpy() == pytest.approx(expected / expected.sum(), abs=1e-6)


def descend(tree, alpha, eta, steps):
    """Mirror descent with exact values and the loss's own closed-form minimiser; the last policy."""
    starts, lengths = tree.legal.starts, tree.legal.lengths
    policy = tree.uniform_policy()
    for t in range(steps):
        a, e = alpha(t), eta(t)
        logits = (np.log(policy) / e + action_values(tree, policy)) / (a + 1 / e)
        policy = np.exp(logits - np.repeat(np.maximum.reduceat(logits, starts[:-1]), lengths))
        policy /= np.repeat(segment_sum(policy, starts), lengths)
    return policy


def action_values(tree, policy):
    values, q = node_values(tree, policy), np.zeros(len(policy))
    weight = np.zeros(len(policy))
    for seat in range(tree.info.seats):
        mine = np.flatnonzero(tree.seat[tree.edge_node] == seat)
        others = reach(tree, policy, without=seat)[tree.edge_node[mine]]
        np.add.at(q, tree.edge_choice[mine], others * values[tree.children.data[mine], seat])
        np.add.at(weight, tree.edge_choice[mine], others)
    return q / np.maximum(weight, 1e-12)


@pytest.mark.parametrize("alpha", [0.1, 0.3, 1.0])
def test_constant_alpha_stops_at_the_quantal_response_equilibrium(alpha):
    """There every information set plays softmax(q / alpha): the regularised equilibrium, whose exploitability is not 0."""
    tree = tree_of(registry.game("kuhn_poker"))
    policy = descend(tree, lambda t: alpha, lambda t: min(0.1, alpha), 4000)
    response = np.exp(action_values(tree, policy) / alpha)
    response /= np.repeat(segment_sum(response, tree.legal.starts), tree.legal.lengths)
    assert policy == pytest.approx(response, abs=1e-6)
    assert exploitability(tree, policy) > 0.01


def test_annealed_alpha_reaches_nash():
    tree = tree_of(registry.game("kuhn_poker"))
    policy = descend(tree, lambda t: 1 / (1 + t) ** 0.5, lambda t: 1 / (1 + t) ** 0.5, 20_000)
    assert exploitability(tree, policy) < 0.005
