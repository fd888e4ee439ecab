"""Learning from messages and choices in one batch."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from algorithms.composed import Composed
from algorithms.language import LanguagePolicy
from algorithms.losses import Anneal, MirrorDescent
from marl_llm import registry
from marl_llm.agents.callable import CallableAgent
from marl_llm.agents.pool import AgentPool
from marl_llm.agents.saved import load_agent
from marl_llm.agents.talking import TalkingAgent
from marl_llm.algorithm import Setup, Unsuitable
from marl_llm.check import check_game
from marl_llm.evaluate import main as evaluate
from marl_llm.inference.forward import logits_at
from marl_llm.inference.tiny import SAID, Tiny, tiny
from marl_llm.matches import Match, deal_seed, self_play
from marl_llm.play import play
from marl_llm.records import Batch
from marl_llm.train import main as train
from tests.inference.models import random_agent, tokenizer_of

SPEC = "talk(game=matrix,words=5)"
QUICK = Tiny(hidden=64, layers=2, heads=2, learning_rate=2e-3, min_steps=60, max_steps=160)
LISTENING = f"{Path(__file__).parents[1]}/learn/listening.py:Listening(words=1)"
CODE = CallableAgent(
    lambda text, legal: ("heads" if "yes" in text else "tails") if legal else ("yes" if "heads" in text else "no"), "keeps to a code"
)


@pytest.fixture(scope="module")
def listener(tmp_path_factory):
    """The folder of a model that is warm-started for the listening game."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MARL_LLM_CACHE", str(tmp_path_factory.mktemp("cache")))
        return tiny([registry.game(LISTENING)], 0, QUICK)


def test_gradient_of_a_mixed_batch_is_that_of_plain_rows():
    """-(ratio A) everywhere; where replies are listed alpha KL(pi, uniform) + (1/eta) KL(pi, old) over them, for messages an
    estimate of the latter; all tokens count alike."""
    agent = TalkingAgent(random_agent(SPEC).model.double(), tokenizer_of(SPEC))
    batch = Batch.concat(play(self_play(SPEC, "a", 2, 6, 1), AgentPool({"a": agent}), registry.game))
    with torch.no_grad():
        for parameter in agent.model.parameters():
            parameter.mul_(0.98)
    policy = LanguagePolicy(agent)
    choices = policy.choices(batch)
    learned = batch["token.learn"].astype(bool)
    lengths = np.diff(batch.starts["support"])
    assert choices.whole[choices.context].sum() == (learned & (lengths == 0)).sum() > 30
    assert (~choices.whole[choices.context]).sum() == (lengths > 0).sum() == 12
    gain = torch.from_numpy(np.random.default_rng(0).normal(size=batch.size("turn")))
    loss = MirrorDescent(alpha=Anneal(start=0.3, end=0.3), eta=Anneal(start=0.5, end=0.5))
    logp, _ = policy.forward(np.arange(len(choices.old)))
    got, _ = loss.value(logp, choices, gain[choices.turn].float(), None, 0.0)
    total = torch.zeros(())
    for t in range(batch.size("turn")):
        reply, first = batch.ragged("token.id")[t], batch.starts["token"][t]
        prompt = batch.tables["stream"][batch["turn.stream"][t]][: batch["turn.prompt_end"][t]]
        row, position = np.concatenate([prompt, reply]), np.arange(len(prompt) - 1, len(prompt) + len(reply) - 1)
        logits = logits_at(agent.model, [row], np.zeros(len(position), np.int64), position, share=False)
        for k in np.flatnonzero(learned[first : first + len(reply)]).tolist():
            allowed = batch.ragged("support.id")[first + k].tolist()
            old = torch.from_numpy(batch.ragged("support.logp")[first + k])
            now = (logits[k, allowed] if allowed else logits[k]).log_softmax(0)
            place = allowed.index(reply[k]) if allowed else int(reply[k])
            change = now[place] - float(batch["token.logp"][first + k])
            total = total - change.exp() * gain[t]
            if allowed:
                total = total + 0.3 * (now.exp() * (now + np.log(len(allowed)))).sum() + (now.exp() * (now - old)).sum() / 0.5
            else:
                total = total + (1 - change.exp() + change.exp() * change) / 0.5
    plain = total / learned.sum()
    assert got.item() == pytest.approx(plain.item(), rel=1e-5)
    a, b = (torch.cat([g.flatten() for g in torch.autograd.grad(x, list(agent.model.parameters()))]) for x in (got, plain))
    assert b.abs().max() > 1e-3
    assert (a - b).abs().max() < 1e-5 * b.abs().max()


def test_warm_start_of_talking_games(listener):
    """What is said at first is one of the random player's words, all about as often, and does not tell the coin."""
    check_game(registry.game(LISTENING)).require()
    batch = Batch.concat(play(self_play(LISTENING, "a", 2, 300, 1), AgentPool({"a": load_agent(listener)}), registry.game))
    said = np.asarray([answer for answer in batch.answers() if isinstance(answer, str)])
    shares = [(said == word).mean() for word in SAID]
    assert sum(shares) > 0.9
    assert min(shares) > 0.2
    assert abs(batch["seat.return"].mean() - 0.5) < 0.1


@pytest.mark.parametrize("players", [("self", "partner"), ("partner", "self")], ids=["speaking", "listening"])
def test_a_code_is_learned_from_a_partner_that_keeps_to_it(listener, players):
    recipe = registry.recipe("mars")
    algorithm = Composed(replace(recipe, horizon=20), Setup((LISTENING,), registry.game, str(listener), 0))
    pool, won = AgentPool({**algorithm.agents, "partner": CODE}), []
    mine = frozenset([players.index("self")])
    for step in range(20):
        algorithm.step = step
        matches = [Match(game=LISTENING, seed=deal_seed(step, k), players=players, learn=mine) for k in range(200)]
        batch = Batch.concat(play(matches, pool, registry.game))
        won.append(batch["seat.return"].mean())
        assert algorithm.learn(batch)["logp_gap"] < 1e-4
    assert won[0] < 0.65
    assert won[-1] > 0.9


def test_a_run_on_a_talking_game(listener, tmp_path, capsys):
    """The commands: anchors are met by sampling, and nothing is claimed to be exact."""
    run = tmp_path / "run"
    settings = ["--game", SPEC, "--model", str(listener), "--steps", "2", "--sampler.matches", "16", "--anchor-deals", "4"]
    assert train(["mars", *settings, "--out", str(run)]) == 0
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert max(line["logp_gap"] for line in lines[:2]) < 1e-4
    assert "anchor/random" in lines[-1]
    capsys.readouterr()
    assert evaluate([str(run), "--deals", "4", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert figures["exploitability"] is None
    assert "exploitability_estimate" not in figures
    assert figures["anchors"]["random"]["games"] == 8
    assert not figures["anchors"]["random"]["exact"]


@pytest.mark.parametrize(("recipe", "model", "who"), [("mars", "tabular", "model 'tabular'"), ("ppo", None, "ppo")])
def test_what_cannot_speak_says_so(recipe, model, who):
    with pytest.raises(Unsuitable, match=f"{who} cannot speak, and seats of talk"):
        registry.recipe(recipe).build(Setup((SPEC,), registry.game, model, 0))


def test_pasts_on_one_base_speak_by_their_own_adapters(listener, tmp_path):
    """Two pasts speak at the same time, token by token in turn; every token is drawn from its own speaker's distribution."""
    recipe = registry.recipe("mars")
    method = replace(recipe, language=replace(recipe.language, lora=4))
    algorithm = Composed(method, Setup((SPEC,), registry.game, str(listener), 0))
    pasts = {}
    for k in range(2):
        with torch.no_grad():
            for name, value in algorithm.policy.agent.model.named_parameters():
                if "lora_B" in name:
                    value.normal_(0, 0.3, generator=torch.Generator().manual_seed(k))
        (tmp_path / str(k)).mkdir()
        algorithm.save_past("self", tmp_path / str(k))
        pasts[f"past{k}"] = load_agent(tmp_path / str(k))
    matches = [replace(match, players=("past0", "past1")[:: 1 - 2 * (i % 2)]) for i, match in enumerate(self_play(SPEC, "a", 2, 12, 1))]
    batch = Batch.concat(play(matches, AgentPool(pasts), registry.game))
    player = batch["seat.player"][batch.up("turn", "seat")]
    for t in np.flatnonzero(batch["turn.said"] >= 0).tolist():
        agent = pasts[batch.tables["player"][player[t]]]
        reply = batch.ragged("token.id")[t]
        row = np.concatenate([batch.tables["stream"][batch["turn.stream"][t]][: batch["turn.prompt_end"][t]], reply])
        position = np.arange(len(row) - len(reply) - 1, len(row) - 1)
        with torch.no_grad():
            logp = logits_at(agent.model, [row], np.zeros(len(position), np.int64), position).log_softmax(1)
        assert batch.ragged("token.logp")[t] == pytest.approx(logp[np.arange(len(reply)), reply].numpy(), abs=1e-4)
