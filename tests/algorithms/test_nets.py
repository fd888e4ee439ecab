"""What neural algorithms share: perceptrons, guarded steps, rows computed once, and distributions over actions of every kind."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.distributions import Categorical, Independent, Normal, kl_divergence

from algorithms.heads import ILLEGAL, START, Categoricals, Gaussian, beside, head_of
from algorithms.nets import PATIENCE, Descent, device_of, distinct, mask, perceptron
from algorithms.neural import Network, Sizes
from marl_llm import registry
from marl_llm.agent import Request
from marl_llm.errors import UserError
from marl_llm.game import Box, Discrete, Factored, Text
from marl_llm.ragged import Ragged


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_perceptron_starts_orthogonal_and_by_its_generator_alone():
    torch_before = torch.get_rng_state()
    net = perceptron([4, 8, 3], 0.01, seeded())
    assert torch.equal(torch_before, torch.get_rng_state())
    assert [type(layer).__name__ for layer in net] == ["Linear", "Tanh", "Linear"]
    assert (net[0].weight.T @ net[0].weight).tolist() == pytest.approx(2 * np.eye(4), abs=1e-5)
    assert (net[2].weight @ net[2].weight.T).tolist() == pytest.approx(1e-4 * np.eye(3), abs=1e-8)
    again, other = perceptron([4, 8, 3], 0.01, seeded()), perceptron([4, 8, 3], 0.01, seeded(1))
    assert torch.equal(net[0].weight, again[0].weight)
    assert not torch.equal(net[0].weight, other[0].weight)


@pytest.mark.parametrize("memory", [0, 5])
def test_a_network_draws_from_its_generator_alone_and_segments_are_independent(memory):
    sizes = Sizes(view=3, seats=2, action=Discrete(4), hidden=(6,), memory=memory, table=2, copies=2)
    before = torch.get_rng_state()
    network = Network(sizes, seeded())
    assert torch.equal(before, torch.get_rng_state())
    x, seat = torch.randn(4, 3, 5, generator=seeded(1)), torch.tensor([0, 1, 1, 0])
    y, after = network.policy(x, seat, network.fresh(4))
    alone, own = network.policy(x[1:2], seat[1:2], network.fresh(1))
    assert torch.allclose(y[1:2], alone, atol=1e-6)
    assert torch.allclose(after[1:2], own, atol=1e-6)
    step, state = [], network.fresh(4)
    for time in range(3):
        out, state = network.policy(x[:, time : time + 1], seat, state)
        step.append(out)
    assert torch.allclose(torch.cat(step, 1), y, atol=1e-6)
    swapped, _ = network.policy(x, 1 - seat, network.fresh(4))
    assert not torch.allclose(swapped, y, atol=1e-4)


def test_a_step_that_is_not_finite_is_not_taken():
    net = torch.nn.Linear(1, 1)
    descent = Descent({"net": net}, 0.1, 1.0)
    assert descent.step(net(torch.ones(1, 1)).sum())
    kept = {name: value.clone() for name, value in net.state_dict().items()}
    assert not descent.step(net(torch.full((1, 1), torch.nan)).sum())
    assert all(torch.equal(value, kept[name]) for name, value in net.state_dict().items())
    for _ in range(PATIENCE - 1):
        descent.step(net(torch.full((1, 1), torch.inf)).sum())
    assert all(torch.equal(value, descent.good["net"].state_dict()[name]) for name, value in net.state_dict().items())


def test_rows_of_equal_key_and_seat_are_one_and_unknown_ones_are_not():
    first, place = distinct(np.asarray([3, 3, -1, 3, -1]), np.asarray([0, 1, 0, 0, 0]))
    assert len(first) == 4
    assert place[0] == place[3]
    assert len(set(place.tolist())) == 4
    assert mask(Ragged.of([[0, 2], [1]]), 3).tolist() == [[True, False, True], [False, True, False]]
    assert [row.tolist() for row in beside([Ragged.of([[1], [2, 3]]), Ragged.of([[4, 5], []])])] == [[1, 4, 5], [2, 3]]


def test_heads_by_kind():
    assert (head_of(Discrete(3)).outputs, head_of(Factored((3, 2))).outputs, head_of(Box(0, 1, (2, 2))).outputs) == (3, 5, 4)
    assert head_of(Box(0, 1, (2, 2))).free == 4
    with pytest.raises(TypeError, match="no distribution over Text actions"):
        head_of(Text(5))
    with pytest.raises(UserError, match="device is 'cudda', which torch has none of here; expected cpu, or cuda"):
        device_of("cudda")
    assert device_of("cpu") == torch.device("cpu")


def test_categoricals_agree_with_torch():
    """Two factors; the second may not take its first value in row 1."""
    head, logits = Categoricals((2, 3)), torch.randn(2, 5, generator=seeded())
    old = torch.zeros(2, 5)
    old[1, 2] = ILLEGAL
    p, q = head.distribution(logits, old), head.distribution(-logits, old)
    factors = [
        [Categorical(logits=logits[row, :2]), Categorical(logits=logits[row, 2 + row :])] for row in range(2)
    ]  # row 1 has two values left in factor 1
    others = [[Categorical(logits=-logits[row, :2]), Categorical(logits=-logits[row, 2 + row :])] for row in range(2)]
    action = torch.tensor([[1, 4], [0, 3]])
    exact = [factors[0][0].log_prob(torch.tensor(1)) + factors[0][1].log_prob(torch.tensor(2))]
    exact += [factors[1][0].log_prob(torch.tensor(0)) + factors[1][1].log_prob(torch.tensor(0))]
    assert head.logp(p, action).tolist() == pytest.approx([float(value) for value in exact], abs=1e-5)
    assert head.entropy(p).tolist() == pytest.approx([sum(float(f.entropy()) for f in row) for row in factors], abs=1e-5)
    kl = [sum(float(kl_divergence(f, g)) for f, g in zip(*rows, strict=True)) for rows in zip(factors, others, strict=True)]
    assert head.kl(p, q).tolist() == pytest.approx(kl, abs=1e-5)


def test_gaussians_agree_with_torch_and_draw_what_they_say():
    head = Gaussian(Box(-2.0, 6.0, (2,)))
    out, other = torch.tensor([[0.5, -0.25, 0.3, -0.4]]), torch.tensor([[0.1, 0.2, -0.3, 0.5]])
    p, q = head.distribution(out, out), head.distribution(other, other)
    exact = [Independent(Normal(x[:, :2], (x[:, 2:] + START).exp()), 1) for x in (out, other)]
    action = torch.tensor([[1.5, -0.5]])
    assert head.logp(p, action).tolist() == pytest.approx(exact[0].log_prob(action).tolist())
    assert head.entropy(p).tolist() == pytest.approx(exact[0].entropy().tolist())
    assert head.kl(p, q).tolist() == pytest.approx(kl_divergence(*exact).tolist())
    rows = 20_000
    none = np.zeros(rows, np.int64)
    seeds = np.arange(rows, dtype=np.uint64)
    views, legal = registry.game("kuhn_poker").boards(1).views(none[:0], none[:0]), Ragged(none[:0], np.zeros(rows + 1, np.int64))
    sent, record = head.draw(out.expand(rows, 4), Request(none, none, none, seeds, views, legal, [None] * rows, none.astype(np.int8)))
    drawn = record["turn.drawn"]
    assert drawn.mean(0) == pytest.approx([0.5, -0.25], abs=0.02)
    assert drawn.std(0) == pytest.approx(np.exp([0.3 + START, -0.4 + START]), rel=0.02)
    assert np.corrcoef(drawn.T)[0, 1] == pytest.approx(0, abs=0.03)
    assert sent == pytest.approx(2 + 4 * drawn.clip(-1, 1), abs=1e-5)
    assert (np.abs(drawn) > 1).any()
