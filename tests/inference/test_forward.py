"""The shared prefix changes what a pass costs and nothing else: logits and gradients equal those of plain rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from marl_llm.inference.chat import Chat
from marl_llm.inference.forward import common_prefix, hidden_at, logits_at, support_log_probs
from tests.inference.models import SHAPE, decisions_of, make_model, random_agent, tokenizer_of

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


def test_rows_of_several_games_are_computed_by_game():
    """Mixed rows, in any order, give the states and gradients of plain rows."""
    chat = Chat(tokenizer_of("kuhn_poker"))
    prompts = [chat.decision(*d).prompt for spec in ("kuhn_poker", "tic_tac_toe") for d in decisions_of(spec)[:6]]
    order = np.random.default_rng(0).permutation(len(prompts))
    rows = [prompts[i] for i in order.tolist()]
    model = make_model(tokenizer_of("kuhn_poker"), SHAPE, 3).double()
    row = np.asarray([*range(len(rows)), 2, 0])
    position = np.asarray([*(len(r) - 1 for r in rows), len(rows[2]) - 2, len(rows[0]) - 3])
    weight = torch.randn(len(row), SHAPE.hidden, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = []
    for share in (True, False):
        states = hidden_at(model, rows, row, position, share=share)
        found.append((states, torch.autograd.grad((states * weight).sum(), list(model.parameters()), allow_unused=True)))
    (a, da), (b, db) = found
    assert (a - b).abs().max() < 1e-6
    assert all(
        (x is None and y is None) or (x - y).abs().max() < 1e-5 * max(1.0, float(y.abs().max())) for x, y in zip(da, db, strict=True)
    )
