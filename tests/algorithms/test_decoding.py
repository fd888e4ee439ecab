"""Frozen models decoded as a network says: what is recorded, that it learns, resumes and is saved, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from algorithms.decoding import HASHED, Decoding, Ranges, hashed, mean_hidden
from algorithms.samplers import SelfPlay
from games.spgg.game import Spgg
from games.spgg.measures import solved
from marl_llm import registry
from marl_llm.agents.pool import AgentPool
from marl_llm.agents.saved import load_agent
from marl_llm.algorithm import Setup, Unsuitable
from marl_llm.errors import UserError
from marl_llm.inference.folder import read, write
from marl_llm.inference.forward import logits_at
from marl_llm.inference.sampling import Sampling, log_probs
from marl_llm.matches import Match, self_play
from marl_llm.play import play
from marl_llm.records import Batch
from tests.inference.models import SHAPE, make_model, tokenizer_of

SPEC = "spgg(tasks=logic,words=8)"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two untrained models, which say anything and seldom end before they must."""
    made = [tmp_path_factory.mktemp(name) for name in ("one", "other")]
    for seed, folder in enumerate(made):
        write(folder, make_model(tokenizer_of("kuhn_poker"), SHAPE, seed), tokenizer_of("kuhn_poker"))
    return made


def small(folder, matches=8, seed=0, **settings):
    recipe = registry.recipe("mac-spgg")
    assert isinstance(recipe, Decoding)
    ppo = replace(recipe.ppo, sampler=SelfPlay(matches=matches), hidden=(16,))
    return replace(recipe, ppo=ppo, **settings).build(Setup((SPEC,), registry.game, str(folder), seed))


def played(algorithm, step):
    return Batch.concat(play(algorithm.plan(step), AgentPool(algorithm.agents), registry.game))


def weights(algorithm):
    return torch.cat([value.flatten() for value in algorithm.ppo.network.state_dict().values()])


def test_ranges_are_used_whole():
    """Published ones squash twice, so that a sigmoid's 0 to 1 becomes 0.5 to 0.73 of each range."""
    ranges = Ranges()
    found = ranges.at(np.asarray([[0.0] * 5, [1.0] * 5, [0.5] * 5]))
    np.testing.assert_allclose(found, [[0.3, 0.6, 20, 8, 1.0], [1.2, 0.95, 80, 64, 1.3], [0.75, 0.775, 50, 36, 1.15]])


def test_what_is_recorded_is_how_it_was_drawn(folders):
    algorithm = small(folders[0], ranges=Ranges(max_tokens=(2, 6)))
    batch = played(algorithm, 0)
    model, _ = read(folders[0])
    settings, replies, streams = batch["turn.decoding"], batch.ragged("token.id"), batch.tables["stream"]
    assert len({tuple(row) for row in settings.tolist()}) == batch.size("turn") == 24
    low, high = Ranges(max_tokens=(2, 6)).at(np.asarray([[0.0] * 5, [1.0] * 5]))
    assert (settings >= low).all()
    assert (settings <= high).all()
    assert (replies.lengths <= settings[:, 3]).all()
    np.testing.assert_allclose(settings, Ranges(max_tokens=(2, 6)).at(np.clip(0.5 + 0.5 * batch["turn.drawn"], 0, 1)), rtol=1e-5)
    for turn in range(0, 24, 5):
        warmth, p, k, _, again = settings[turn].tolist()
        prompt = streams[batch["turn.stream"][turn]][: batch["turn.prompt_end"][turn]]
        row = np.concatenate([prompt, replies[turn]])
        position = np.arange(len(prompt) - 1, len(row) - 1)
        with torch.no_grad():
            logits = logits_at(model.eval(), [row], np.zeros(len(position), np.int64), position)
        way = Sampling(warmth, p, int(k), again)
        logp = log_probs(logits, [way] * len(position), [row[: at + 1] for at in position.tolist()])
        recorded = batch.ragged("token.logp")[turn]
        assert recorded == pytest.approx(logp[np.arange(len(position)), replies[turn]].numpy(), abs=1e-4)


@pytest.mark.parametrize("embedding", ["hidden", "hashed"])
def test_two_iterations_for_real_and_resumed_bit_for_bit(folders, embedding, tmp_path):
    whole, parts, rest = (small(folders[0], embedding=embedding) for _ in range(3))
    frozen = [value.clone() for value in whole.agents["self"].voice.speakers[0].model.parameters()]
    before = weights(whole)
    logs = [whole.learn(played(whole, step)) for step in range(2)]
    parts.learn(played(parts, 0))
    parts.save(tmp_path)
    rest.load(tmp_path)
    rest.learn(played(rest, 1))
    assert torch.equal(weights(whole), weights(rest))
    assert not torch.equal(weights(whole), before)
    assert all(np.isfinite(list(log.values())).all() for log in logs)
    assert 0.3 < logs[0]["temperature"] < 1.2
    now = whole.agents["self"].voice.speakers[0].model.parameters()
    assert all(torch.equal(a, b) for a, b in zip(frozen, now, strict=True)), "the language model is frozen"


class Terse(Spgg):
    """Each seat pays for the length of its own text."""

    def start(self, seed):
        state = super().start(seed)
        state.returns = lambda: [-len(text) / 100 for text in state.texts] if not state.to_act() else [0.0] * 3
        return state


def terse():
    game = Terse(tasks="logic", words=8)
    game.spec = "terse"
    return game


def test_settings_follow_the_reward(folders):
    """A game that pays for brevity: replies of at most 1 to 8 tokens become shorter."""
    game = terse()
    recipe = registry.recipe("mac-spgg")
    ppo = replace(recipe.ppo, sampler=SelfPlay(matches=16), hidden=(16,), lr=0.03)
    settings = replace(recipe, ppo=ppo, ranges=Ranges(max_tokens=(1, 8), temperature=(1, 2)), embedding="hashed")
    algorithm = settings.build(Setup(("terse",), lambda spec: game, str(folders[0]), 3))
    tokens, paid = [], []
    for step in range(6):
        batch = Batch.concat(play(algorithm.plan(step), AgentPool(algorithm.agents), lambda spec: game))
        tokens.append(algorithm.learn(batch)["max_tokens"])
        paid.append(batch["seat.return"].mean())
    assert np.mean(tokens[-2:]) < np.mean(tokens[:2]) - 0.5
    assert np.mean(paid[-2:]) > np.mean(paid[:2])


def test_models_sit_in_their_seats_and_are_played_from_their_folders(folders, tmp_path):
    """A model a seat; what is saved plays the same, beside agents of other models and a random one, in ordinary matches."""
    names = (str(folders[0]), str(folders[1]), str(folders[0]))
    algorithm = small(folders[0], models=names, embedding="hashed")
    algorithm.learn(played(algorithm, 0))
    algorithm.save_agent("self", tmp_path)
    assert not list(tmp_path.rglob("model.safetensors")), "the frozen models stay where they are"
    matches = list(self_play(SPEC, "self", 3, 6, 5))
    live = Batch.concat(play(matches, AgentPool(algorithm.agents), registry.game))
    again = Batch.concat(play(matches, AgentPool({"self": load_agent(tmp_path)}), registry.game))
    assert live.answers() == again.answers()
    voice = algorithm.agents["self"].voice
    assert voice.speakers[0] is voice.speakers[2] is not voice.speakers[1]
    table = (f"model:{tmp_path}", f"model:{folders[1]}", "random")
    mixed = Batch.concat(play([Match(game=SPEC, seed=s, players=table) for s in range(4)], AgentPool(), registry.game))
    assert solved(mixed, registry.game(SPEC)).contribution.shape == (4, 3)


def test_embeddings(folders):
    model, tokenizer = read(folders[0])
    texts = ["P is true.", "P is false. Agent 1 wrote", "P is true."]
    found = hashed(texts)
    assert found.shape == (3, HASHED)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-6)
    assert (found[0] == found[2]).all()
    assert (found[0] != found[1]).any()
    states = mean_hidden(model, tokenizer, texts)
    with torch.no_grad():
        ids = torch.tensor([tokenizer.encode(texts[1])])
        mean = model.get_decoder()(input_ids=ids).last_hidden_state[0].mean(0)
    np.testing.assert_allclose(states[1], (mean / mean.square().mean().sqrt()).numpy(), atol=1e-4)


def test_refusals(folders, tmp_path):
    with pytest.raises(Unsuitable, match="needs Text actions; kuhn_poker"):
        registry.recipe("mac-spgg").build(Setup(("kuhn_poker",), registry.game, str(folders[0]), 0))
    with pytest.raises(Unsuitable, match=r"names 2 models and .* has 3 seats"):
        small(folders[0], models=("tiny", "tiny"))
    with pytest.raises(UserError, match=r"ranges\.top_p is 0.5 to 1.2"):
        Ranges(top_p=(0.5, 1.2))
    with pytest.raises(UserError, match=r"max_tokens is 9 to 3; expected at least 1 first"):
        Ranges(max_tokens=(9, 3))
    copy = tmp_path / "model"
    write(copy, *read(folders[0]))
    saved = tmp_path / "agent"
    saved.mkdir()
    small(copy).save_agent("self", saved)
    copy.rename(tmp_path / "away")
    with pytest.raises(UserError, match=r"is not at .* any more; put it back there"):
        load_agent(saved)


@pytest.mark.parametrize("name", ["mars", "grpo"])
def test_the_models_themselves_are_trained_on_free_text(folders, name):
    """Two iterations of direct training by free replies, in the game that pays for brevity."""
    game, recipe = terse(), registry.recipe(name)
    sampler = replace(recipe.sampler, **({"matches": 16} if name == "mars" else {"deals": 4, "size": 4}))
    algorithm = replace(recipe, sampler=sampler).build(Setup(("terse",), lambda spec: game, str(folders[0]), 0))
    before = [value.detach().clone() for value in algorithm.agents["self"].model.parameters()]
    for step in range(2):
        batch = Batch.concat(play(algorithm.plan(step), AgentPool(algorithm.agents), lambda spec: game))
        assert algorithm.learn(batch)["logp_gap"] < 1e-3
    assert any(not torch.equal(a, b) for a, b in zip(before, algorithm.agents["self"].model.parameters(), strict=True))
