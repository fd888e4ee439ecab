"""Learning from distinct contexts equals learning from plain rows: values and gradients, whatever was sampled by whom."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from algorithms.credit import TurnLevel
from algorithms.language import LanguagePolicy
from algorithms.losses import Anneal, MirrorDescent
from algorithms.rewards import GameReward
from marl_llm import registry
from marl_llm.inference.forward import hidden_at, logits_at
from marl_llm.matches import self_play
from marl_llm.play import play
from marl_llm.records import Batch
from tests.inference.models import random_agent

LOSS = MirrorDescent(alpha=Anneal(start=0.3, end=0.3), eta=Anneal(start=0.5, end=0.5))


class One:
    def __init__(self, agent):
        self.agent = agent

    def resolve(self, player):
        return self.agent


def mixed(spec, matches=30):
    """Matches of two versions of a policy, with advantages of both signs; the newer agent."""
    agent = random_agent(spec, double=True)
    first = Batch.concat(play(self_play(spec, "a", 2, matches, 1), One(agent), registry.game))
    with torch.no_grad():
        for parameter in agent.model.parameters():
            parameter.mul_(1.05)
    agent.updated()
    second = Batch.concat(play(self_play(spec, "a", 2, matches, 2), One(agent), registry.game))
    with torch.no_grad():
        for parameter in agent.model.parameters():
            parameter.mul_(0.97)
    batch = GameReward().channels(Batch.concat([first, second]), {spec: 2.0}, {})
    return agent, batch, TurnLevel().assign(batch, {}).advantage


def plain_loss(model, batch, advantage):
    """The same loss from one row a turn, each computed alone, with the sampled log-probabilities of the tokens."""
    gain, magnet, old_kl, choices = 0.0, 0.0, 0.0, 0
    ids, learn, logp = batch.ragged("token.id"), batch["token.learn"], batch["token.logp"]
    support, support_logp = batch.ragged("support.id"), batch.ragged("support.logp")
    for t in np.flatnonzero(batch["turn.learn"]).tolist():
        prompt = batch.tables["stream"][batch["turn.stream"][t]][: batch["turn.prompt_end"][t]]
        row = np.concatenate([prompt, ids[t]])
        for j, token in enumerate(range(batch.starts["token"][t], batch.starts["token"][t + 1])):
            if not learn[token]:
                continue
            allowed = torch.from_numpy(support[token].astype(np.int64))
            logits = logits_at(model, [row], np.asarray([0]), np.asarray([len(prompt) + j - 1]), share=False)
            new = logits.float()[0, allowed].log_softmax(0)
            ratio = (new[int((allowed == int(ids[t][j])).nonzero())] - float(logp[token])).exp()
            gain = gain + ratio * advantage[t]
            magnet = magnet + (new.exp() * (new + np.log(len(allowed)))).sum()
            old_kl = old_kl + (new.exp() * (new - torch.from_numpy(support_logp[token]))).sum()
            choices += 1
    return -gain / choices + 0.3 * magnet / choices + old_kl / choices / 0.5


@pytest.mark.parametrize("spec", ["kuhn_poker", "leduc_poker", "tic_tac_toe"])
def test_gradients_equal_plain_rows(spec):
    agent, batch, advantage = mixed(spec, 30 if spec == "kuhn_poker" else 6)
    assert (advantage > 0).any()
    assert (advantage < 0).any()
    assert len(np.unique(batch["turn.version"])) == 2
    policy = LanguagePolicy(agent)
    choices = policy.choices(batch)
    gain = torch.from_numpy(advantage[choices.turn]).float()
    shared, _ = LOSS.value(policy.forward(np.arange(len(choices.old)))[0], choices, gain, None, 0.0)

    def gradient(loss):
        agent.model.zero_grad()
        loss.backward()
        return torch.cat([p.grad.flatten() for p in agent.model.parameters()])

    a, b = gradient(shared), gradient(plain := plain_loss(agent.model, batch, advantage))
    assert shared.item() == pytest.approx(plain.item(), abs=1e-5)
    assert b.abs().max() > 1e-2
    assert (a - b).abs().max() < 1e-6 * max(1.0, float(b.abs().max()))


def test_equal_contexts_are_computed_once():
    agent, batch, _ = mixed("kuhn_poker", 100)
    policy = LanguagePolicy(agent)
    choices = policy.choices(batch)
    assert len(policy._rows) == 12
    assert len(choices.old) == 24, "two versions sampled from twelve prompts"
    assert len(choices.turn) == batch["token.learn"].sum()


def test_log_probs_of_the_sampler_are_the_learner_s():
    agent, batch, _ = mixed("leduc_poker", 20)
    newest = np.flatnonzero(np.asarray(batch["turn.version"]) == 1)
    with torch.no_grad():
        for parameter in agent.model.parameters():
            parameter.div_(0.97)
    policy = LanguagePolicy(agent)
    choices = policy.choices(batch)
    logp = policy.forward(np.arange(len(choices.old)))[0][choices.context, choices.place]
    mine = np.isin(choices.turn, newest)
    assert mine.any()
    assert (logp - choices.logp)[torch.from_numpy(mine)].abs().max() < 1e-5


def test_critic_s_values_are_those_of_plain_rows():
    """Before every token of the learning seat, 0 for the other's; and the same as what is learned from, at every learned token."""
    agent, batch, _ = mixed("leduc_poker", 6)
    learn = batch["seat.learn"] & (batch["seat.seat"] == 0)
    batch = batch.with_columns(**{"seat.learn": learn, "turn.learn": batch["turn.learn"] & learn[batch.up("turn", "seat")]})
    policy = LanguagePolicy(agent)
    with torch.no_grad():
        policy.critic.weight.copy_(torch.randn(policy.critic.weight.shape, generator=torch.Generator().manual_seed(0)))
    valued, replies = policy.values(batch), batch.ragged("token.id")
    for t in range(batch.size("turn")):
        found = valued.ragged("token.value")[t]
        if not learn[batch.up("turn", "seat")[t]]:
            assert not found.any()
            continue
        prompt = batch.tables["stream"][batch["turn.stream"][t]][: batch["turn.prompt_end"][t]]
        row, position = np.concatenate([prompt, replies[t]]), np.arange(len(prompt) - 1, len(prompt) + len(replies[t]) - 1)
        with torch.no_grad():
            plain = policy.critic(hidden_at(agent.model, [row], np.zeros(len(position), np.int64), position, share=False).float())[:, 0]
        assert found == pytest.approx(plain.numpy(), abs=1e-4)
        assert valued["turn.value"][t] == found[0]
    choices = policy.choices(batch)
    _, value = policy.forward(np.arange(len(choices.old)))
    assert valued["token.value"][choices.token] == pytest.approx(value.detach()[choices.context].numpy(), abs=1e-4)
