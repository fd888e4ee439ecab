"""The shared prefix changes what a pass costs and nothing else: logits and gradients equal those of plain rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from marl_llm.inference.forward import common_prefix, logits_at, support_log_probs
from tests.inference.models import random_agent

ROWS = [np.asarray([*range(5, 25), *tail]) for tail in ([30, 31, 32], [30, 40], [50, 51, 52, 53, 54], [60])]
ROW, POSITION = np.asarray([0, 0, 1, 2, 2, 3]), np.asarray([20, 22, 21, 20, 24, 20])


def test_common_prefix_leaves_each_row_a_token():
    assert common_prefix(ROWS) == 20
    assert common_prefix([ROWS[0], ROWS[0][:10]]) == 9
    assert common_prefix([np.asarray([1, 2]), np.asarray([3, 4])]) == 0


@pytest.mark.parametrize("share", [True, False])
def test_equal_to_rows_one_by_one(share):
    model = random_agent(double=True).model
    plain = torch.cat([logits_at(model, [ROWS[r]], np.asarray([0]), np.asarray([p])) for r, p in zip(ROW, POSITION, strict=True)])
    assert torch.allclose(logits_at(model, ROWS, ROW, POSITION, share=share), plain, atol=1e-6)


def test_gradients_through_the_shared_prefix():
    model = random_agent(double=True).model
    weights = torch.linspace(-1, 1, len(ROW), dtype=torch.float64)

    def gradients(share):
        model.zero_grad()
        (logits_at(model, ROWS, ROW, POSITION, share=share).log_softmax(1)[:, 7] * weights).sum().backward()
        return torch.cat([p.grad.flatten() for p in model.parameters()])

    shared, plain = gradients(True), gradients(False)
    assert plain.abs().max() > 1e-3
    assert (shared - plain).abs().max() < 1e-6  # the norms of a Llama compute in single precision


def test_support_of_different_widths():
    logits = torch.tensor([[1.0, 2.0, 3.0], [1.0, 1.0, 5.0]])
    logp = support_log_probs(logits, np.asarray([[0, 2], [1, -1]]))
    assert logp[0].exp().sum() == pytest.approx(1)
    assert logp[0, 1] - logp[0, 0] == pytest.approx(2)
    assert logp[1].tolist() == [0.0, -np.inf]
