"""Learners without gradients (advice to oneself, evolution), and populations that are told how they chose."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from algorithms.cma_es import CMAES, weights
from algorithms.composed import Composed
from algorithms.evolution import ESSA, Spectrum
from algorithms.experience import edited, edits
from algorithms.parts import Language
from algorithms.population import Population
from algorithms.samplers import SelfPlay
from algorithms.utility import Utilities
from marl_llm import registry
from marl_llm.agents.pool import AgentPool
from marl_llm.agents.saved import load_agent
from marl_llm.algorithm import Setup, Unsuitable
from marl_llm.checkpoint import load_json
from marl_llm.errors import UserError
from marl_llm.inference.folder import write
from marl_llm.iteration import played
from marl_llm.play import play
from marl_llm.records import Batch
from tests.inference.models import SHAPE, make_model, random_agent, tokenizer_of

CROWD = "congestion(seats=50,sites=3)"


def one_iteration(algorithm, step=0):
    return played(algorithm, step, AgentPool(algorithm.agents), registry.game, in_flight=4096)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Folders of small models with random weights, by game."""
    folders = {spec: tmp_path_factory.mktemp("model") for spec in ("kuhn_poker", "tiny_hanabi", CROWD)}
    for spec, folder in folders.items():
        random_agent(spec).save(folder)
    return {spec: str(folder) for spec, folder in folders.items()}


def advised(models, **settings):
    recipe = registry.recipe("training-free")
    method = replace(recipe, sampler=replace(recipe.sampler, deals=6, size=6), learner=replace(recipe.learner, tokens=16, **settings))
    return Composed(method, Setup(("kuhn_poker",), registry.game, models["kuhn_poker"], 0))


def test_edits_by_hand():
    """{G0: x, G1: y} and ADD z, UPDATE G0 to x2, DELETE G1 make {G0: x2, G1: z}."""
    told = "Sure!\n1. ADD: z\n- UPDATE G0: x2\nDELETE G1\nADD: one too many"
    changes = edits(told, 3)
    assert changes == [("ADD", -1, "z"), ("UPDATE", 0, "x2"), ("DELETE", 1, "")]
    assert edited(["x", "y"], changes, 8) == ["x2", "z"]


def test_edits_without_content_or_of_unknown_numbers():
    assert edited(["x"], edits("ADD:\nUPDATE G7: y\nDELETE G9\nADD: x", 9), 8) == ["x", "y"]
    assert edited(["a", "b"], [("ADD", -1, "c")], 2) == ["b", "c"], "the newest stay"
    assert edits("you might add: more hints, or update\nADDITION: none", 9) == []


@given(st.lists(st.tuples(st.sampled_from(["ADD", "UPDATE", "DELETE"]), st.integers(-1, 9), st.text(max_size=3))), st.integers(1, 5))
def test_advice_is_never_empty_twofold_or_long(changes, size):
    advice = edited(["a", "b"], changes, size)
    assert len(advice) <= size
    assert all(advice)
    assert len(set(advice)) == len(advice)


def writer(folder, reply: str) -> str:
    """A model that says ``reply`` to whatever it is asked: fitted to it after all sorts of beginnings."""
    tokenizer = tokenizer_of("kuhn_poker")
    model, draws = make_model(tokenizer, SHAPE, 1), torch.Generator().manual_seed(0)
    spoken = torch.tensor(tokenizer.encode(f"<|assistant|>{reply}<|end|>", add_special_tokens=False)).expand(8, -1)
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    for step in range(90):
        before = torch.randint(5, len(tokenizer), (8, (4, 32, 128)[step % 3]), generator=draws)
        ids = torch.cat([before, spoken], 1)
        loss = model(input_ids=ids, labels=torch.where(torch.arange(ids.shape[1]) > before.shape[1], ids, -100)).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    write(folder, model, tokenizer)
    return str(folder)


def test_advice_is_written_told_saved_and_resumed(models, tmp_path):
    """A writer that always gives one piece of advice: groups that differ ask it, every prompt from then on has it."""
    (tmp_path / "writer").mkdir()
    algorithm = advised(models, writer=writer(tmp_path / "writer", "ADD: bet"))
    before = [value.clone() for value in algorithm.policy.agent.model.parameters()]
    batch = one_iteration(algorithm)
    figures = algorithm.learn(batch)
    assert figures["groups"] > 0
    assert figures["edits"] == figures["groups"], "every reply is the one that was fitted"
    assert algorithm.running.advice == [["bet"], ["bet"]], "one list a seat, nothing twice"
    assert all(torch.equal(a, b) for a, b in zip(before, algorithm.policy.agent.model.parameters(), strict=True))
    after = one_iteration(algorithm, 1)
    decode = algorithm.policy.agent.tokenizer.decode
    prompts = [decode(after.tables["stream"][i]) for i in range(len(after.tables["stream"]))]
    assert all("What you learned in earlier matches:\n- bet" in prompt for prompt in prompts)
    (tmp_path / "run").mkdir()
    (tmp_path / "player").mkdir()
    algorithm.save(tmp_path / "run")
    algorithm.save_agent("self", tmp_path / "player")
    again = advised(models)
    again.load(tmp_path / "run")
    assert load_agent(tmp_path / "player").speech.notes == again.policy.agent.speech.notes == algorithm.policy.agent.speech.notes
    assert again.running.advice == algorithm.running.advice


def test_groups_that_ended_alike_are_passed_over(models):
    """Of groups of results [1, 1], [1, 0], [0, 0] the middle one alone is read."""
    algorithm = advised(models, groups=99)
    batch = algorithm.method.reward.channels(one_iteration(algorithm), algorithm.units, {})
    batch = batch.take(np.asarray([0, 1, 6, 7, 12, 13]))
    outcome = np.repeat([1.0, 1, 1, 0, 0, 0], 2)
    batch = batch.with_columns(**{"seat.outcome": outcome})
    credited = algorithm.credit.assign(batch, {})
    assert algorithm.running._groups(batch, credited, 0) == [[4, 6]], "seat rows of matches 2 and 3, the better one first"


def test_transcripts_have_what_differs(models):
    algorithm = advised(models)
    batch = algorithm.method.reward.channels(one_iteration(algorithm), algorithm.units, {})
    groups = algorithm.running._groups(batch, algorithm.credit.assign(batch, {}), 0)
    prompt = algorithm.running._prompt(batch, groups[0], ["bluff"])
    assert prompt.count("Kuhn poker") == 1
    assert "G0: bluff" in prompt
    assert f"Attempt {len(groups[0])}, result" in prompt


@pytest.mark.parametrize(("settings", "told"), [({"transcripts": 1}, "at least 2"), ({"writer": "nowhere"}, "config.json")])
def test_settings_of_advice_that_cannot_be(models, settings, told):
    with pytest.raises(UserError, match=told):
        advised(models, **settings)


def test_a_table_reads_no_advice():
    with pytest.raises(Unsuitable, match="advice is read by language models"):
        Composed(registry.recipe("training-free"), Setup(("kuhn_poker",), registry.game, "tabular", 0))


def lived(models, game="tiny_hanabi"):
    recipe = registry.recipe("liet")
    team = replace(recipe.learner.team, tokens=16)
    method = replace(recipe, sampler=replace(recipe.sampler, deals=32, size=4), learner=replace(recipe.learner, team=team))
    return Composed(method, Setup((game,), registry.game, models[game], 0))


def test_a_seat_s_utility_is_what_it_earned():
    """Two views, two moves: with little pull to 0 the four mean gains are found, each seat's from its own play alone."""
    keys, moves, gained = ["hand 1 deck 2", "hand 2 deck 2"] * 20, [0, 0, 1, 1] * 10, np.tile([1.0, -1.0, 3.0, 0.5], 10)
    utilities = Utilities()
    utilities.fit(0, keys[:4], moves[:4], np.tile(np.arange(4), 10), gained, ridge=1e-6, memory=1.0)
    assert utilities.of(0, keys[:4], moves[:4]) == pytest.approx([1, -1, 3, 0.5], abs=1e-3)
    assert utilities.of(1, keys[:4], moves[:4]).tolist() == [0] * 4
    utilities.fit(0, keys, moves, np.arange(40), -gained, ridge=1e-6, memory=0.5)
    assert utilities.of(0, keys[:4], moves[:4]) == pytest.approx(np.asarray([1, -1, 3, 0.5]) * (0.5 - 1) / 1.5, abs=1e-3)


def test_individuals_read_their_utilities_and_a_list_that_all_share(models, tmp_path):
    algorithm = lived(models)
    before = [value.clone() for value in algorithm.policy.agent.model.parameters()]
    first = algorithm.learn(one_iteration(algorithm))
    for step in range(1, 4):
        figures = algorithm.learn(one_iteration(algorithm, step))
    assert figures["utility_error"] < 0.8 * first["utility_error"], "at first all utilities are 0"
    assert len(algorithm.running.team.advice) == 1
    assert all(torch.equal(a, b) for a, b in zip(before, algorithm.policy.agent.model.parameters(), strict=True))
    after = one_iteration(algorithm, 4)
    prompt = algorithm.policy.agent.tokenizer.decode(after.tables["stream"][0])
    assert re.search(r"In your experience: \S+ [+-]\d\.\d\d, \S+ [+-]\d\.\d\d", prompt)
    for folder in ("run", "player"):
        (tmp_path / folder).mkdir()
    algorithm.save(tmp_path / "run")
    algorithm.save_agent("self", tmp_path / "player")
    again = lived(models)
    again.load(tmp_path / "run")
    player = load_agent(tmp_path / "player")
    for agent in (again.policy.agent, player):
        other = Batch.concat(play(algorithm.plan(4), AgentPool({"self": agent}), registry.game))
        assert (other.tables["stream"].data == after.tables["stream"].data).all()
        assert (other["turn.action"] == after["turn.action"]).all()


def test_utilities_are_read_by_language_models_that_choose(models):
    for method, model in (
        (registry.recipe("liet"), "tabular"),
        (replace(registry.recipe("liet"), language=Language(reply="free")), models["kuhn_poker"]),
    ):
        with pytest.raises(Unsuitable, match="utilities are read by language models that choose"):
            Composed(method, Setup(("kuhn_poker",), registry.game, model, 0))


def test_a_generation_by_hand():
    """Two parents weigh .80416 and .19584; of [4, 3], [4.4, 2.7], [3.8, 3.3], [4.1, 2.9] with fitness .2, .8, .5, .1 they are the second
    and the third, so the mean goes to [4.2825, 2.8175]."""
    assert weights(2) == pytest.approx([0.80416, 0.19584], abs=1e-5)
    search = CMAES(2, 4, 0.3, 0)
    search.state["mean"] = np.asarray([4.0, 3.0])
    search.tell(np.asarray([[4, 3], [4.4, 2.7], [3.8, 3.3], [4.1, 2.9]]), np.asarray([0.2, 0.8, 0.5, 0.1]))
    assert search.mean == pytest.approx([4.2825, 2.8175], abs=1e-4)


def test_it_finds_the_top_of_a_long_skewed_hill():
    """-(x - c)' D (x - c) with axes of length 1 to 1000, from far away: the covariance learns the axes."""
    search, target, scale = CMAES(6, 10, 0.5, 1), np.arange(6.0), np.logspace(0, 3, 6)
    for _ in range(250):
        candidates = search.ask()
        search.tell(candidates, -(np.square(candidates - target) * scale).sum(1))
    assert search.mean == pytest.approx(target, abs=1e-4)


@given(st.integers(2, 9), st.integers(0, 9))
def test_only_the_order_of_fitness_counts(size, seed):
    a, b = CMAES(size, 8, 0.5, seed), CMAES(size, 8, 0.5, seed)
    candidates, fitness = a.ask(), np.random.default_rng(seed).normal(size=8)
    a.tell(candidates, fitness)
    b.tell(candidates, np.exp(3 * fitness) - 7)
    assert (a.mean == b.mean).all()
    assert (a.ask() == b.ask()).all()


def test_a_spectrum_goes_and_comes_back():
    """Changes of 0 are the model as it was; a change of 1 doubles the two largest singular values and no other."""
    model = random_agent().model
    spectrum = Spectrum(model, 2)
    weight = spectrum.weights[0].detach()
    before = torch.linalg.svdvals(weight).numpy()
    spectrum.put(np.ones(sum(spectrum.sizes)))
    assert torch.linalg.svdvals(weight).numpy() == pytest.approx([*(2 * before[:2]), *before[2:]], rel=1e-3, abs=1e-4)
    spectrum.put(np.zeros(sum(spectrum.sizes)))
    assert torch.linalg.svdvals(weight).numpy() == pytest.approx(before, rel=1e-6)


def evolved(models, game="tiny_hanabi", **settings):
    return ESSA(sampler=SelfPlay(matches=32), population=4, rank=2, **settings).build(Setup((game,), registry.game, models[game], 0))


def test_candidates_play_the_same_deals_and_it_resumes(models, tmp_path):
    whole, parts, rest = (evolved(models) for _ in range(3))
    batch = one_iteration(whole)
    candidate = batch.tag("candidate")
    deals = [batch["match.seed"][candidate == str(k)].tolist() for k in range(4)]
    assert len(deals[0]) == 32
    assert all(deal == deals[0] for deal in deals)
    figures = whole.learn(batch)
    assert figures["fitness"] <= figures["fitness_best"]
    whole.learn(one_iteration(whole, 1))
    parts.learn(one_iteration(parts))
    parts.save(tmp_path)
    rest.load(tmp_path)
    rest.learn(one_iteration(rest, 1))
    assert (whole.search.mean == rest.search.mean).all()
    assert np.abs(whole.search.mean).max() > 0
    assert all(torch.equal(a, b) for a, b in zip(whole.agent.model.parameters(), rest.agent.model.parameters(), strict=True))


def test_fitness_is_the_candidates_own_return(models):
    """The search gets every candidate's mean return over its own matches, whatever order they stand in."""
    algorithm = evolved(models)
    batch = one_iteration(algorithm)
    means = [batch["seat.return"][batch.tag("candidate")[batch.up("seat", "match")] == str(k)].mean() for k in range(4)]
    figures = algorithm.learn(batch.take(np.random.default_rng(0).permutation(len(batch))))
    assert figures["fitness"] == pytest.approx(np.mean(means))
    assert figures["fitness_best"] == pytest.approx(max(means))


def test_evolution_against_an_opponent(models):
    with pytest.raises(Unsuitable, match=r"always 0 in kuhn_poker.*--against random"):
        evolved(models, "kuhn_poker")
    algorithm = evolved(models, "kuhn_poker", against="random")
    matches = algorithm.plan(0)
    assert [match.players for match in matches[:2]] == [("self", "random"), ("random", "self")]
    assert [match.learn for match in matches[:2]] == [{0}, {1}]
    assert np.isfinite(algorithm.learn(one_iteration(algorithm))["fitness"])
    with pytest.raises(Unsuitable, match="linear layers of a language model"):
        ESSA().build(Setup(("tiny_hanabi",), registry.game, "tabular", 0))
    with pytest.raises(UserError, match="at least 4 candidates"):
        ESSA(population=3)


def crowd(models, rate=0.3):
    recipe = registry.recipe("mars-population")
    return Composed(replace(recipe, sampler=Population(matches=8, rate=rate)), Setup((CROWD,), registry.game, models[CROWD], 0))


def test_a_population_is_told_how_it_chose(models, tmp_path):
    algorithm = crowd(models, rate=0.25)
    batch = one_iteration(algorithm)
    decode = algorithm.policy.agent.tokenizer.decode
    assert "Lately the players chose: 1 33%, 2 33%, 3 33%." in decode(batch.tables["stream"][0])
    assert len(batch.tables["stream"]) == 50, "a prompt for every seat, however many matches"
    algorithm.learn(batch)
    first = np.bincount(batch["turn.action"], minlength=3) / 400
    assert list(algorithm.memory["sampler"].values()) == pytest.approx(first.tolist())
    batch = one_iteration(algorithm, 1)
    told = ", ".join(f"{site} {share:.0%}" for site, share in enumerate(first, 1))
    assert f"Lately the players chose: {told}." in decode(batch.tables["stream"][0])
    algorithm.learn(batch)
    second = np.bincount(batch["turn.action"], minlength=3) / 400
    assert list(algorithm.memory["sampler"].values()) == pytest.approx((0.75 * first + 0.25 * second).tolist())
    algorithm.save(tmp_path)
    again = crowd(models, rate=0.25)
    again.load(tmp_path)
    again.plan(2)
    algorithm.plan(2)
    assert again.policy.agent.speech.notes == algorithm.policy.agent.speech.notes
    assert load_json(tmp_path / "memory.json")["sampler"] == algorithm.memory["sampler"]


@pytest.mark.parametrize(
    ("game", "model", "told"), [("kuhn_poker", "tabular", "exchangeable"), (CROWD, "tabular", "a table reads nothing")]
)
def test_populations_that_cannot_be_told(game, model, told):
    algorithm = Composed(registry.recipe("mars-population"), Setup((game,), registry.game, model, 0))
    with pytest.raises(Unsuitable, match=told):
        algorithm.plan(0)
