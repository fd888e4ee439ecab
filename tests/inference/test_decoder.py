"""Free text drawn with requests that join and leave: what a request says does not depend on its company."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from marl_llm.inference.chat import Chat
from marl_llm.inference.decoder import Decoder
from marl_llm.inference.forward import logits_at, token_log_probs
from tests.inference.models import SHAPE, decisions_of, make_model, tokenizer_of

MAX_NEW = 24


@pytest.fixture(scope="module")
def model():
    return make_model(tokenizer_of("leduc_poker"), SHAPE, 1).eval()


@pytest.fixture(scope="module")
def prompts():
    chat = Chat(tokenizer_of("leduc_poker"))
    return [chat.decision(*decision).prompt for decision in decisions_of("leduc_poker")[:40]]


def spoken(model, prompts, *, rows=128, share=True, order=None, end=(1,), limit=lambda i: MAX_NEW, late=0):
    """Replies by id; ``late`` requests join one at a time while others speak."""
    decoder = Decoder(model, end, rows=rows, share=share)
    order = list(range(len(prompts))) if order is None else order
    said, waiting = {}, order[len(order) - late :]
    for i in order[: len(order) - late]:
        decoder.submit(i, prompts[i], 1000 + i, limit(i))
    while len(decoder) or waiting:
        if waiting:
            i = waiting.pop()
            decoder.submit(i, prompts[i], 1000 + i, limit(i))
        said |= {reply.id: reply for reply in decoder.step()}
    return said


def test_a_request_says_the_same_in_any_company(model, prompts):
    alone = {i: spoken(model, [prompts[i]], order=[0])[0].tokens.tolist() for i in (0,)}
    plain = spoken(model, prompts)
    assert plain[0].tokens.tolist() == alone[0]
    for other in (spoken(model, prompts, rows=3), spoken(model, prompts, share=False), spoken(model, prompts, late=15, rows=8)):
        assert [plain[i].tokens.tolist() for i in plain] == [other[i].tokens.tolist() for i in plain]
    assert len({tuple(reply.tokens.tolist()) for reply in plain.values()}) > 20, "seeds differ, so do replies"


def test_equal_prompts_with_different_seeds_differ(model, prompts):
    said = spoken(model, [prompts[0]] * 16)
    assert len({tuple(reply.tokens.tolist()) for reply in said.values()}) > 8


def test_log_probabilities_are_those_of_a_plain_pass(model, prompts):
    for i, reply in spoken(model, prompts, rows=7).items():
        row = np.concatenate([prompts[i], reply.tokens])
        position = np.arange(len(prompts[i]) - 1, len(row) - 1)
        with torch.no_grad():
            logits = logits_at(model, [row], np.zeros(len(position), np.int64), position)
        assert reply.logp == pytest.approx(token_log_probs(logits, reply.tokens).numpy(), abs=2e-5)


def test_limits_and_ends(model, prompts):
    limits = {i: 1 + i % 5 for i in range(len(prompts))}
    for i, reply in spoken(model, prompts, limit=limits.get, end=(1, 40, 41)).items():
        assert len(reply.tokens) <= limits[i]
        assert reply.ended == (reply.tokens[-1] in (1, 40, 41))
        assert reply.ended or len(reply.tokens) == limits[i]
        assert not set(reply.tokens[:-1].tolist()) & {1, 40, 41}


def test_draws_follow_the_model(model, prompts):
    """First tokens of 4,000 requests against the model's own distribution: a chi-square far from its tail."""
    said = spoken(model, [prompts[3]] * 4000, rows=4000, limit=lambda i: 1)
    with torch.no_grad():
        p = logits_at(model, [prompts[3]], np.asarray([0]), np.asarray([len(prompts[3]) - 1])).softmax(1)[0].numpy()
    seen = np.bincount([int(reply.tokens[0]) for reply in said.values()], minlength=len(p))
    common = p > 5 / 4000
    expected = 4000 * p[common]
    assert common.sum() > 20
    chi = float((np.square(seen[common] - expected) / expected).sum())
    assert abs(chi - common.sum()) < 5 * np.sqrt(2 * common.sum())


def test_a_longer_prompt_that_joins_moves_nothing_under_the_others(model, prompts):
    """Rows move to the right to make room for it, within the room that there is; what stood there before is not read again."""
    asked = [prompts[0], prompts[0], np.concatenate([prompts[0][:7], prompts[0]])]
    decoder, said = Decoder(model, ()), {}
    for i, limit in enumerate((1, MAX_NEW)):
        decoder.submit(i, asked[i], 500 + i, limit)
    said |= {reply.id: reply for reply in decoder.step()}
    assert len(said) == 1, "its row is free for the next"
    decoder.submit(2, asked[2], 502, MAX_NEW)
    while len(decoder):
        said |= {reply.id: reply for reply in decoder.step()}
    for i, prompt in enumerate(asked):
        row = np.concatenate([prompt, said[i].tokens])
        position = np.arange(len(prompt) - 1, len(row) - 1)
        with torch.no_grad():
            logits = logits_at(model, [row], np.zeros(len(position), np.int64), position)
        assert said[i].logp == pytest.approx(token_log_probs(logits, said[i].tokens).numpy(), abs=2e-5)
