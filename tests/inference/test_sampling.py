"""How a reply is drawn: every setting by hand, and log-probabilities as recorded are those of what was drawn from."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from marl_llm.inference.chat import Chat
from marl_llm.inference.decoder import Decoder
from marl_llm.inference.forward import logits_at
from marl_llm.inference.sampling import PLAIN, Sampling, log_probs
from tests.inference.models import SHAPE, decisions_of, make_model, tokenizer_of

LOGITS = torch.log(torch.tensor([[0.4, 0.3, 0.2, 0.1]]))
NONE = np.zeros(0, np.int64)


def probabilities(way, logits=LOGITS, past=NONE):
    return log_probs(logits, [way], [past])[0].exp().tolist()


@pytest.mark.parametrize(
    ("way", "expected"),
    [
        (PLAIN, [0.4, 0.3, 0.2, 0.1]),
        (Sampling(temperature=0.5), [16 / 30, 9 / 30, 4 / 30, 1 / 30]),
        (Sampling(top_k=2), [4 / 7, 3 / 7, 0, 0]),
        (Sampling(top_p=0.65), [4 / 7, 3 / 7, 0, 0]),
        (Sampling(top_p=0.75), [4 / 9, 3 / 9, 2 / 9, 0]),
        (Sampling(top_p=0.01), [1, 0, 0, 0]),
        (Sampling(top_k=3, top_p=0.45), [4 / 7, 3 / 7, 0, 0]),  # of the three that stay the first has 4 / 9
        (Sampling(temperature=0.5, top_p=0.5), [1, 0, 0, 0]),
        (Sampling(top_k=9), [0.4, 0.3, 0.2, 0.1]),
    ],
)
def test_settings_by_hand(way, expected):
    assert probabilities(way) == pytest.approx(expected, abs=1e-6)


def test_repetition_by_hand():
    """Logits 2 and -1 of tokens met before become 1 and -2; how often they were met does not matter."""
    logits = torch.tensor([[2.0, -1.0, 1.0, 0.5]])
    found = probabilities(Sampling(repetition=2.0), logits, np.asarray([0, 1, 0]))
    assert found == pytest.approx(torch.tensor([1.0, -2.0, 1.0, 0.5]).softmax(0).tolist(), abs=1e-6)
    assert probabilities(Sampling(), logits, np.asarray([0, 1])) == pytest.approx(logits[0].softmax(0).tolist(), abs=1e-6)


def test_rows_are_drawn_each_its_own_way():
    ways = [PLAIN, Sampling(top_k=1), Sampling(temperature=2.0), Sampling(repetition=1.5)]
    logits = torch.randn(4, 50, generator=torch.Generator().manual_seed(0))
    past = [np.arange(5)] * 4
    together = log_probs(logits, ways, past)
    for row, way in enumerate(ways):
        alone = log_probs(logits[row : row + 1], [way], past[:1])[0]
        torch.testing.assert_close(together[row], alone)
    assert torch.equal(together[0], logits[0].log_softmax(0))


@pytest.fixture(scope="module")
def model():
    return make_model(tokenizer_of("kuhn_poker"), SHAPE, 1).eval()


@pytest.fixture(scope="module")
def prompts():
    chat = Chat(tokenizer_of("kuhn_poker"))
    return [chat.decision(*decision).prompt for decision in decisions_of("kuhn_poker")[:8]]


def test_recorded_log_probabilities_are_those_drawn_from(model, prompts):
    """Each reply once more in a plain pass, its settings applied token by token; and none of what was left out is drawn."""
    ways = [PLAIN, Sampling(0.6, 0.8, 20, 1.2), Sampling(temperature=1.3, top_k=5), Sampling(repetition=1.3)]
    decoder, said = Decoder(model, (1,), rows=3), {}
    for i, prompt in enumerate(prompts):
        decoder.submit(i, prompt, 1000 + i, 8, ways[i % 4])
    while len(decoder):
        said |= {reply.id: reply for reply in decoder.step()}
    for i, reply in said.items():
        row = np.concatenate([prompts[i], reply.tokens])
        position = np.arange(len(prompts[i]) - 1, len(row) - 1)
        with torch.no_grad():
            logits = logits_at(model, [row], np.zeros(len(position), np.int64), position)
        past = [row[: at + 1] for at in position.tolist()]
        logp = log_probs(logits, [ways[i % 4]] * len(position), past)
        assert reply.logp == pytest.approx(logp[np.arange(len(position)), reply.tokens].numpy(), abs=5e-5)
        assert np.isfinite(reply.logp).all()
