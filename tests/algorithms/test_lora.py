"""Training by adapters: the base stays as it is, runs resume bit for bit, and what is saved is a plain model that plays the same."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForCausalLM

from algorithms.composed import Composed
from marl_llm import registry
from marl_llm.agents.pool import AgentPool
from marl_llm.agents.saved import load_agent
from marl_llm.algorithm import Setup
from marl_llm.cli import main
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


def test_pasts_share_one_base_and_play_as_they_did(base, tmp_path):
    """Two pasts and the learner take turns on one base: each plays by its own adapters."""
    algorithm, tree = adapted(base), tree_of(registry.game("kuhn_poker"))
    policies = []
    for k in range(2):
        run(algorithm, range(2 * k, 2 * k + 2))
        (tmp_path / str(k)).mkdir()
        algorithm.save_past("self", tmp_path / str(k))
        policies.append(policy_of(tree, algorithm.policy.agent))
    pasts = [load_agent(tmp_path / str(k)) for k in range(2)]
    assert pasts[0].model.base is pasts[1].model.base
    for k in (0, 1, 0):
        pasts[k].updated()  # forget what was computed: compute it again
        assert policy_of(tree, pasts[k]) == pytest.approx(policies[k], abs=1e-5)
    assert abs(policies[0] - policies[1]).max() > 1e-3
    assert policy_of(tree, algorithm.policy.agent) == pytest.approx(policies[1], abs=1e-6)
    size = sum(path.stat().st_size for path in (tmp_path / "0").iterdir())
    assert size < sum(path.stat().st_size for path in base.iterdir()) / 2


def test_a_past_without_its_base_is_refused_in_one_line(base, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(base, moved)
    algorithm = adapted(moved)
    (tmp_path / "past").mkdir()
    algorithm.save_past("self", tmp_path / "past")
    shutil.rmtree(moved)
    with pytest.raises(UserError, match=r"base model of .* is not at .* any more"):
        load_agent(tmp_path / "past")


def test_a_league_of_adapters_resumes_bit_for_bit(base, tmp_path):
    flags = [
        "--model",
        str(base),
        "--language.lora",
        "2",
        "--sampler.mirror.matches",
        "64",
        "--sampler.every",
        "1",
        "--checkpoint-every",
        "2",
    ]
    command = ["train", "mars-league", "--game", "kuhn_poker", *flags]
    assert main([*command, "--steps", "4", "--out", str(tmp_path / "whole")]) == 0
    assert main([*command, "--steps", "2", "--out", str(tmp_path / "parts")]) == 0
    assert main([*command, "--steps", "4", "--out", str(tmp_path / "parts"), "--resume"]) == 0
    names = [path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole" / "checkpoints").rglob("*.safetensors")]
    assert names
    assert all((tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes() for name in names)
    assert list((tmp_path / "whole" / "league").rglob("adapter_model.safetensors"))
