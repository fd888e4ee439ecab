"""A language agent in choose mode: exact probabilities, and records of what was sampled."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from marl_llm import registry
from marl_llm.agents.language import load
from marl_llm.exact import policy_of, request_of
from marl_llm.matches import self_play
from marl_llm.play import play
from marl_llm.ragged import segment_sum
from marl_llm.records import Batch
from marl_llm.tree import tree_of
from tests.inference.models import random_agent


class One:
    def __init__(self, agent):
        self.agent = agent

    def resolve(self, player):
        return self.agent


def played(agent, spec="kuhn_poker", matches=200, in_flight=4096):
    return Batch.concat(play(self_play(spec, "a", 2, matches, 7), One(agent), registry.game, in_flight=in_flight))


@pytest.mark.parametrize("spec", ["kuhn_poker", "leduc_poker", "tic_tac_toe"])
def test_probabilities_over_the_legal_actions(spec):
    tree = tree_of(registry.game(spec))
    request = request_of(tree, np.arange(0, len(tree.keys), 1 + len(tree.keys) // 60))
    policy = random_agent(spec).policy(request)
    assert segment_sum(policy.data, policy.starts) == pytest.approx(np.ones(len(policy)), abs=1e-9)
    assert policy.data.std() > 0.05


def test_choose_equals_the_model_token_by_token():
    """The probability of a reply is the product, over its tokens, of a softmax over what may follow."""
    agent, spec = random_agent("leduc_poker"), "leduc_poker"
    tree = tree_of(registry.game(spec))
    row = np.flatnonzero(tree.legal.lengths == 3)[:1]
    request = request_of(tree, row)
    (decision,), _ = agent._decisions(request)
    probabilities = []
    for reply in decision.trie.replies:
        p, ids = 1.0, list(decision.prompt)
        for j, token in enumerate(reply):
            after = sorted({other[j] for other in decision.trie.replies if other[:j] == reply[:j] and len(other) > j})
            with torch.no_grad():
                logits = agent.model(input_ids=torch.tensor([[*map(int, ids)]])).logits[0, -1, after]
            p *= float(logits.softmax(0)[after.index(token)])
            ids.append(token)
        probabilities.append(p)
    assert agent.policy(request).data == pytest.approx(probabilities, abs=1e-5)


def test_records_are_what_was_sampled():
    agent = random_agent("leduc_poker")
    batch = played(agent, "leduc_poker")
    ids, learn, logp = batch.ragged("token.id"), batch["token.learn"], batch["token.logp"]
    assert (logp[~learn] == 0).all()
    assert (logp[learn] < 0).all()
    support = batch.ragged("support.id")
    assert (support.lengths[learn] > 1).all()
    assert (support.lengths[~learn] == 0).all()
    assert np.exp(Batch.ragged(batch, "support.logp").data).sum() == pytest.approx(learn.sum(), rel=1e-5)
    game = registry.game("leduc_poker")
    tree = tree_of(game)
    policy, code = policy_of(tree, agent), {key: i for i, key in enumerate(tree.keys)}
    streams = batch.tables["stream"]
    for t in range(0, batch.size("turn"), 37):
        infoset = code[batch.tables["key"][batch["turn.key"][t]]]
        place = tree.slot[infoset, batch["turn.action"][t]]
        assert np.exp(logp[batch.starts["token"][t] : batch.starts["token"][t + 1]].sum()) == pytest.approx(
            policy[tree.legal.starts[infoset] + place], abs=1e-5
        )
        assert agent.tokenizer.decode(ids[t][:-1]) == tree.action_texts(infoset)[place]
        prompt = streams[batch["turn.stream"][t]][: batch["turn.prompt_end"][t]]
        assert tree.text(infoset) in agent.tokenizer.decode(prompt)


def test_equal_prompts_are_one_stream():
    batch = played(random_agent())
    assert len(batch.tables["stream"]) == 12


def test_same_games_for_any_number_in_flight():
    a, b = (played(random_agent(), in_flight=n) for n in (16, 4096))
    a = a.take(np.argsort(a["match.plan"]))
    for column in ("match.id", "turn.action", "seat.return", "token.id"):
        assert np.array_equal(a[column], b[column])
    assert abs(a["token.logp"] - b["token.logp"]).max() < 1e-5


def test_saved_folder_is_an_ordinary_one(tmp_path):
    agent = random_agent()
    agent.save(tmp_path)
    tree = tree_of(registry.game("kuhn_poker"))
    assert policy_of(tree, load(tmp_path)) == pytest.approx(policy_of(tree, agent), abs=1e-7)
    plain = AutoModelForCausalLM.from_pretrained(tmp_path)
    ids = AutoTokenizer.from_pretrained(tmp_path)("pass", return_tensors="pt").input_ids
    assert torch.allclose(plain(input_ids=ids).logits, agent.model(input_ids=ids).logits, atol=1e-5)


def test_a_pickled_model_is_refused(tmp_path):
    agent = random_agent()
    agent.save(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(agent.model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(Exception, match="safetensors"):
        load(tmp_path)
