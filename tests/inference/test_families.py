"""Other models' peculiarities: sliding windows, bounded logits, grouped heads. What we compute is what the model itself computes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from marl_llm.inference.decoder import Decoder
from marl_llm.inference.forward import logits_at

SHAPE = {
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "max_position_embeddings": 512,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
}
WINDOW = {"sliding_window": 8}
FAMILIES = {"qwen2": {}, "qwen3": {}, "mistral": WINDOW, "gemma2": WINDOW, "gemma3_text": WINDOW | {"sliding_window_pattern": 2}}
RNG = np.random.default_rng(0)
HEAD = RNG.integers(5, 300, 12)
PROMPTS = [np.concatenate([HEAD, RNG.integers(5, 300, 1 + 5 * i % 19)]).astype(np.int32) for i in range(6)]


@pytest.fixture(params=FAMILIES, scope="module")
def model(request):
    config = AutoConfig.for_model(request.param, **SHAPE, **FAMILIES[request.param])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(8.0 if parameter.ndim > 1 else 1.0)
    return model.eval()


def own(model, row):
    """The model's own log-probabilities after every token of a row that runs alone."""
    with torch.no_grad():
        return model(input_ids=torch.from_numpy(row.astype(np.int64))[None]).logits[0].log_softmax(1)


def test_a_shared_pass_is_the_model_s_own(model):
    position = np.asarray([len(prompt) - 1 for prompt in PROMPTS])
    with torch.no_grad():
        ours = logits_at(model, PROMPTS, np.arange(len(PROMPTS)), position).log_softmax(1)
    assert torch.allclose(ours, torch.stack([own(model, prompt)[-1] for prompt in PROMPTS]), atol=1e-5)


def test_replies_are_drawn_from_the_model_s_own_distribution(model):
    decoder, said = Decoder(model, (1,), rows=4), []
    for i, prompt in enumerate(PROMPTS):
        decoder.submit(i, prompt, i, 12)
    while len(decoder):
        said += decoder.step()
    assert len(said) == len(PROMPTS)
    for reply in said:
        row, begun = np.concatenate([PROMPTS[reply.id], reply.tokens]), len(PROMPTS[reply.id])
        logp = own(model, row)[np.arange(begun - 1, len(row) - 1), reply.tokens]
        assert reply.logp == pytest.approx(logp.numpy(), abs=2e-5)
