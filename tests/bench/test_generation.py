"""Replies of 1 to 64 tokens for 256 matches, drawn as they are asked for, against fixed batches of transformers' ``generate``.

A match asks for its next reply when it has the last. A fixed batch runs to its longest reply. Both hold 128 rows, and the
end token never comes, so that both draw equally many tokens.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest
import torch

from marl_llm.inference.decoder import Decoder
from marl_llm.inference.tiny import Tiny
from marl_llm.matches import self_play
from marl_llm.play import play
from marl_llm.records import Batch
from marl_llm.registry import game
from marl_llm.seeding import generator
from tests.bench.measure import compare
from tests.bench.test_play import Pool
from tests.inference.models import make_model, random_agent, tokenizer_of

pytestmark = [pytest.mark.bench, pytest.mark.usefixtures("one_thread")]
GAME, MATCHES, ROWS, LONGEST = "kuhn_poker", 256, 128, 64
NEVER = -1


@pytest.fixture(scope="module")
def model():
    return make_model(tokenizer_of(GAME), Tiny(), 1).eval()


@pytest.fixture(scope="module")
def asked():
    """For every match its prompts in order of play, each with the length of its reply."""
    batch = Batch.concat(play(self_play(GAME, "a", 2, MATCHES, 1), Pool(random_agent(GAME)), game))
    order = np.lexsort((batch["turn.seat"], batch["turn.index"], batch.up("turn", "match")))
    lengths = generator(1).integers(1, LONGEST + 1, len(order)).tolist()
    matches: list[list[tuple[np.ndarray, int]]] = [[] for _ in range(MATCHES)]
    for turn, length in zip(order.tolist(), lengths, strict=True):
        prompt = batch.tables["stream"][batch["turn.stream"][turn]][: batch["turn.prompt_end"][turn]]
        matches[batch.up("turn", "match")[turn]].append((prompt, length))
    return matches


def drawn(model, asked, share):
    def work():
        decoder = Decoder(model, (NEVER,), rows=ROWS, share=share)
        turn = [0] * len(asked)
        tokens = 0

        def ask(match):
            prompt, length = asked[match][turn[match]]
            decoder.submit(match, prompt, 1000 * match + turn[match], length)
            turn[match] += 1

        for match in range(len(asked)):
            ask(match)
        while len(decoder):
            for reply in decoder.step():
                tokens += len(reply.tokens)
                if turn[reply.id] < len(asked[reply.id]):
                    ask(reply.id)
        return tokens

    return work


def fixed(model, asked):
    def work():
        waiting = deque((match, 0) for match in range(len(asked)))
        tokens = 0
        while waiting:
            taken = [waiting.popleft() for _ in range(min(ROWS, len(waiting)))]
            requests = [asked[match][turn] for match, turn in taken]
            width, longest = max(len(prompt) for prompt, _ in requests), max(length for _, length in requests)
            ids, mask = np.zeros((2, len(requests), width), np.int64)
            for row, (prompt, _) in enumerate(requests):
                ids[row, width - len(prompt) :], mask[row, width - len(prompt) :] = prompt, 1
            said = model.generate(
                input_ids=torch.from_numpy(ids),
                attention_mask=torch.from_numpy(mask),
                max_new_tokens=longest,
                do_sample=True,
                top_k=0,
                eos_token_id=None,
                pad_token_id=0,
            )
            assert said.shape == (len(requests), width + longest)
            tokens += sum(length for _, length in requests)
            waiting += [(match, turn + 1) for match, turn in taken if turn + 1 < len(asked[match])]
        return tokens

    return work


def test_generation_against_fixed_batches(model, asked):
    figures = compare("generation/256 matches/HF generate, sharing off", drawn(model, asked, False), fixed(model, asked), 3, alone=True)
    assert figures["ratio"] >= 2


def test_generation_that_shares_prompts_against_fixed_batches(model, asked):
    figures = compare("generation/256 matches/HF generate, sharing on", drawn(model, asked, True), fixed(model, asked), 3, alone=True)
    assert figures["ratio"] >= 2
