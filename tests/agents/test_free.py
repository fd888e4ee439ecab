"""Free replies in real matches: what is recorded, what is a fault, and that form can be learned from nothing but rewards."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from algorithms.composed import Composed
from algorithms.language import LanguagePolicy
from algorithms.losses import Anneal, MirrorDescent
from marl_llm import registry
from marl_llm.agent import FAULTS
from marl_llm.agents.language import agent_of, load
from marl_llm.agents.pool import AgentPool
from marl_llm.algorithm import Setup
from marl_llm.inference.chat import Chat
from marl_llm.inference.folder import write
from marl_llm.inference.forward import logits_at, token_log_probs
from marl_llm.inference.reply import read_reply
from marl_llm.inference.speech import Speech
from marl_llm.matches import self_play
from marl_llm.play import play
from marl_llm.records import Batch
from tests.inference.models import SHAPE, decisions_of, make_model, make_tokenizer, random_agent, tokenizer_of

FREE = Speech(reply="free", max_new=6)


class One:
    def __init__(self, agent):
        self.agent = agent

    def resolve(self, player):
        return self.agent


def speaker(speech=FREE):
    model = random_agent("kuhn_poker").model
    return agent_of(model, tokenizer_of("kuhn_poker"), speech)


def played(agent, matches=12, seed=3):
    return Batch.concat(play(self_play("kuhn_poker", "a", 2, matches, seed), One(agent), registry.game))


@pytest.mark.parametrize("prompt", ["state", "history", "chat"])
def test_what_is_recorded_is_what_was_said(prompt):
    agent = speaker(replace(FREE, prompt=prompt))
    batch = played(agent)
    replies, streams = batch.ragged("token.id"), batch.tables["stream"]
    spoken = np.flatnonzero(batch["turn.stream"] >= 0)
    assert len(spoken) > 20
    for t in spoken.tolist():
        prompt_ids = streams[batch["turn.stream"][t]][: batch["turn.prompt_end"][t]]
        row = np.concatenate([prompt_ids, replies[t]])
        position = np.arange(len(prompt_ids) - 1, len(row) - 1)
        with torch.no_grad():
            logp = token_log_probs(logits_at(agent.model, [row], np.zeros(len(position), np.int64), position), replies[t])
        assert batch.ragged("token.logp")[t] == pytest.approx(logp.numpy(), abs=1e-4)
        text = agent.tokenizer.decode(replies[t], skip_special_tokens=True)
        ended = int(replies[t][-1]) in agent.chat.ends
        assert FAULTS[batch["turn.fault"][t]] == FAULTS[read_reply(text, ["pass", "bet"], finished=ended).fault]
    assert set(batch["turn.fault"][spoken].tolist()) & {FAULTS.index("unparsable"), FAULTS.index("truncated")}
    assert not batch["turn.learn"][batch["turn.stream"] < 0].any(), "the random move after a fault is nobody's choice"


def test_conversations_are_append_only():
    """In chat mode a turn's prompt begins with the seat's earlier prompt and reply, token for token."""
    agent = speaker(replace(FREE, prompt="chat"))
    batch = played(agent)
    replies, streams = batch.ragged("token.id"), batch.tables["stream"]
    seat, checked = batch.up("turn", "seat"), 0
    for t in np.flatnonzero((seat[1:] == seat[:-1]) & (batch["turn.stream"][1:] >= 0) & (batch["turn.stream"][:-1] >= 0)).tolist():
        before = streams[batch["turn.stream"][t]][: batch["turn.prompt_end"][t]]
        after = streams[batch["turn.stream"][t + 1]][: batch["turn.prompt_end"][t + 1]]
        whole = np.concatenate([before, replies[t]])
        assert after[: len(whole)].tolist() == whole.tolist()
        cut = int(replies[t][-1]) not in agent.chat.ends
        closed = [*([agent.chat.end] if cut else []), *agent.tokenizer.encode("<|user|>", add_special_tokens=False)]
        assert after[len(whole) :][: len(closed)].tolist() == closed, "a reply that was cut is closed before the next question"
        checked += 1
    assert checked > 5


def test_choosing_works_in_every_prompt_mode():
    for prompt in ("history", "chat"):
        batch = played(speaker(Speech(prompt=prompt)))
        assert not batch["turn.fault"].any()
        second = batch["turn.index"] == 1
        assert second.any()
        lengths = batch["turn.prompt_end"]
        assert lengths[second].min() > lengths[~second].max(), "the second prompt holds the first turn"


def test_only_state_prompts_have_a_policy_over_views():
    request = type("R", (), {})()
    with pytest.raises(TypeError, match="chat prompts has no policy"):
        speaker(Speech(prompt="chat")).policy(request)
    with pytest.raises(TypeError, match="answers freely has no policy"):
        speaker().policy(request)


def test_weights_are_not_changed_under_a_reply():
    agent = speaker()
    batches = play(self_play("kuhn_poker", "a", 2, 4, 1), One(agent), registry.game)
    next(batches)
    agent.decoder.submit(0, np.asarray([5, 6], np.int32), 1, 4)
    with pytest.raises(ValueError, match="1 replies are under way"):
        agent.updated()


def test_a_saved_speaker_speaks_as_before(tmp_path):
    agent = speaker(replace(FREE, prompt="history"))
    agent.save(tmp_path)
    again = load(tmp_path)
    assert again.speech == agent.speech
    assert played(again)["token.id"].tolist() == played(agent)["token.id"].tolist()


def test_gradient_of_free_tokens_is_that_of_plain_rows():
    """One gradient of -(ratio A) + (1/eta) estimate(KL(pi, old)) against every reply computed alone."""
    agent = speaker()
    agent.model.double()
    batch = played(agent, 6)
    with torch.no_grad():
        for parameter in agent.model.parameters():
            parameter.mul_(0.98)
    policy = LanguagePolicy(agent)
    choices = policy.choices(batch)
    assert choices.whole.all()
    gain = torch.from_numpy(np.random.default_rng(0).normal(size=batch.size("turn")))
    loss = MirrorDescent(alpha=Anneal(start=0.3, end=0.3), eta=Anneal(start=0.5, end=0.5))  # uniform over a vocabulary: no pull
    logp, _ = policy.forward(np.arange(len(choices.old)))
    got, _ = loss.value(logp, choices, gain[choices.turn].float(), None, 0.0)
    total, count = torch.zeros(()), 0
    for t in np.flatnonzero(batch["turn.learn"]).tolist():
        reply = batch.ragged("token.id")[t]
        prompt = batch.tables["stream"][batch["turn.stream"][t]][: batch["turn.prompt_end"][t]]
        row, position = np.concatenate([prompt, reply]), np.arange(len(prompt) - 1, len(prompt) + len(reply) - 1)
        now = token_log_probs(logits_at(agent.model, [row], np.zeros(len(position), np.int64), position, share=False), reply)
        change = now - torch.from_numpy(batch.ragged("token.logp")[t])
        ratio = change.exp()
        total = total - (ratio * gain[t]).sum() + (1 - ratio + ratio * change).sum() / 0.5
        count += len(reply)
    plain = total / count
    assert got.item() == pytest.approx(plain.item(), rel=1e-5)
    a, b = (torch.cat([g.flatten() for g in torch.autograd.grad(x, list(agent.model.parameters()))]) for x in (got, plain))
    assert b.abs().max() > 1e-3
    assert (a - b).abs().max() < 1e-5 * b.abs().max()


def half_formed(folder):
    """A model that was shown answers of which half are well-formed, the moves at random."""
    game = registry.game("kuhn_poker")
    moves = [f"<move>{move}</move>" for move in ("pass", "bet")]
    decisions = decisions_of("kuhn_poker")
    tokenizer = make_tokenizer([f"{game.rules(seat)} {text} {' '.join(moves)}" for _, seat, text, _ in decisions], 400)
    model, chat = make_model(tokenizer, SHAPE, 5), Chat(tokenizer, free=True)
    prompts = [chat.decision(*decision).prompt for decision in decisions]
    replies = [[*tokenizer.encode(word), tokenizer.eos_token_id] for word in (*moves, "pass", "bet")]
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    rng = np.random.default_rng(0)
    for _ in range(100):
        rows = [np.concatenate([prompts[rng.integers(len(prompts))], replies[rng.integers(4)]]) for _ in range(8)]
        row = np.concatenate([[i] * 8 for i in range(8)])
        position = np.concatenate([np.arange(len(r) - 9, len(r) - 1) for r in rows])
        logits = logits_at(model, rows, row, position)
        target = torch.from_numpy(np.concatenate([r[-8:] for r in rows]).astype(np.int64))
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(logits, target).backward()
        optimiser.step()
    write(folder, model, tokenizer)


def test_form_is_learned_from_its_reward(tmp_path):
    """The share of legal, readable replies rises; nothing but the rewards for form and game tells the model so."""
    half_formed(tmp_path)
    recipe = registry.recipe("mars")
    method = replace(
        recipe,
        sampler=replace(recipe.sampler, matches=40),
        loss=replace(recipe.loss, eta=Anneal(start=4, end=4)),
        learner=replace(recipe.learner, rate=Anneal(start=2e-3, end=2e-3), epochs=1, minibatch=64),
        language=replace(recipe.language, reply="free", max_new=12),
    )
    algorithm = Composed(method, Setup(("kuhn_poker",), registry.game, str(tmp_path), 0))
    legal: list[float] = []
    for step in range(8):
        batch = Batch.concat(play(algorithm.plan(step), AgentPool(algorithm.agents), registry.game))
        legal.append((batch["turn.fault"][batch["turn.stream"] >= 0] == 0).mean())
        figures = algorithm.learn(batch)
        assert figures["logp_gap"] < 1e-3
    assert 0.1 < legal[0] < 0.6
    assert legal[-1] > legal[0] + 0.2
