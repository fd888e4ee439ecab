"""The gate on ratios against worked numbers and differentiation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from algorithms.gates import Gated
from algorithms.losses import Clipped
from algorithms.parts import Choices

RATIOS = [0.3, 0.7, 1.1, 1.5, 3.5]


@pytest.mark.parametrize(
    ("gate", "good", "bad"),
    [
        ("one", [1, 1, 1, 0, 0], [0, 0, 1, 1, 1]),
        ("two", [0, 0, 1, 0, 0], [0, 0, 1, 0, 0]),
        ("ring", [1, 0, 1, 0, 0], [0, 0, 1, 0, 1]),
    ],
)
def test_what_each_gate_lets_through(gate, good, bad):
    ratio = torch.tensor(RATIOS)
    assert Gated(gate=gate).open(ratio, torch.ones(5)).int().tolist() == good
    assert Gated(gate=gate).open(ratio, -torch.ones(5)).int().tolist() == bad


def loss_of(loss, ratio, gain, turn=None):
    """The loss and its derivative by each choice's log-probability; all were sampled with probability 0.2."""
    n = len(ratio)
    old = torch.full((n, 1), np.log(0.2), dtype=torch.float64)
    choices = Choices.of(np.arange(n), np.zeros(n, np.int64), np.arange(n) if turn is None else np.asarray(turn), old)
    logp = (old + torch.tensor(ratio, dtype=torch.float64).log()[:, None]).requires_grad_()
    found, figures = loss.value(logp, choices, torch.tensor(gain, dtype=torch.float64), None, 0.0)
    (slope,) = torch.autograd.grad(found, logp)
    return found.item(), slope[:, 0].numpy(), figures


def test_the_ratio_is_no_function_to_be_differentiated():
    found, slope, figures = loss_of(Gated(gate="one"), RATIOS, [1.0, 1, -1, 1, -1])
    assert slope * 5 == pytest.approx([-1, -1, 1, 0, 1])
    assert found == pytest.approx(-np.dot([1, 1, -1, 0, -1], np.log(0.2 * np.asarray(RATIOS))) / 5)
    assert figures["gated"].item() == pytest.approx(1 / 5)
    assert loss_of(Gated(gate="one", importance=True), RATIOS, [1.0, 1, -1, 1, -1])[1] * 5 == pytest.approx([-0.3, -0.7, 1.1, 0, 3.5])


def test_the_pull_to_the_sampler():
    found, slope, _ = loss_of(Gated(pull=0.1), [2.0, 0.5], [0.0, 0.0])
    assert found == pytest.approx(0.1 * np.log(2) ** 2)
    assert slope == pytest.approx(np.asarray([0.1, -0.1]) * np.log(2))


def test_a_turn_s_gate_is_that_of_its_geometric_mean():
    """Ratios 1.0001 and 1.0005 of one turn: 1.0003 is inside 1.0004, though the second alone is not."""
    loss = Gated(ratio="turn", low=3e-4, high=4e-4)
    assert loss_of(loss, [1.0001, 1.0005], [1.0, 1.0], turn=[0, 0])[1].tolist() == [-0.5, -0.5]
    assert loss_of(loss, [1.0001, 1.0005], [1.0, 1.0])[1].tolist() == [-0.5, 0]


@given(st.lists(st.tuples(st.floats(0.05, 5), st.sampled_from([-2.0, -0.5, 1.0, 3.0])), min_size=1, max_size=9))
def test_one_sided_with_importance_has_the_gradient_of_the_clipped_surrogate(rows):
    ratio, gain = (list(column) for column in zip(*rows, strict=True))
    ours, ppo = (loss_of(loss, ratio, gain)[1] for loss in (Gated(gate="one", importance=True), Clipped()))
    assert ours == pytest.approx(ppo, abs=1e-9)


@given(st.lists(st.tuples(st.floats(0.05, 5), st.sampled_from([-1.0, 2.0])), min_size=1, max_size=9), st.sampled_from([Clipped, Gated]))
def test_the_ratio_of_a_turn_of_one_token_is_the_token_s(rows, kind):
    ratio, gain = (list(column) for column in zip(*rows, strict=True))
    token, turn = (loss_of(kind(ratio=level), ratio, gain)[:2] for level in ("token", "turn"))
    assert token[0] == pytest.approx(turn[0])
    assert token[1] == pytest.approx(turn[1])
