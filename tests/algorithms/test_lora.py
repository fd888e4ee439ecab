"""Training by adapters: the base stays as it is, runs resume bit for bit, and what is saved is a plain model that plays the same."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForCausalLM

from algorithms.composed import Composed
from marl_llm import registry
from marl_llm.agents.pool import AgentPool
from marl_llm.agents.saved import load_agent
from marl_llm.algorithm import Setup
from marl_llm.errors import UserError
from marl_llm.exact import policy_of
from marl_llm.inference.folder import write
from marl_llm.play import play
from marl_llm.records import Batch
from marl_llm.tree import tree_of
from tests.inference.models import random_agent, tokenizer_of


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    write(folder, random_agent("kuhn_poker").model, tokenizer_of("kuhn_poker"))
    return folder


def adapted(base, **language):
    recipe = registry.recipe("mars")
    settings = {"lora": 4} | language
    method = replace(recipe, sampler=replace(recipe.sampler, matches=64), language=replace(recipe.language, **settings))
    return Composed(method, Setup(("kuhn_poker",), registry.game, str(base), 0))


def run(algorithm, steps):
    for step in steps:
        figures = algorithm.learn(Batch.concat(play(algorithm.plan(step), AgentPool(algorithm.agents), registry.game)))
    return figures


def test_only_adapters_change(base):
    algorithm = adapted(base)
    model = algorithm.policy.agent.model
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    run(algorithm, range(2))
    changed = {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}
    assert changed
    assert all("lora_" in name for name in changed)
    assert {name for name in algorithm.policy.named_parameters() if not name.startswith("critic")} == {n for n in before if "lora_" in n}


def test_adapters_begin_without_effect_and_by_the_seed_alone(base):
    tree = tree_of(registry.game("kuhn_poker"))
    plain, a, b = adapted(base, lora=0), adapted(base), adapted(base)
    assert policy_of(tree, a.policy.agent) == pytest.approx(policy_of(tree, plain.policy.agent), abs=1e-6)
    drawn = [torch.cat([v.flatten() for n, v in x.policy.named_parameters().items() if "lora_A" in n]) for x in (a, b)]
    assert torch.equal(*drawn)
    assert drawn[0].std() > 0.05


def test_resumed_equals_uninterrupted(base, tmp_path):
    whole, parts, rest = adapted(base), adapted(base), adapted(base)
    run(whole, range(4))
    run(parts, range(2))
    parts.save(tmp_path)
    rest.load(tmp_path)
    run(rest, range(2, 4))
    a, b = (x.policy.named_parameters() for x in (whole, rest))
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_what_is_saved_is_a_plain_model_that_plays_the_same(base, tmp_path):
    algorithm = adapted(base)
    run(algorithm, range(3))
    algorithm.save_agent("self", tmp_path)
    tree = tree_of(registry.game("kuhn_poker"))
    assert policy_of(tree, load_agent(tmp_path)) == pytest.approx(policy_of(tree, algorithm.policy.agent), abs=1e-5)
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert not any("lora" in name for name, _ in model.named_parameters())
    assert not list(tmp_path.glob("adapter*"))
    run(algorithm, range(3, 4))  # saving has not touched the adapters in use


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"lora": -1}, "lora is -1"), ({"lora": 0, "dtype": "bfloat16"}, "bfloat16 rounds away"), ({"max_new": 0}, "max_new is 0")],
)
def test_settings_that_cannot_work_are_refused(base, settings, said):
    with pytest.raises(UserError, match=said):
        adapted(base, **settings)


def test_bfloat16_with_adapters_in_float32(base, tmp_path):
    algorithm = adapted(base, dtype="bfloat16")
    kinds = {name: value.dtype for name, value in algorithm.policy.agent.model.named_parameters()}
    assert {kinds[name] for name in kinds if "lora_" in name} == {torch.float32}
    assert {kinds[name] for name in kinds if "lora_" not in name} == {torch.bfloat16}
    figures = run(algorithm, range(2))
    assert 0 < figures["logp_gap"] < 0.1, "sampled and learned in batches of other shapes, in bfloat16"
    algorithm.save_agent("self", tmp_path)
    assert load_agent(tmp_path).model.dtype == torch.float32, "rounded to bfloat16, merged weights would lose what was learned"
