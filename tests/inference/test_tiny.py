"""The embedded model: made for any game, told apart, near uniform, and the same every time."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest
import torch

from marl_llm import registry
from marl_llm.agents.language import load
from marl_llm.exact import policy_of
from marl_llm.inference.chat import Chat
from marl_llm.inference.tiny import Tiny, collect, make_tokenizer, tiny
from marl_llm.tree import tree_of

QUICK = Tiny(hidden=64, layers=2, heads=2, learning_rate=2e-3, min_steps=60, max_steps=160)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MARL_LLM_CACHE", str(tmp_path))


def test_made_once_near_uniform_and_told_apart():
    game = registry.game("kuhn_poker")
    said = []
    folder = tiny([game], 5, QUICK, said.append)
    policy = policy_of(tree_of(game), load(folder))
    assert abs(policy - 0.5).max() < 0.15, "the warm start teaches uniform play"
    assert abs(policy - 0.5).max() > 1e-4, "but a network is never exactly uniform"
    assert float(re.search(r"closest prompts ([\d.]+) apart", said[-1])[1]) >= QUICK.apart
    code = "import sys, torch; from marl_llm import registry; from marl_llm.inference.tiny import Tiny, tiny; torch.set_num_threads(1)"
    call = f"print(tiny([registry.game('kuhn_poker')], 5, {QUICK!r}, lambda line: sys.exit(line)))"
    other = subprocess.run([sys.executable, "-c", f"{code}; {call}"], capture_output=True, text=True, check=False)
    assert other.stdout.strip() == str(folder), f"in another process too it is read from the cache: {other.stderr[-300:]}"
    again = []
    assert tiny([game], 5, QUICK, again.append) == folder
    assert not again, "a second time it is read from the cache"
    assert tiny([game], 6, Tiny(max_steps=1), again.append) != folder


def test_global_random_state_is_left_alone():
    before = torch.get_rng_state()
    tiny([registry.game("kuhn_poker")], 7, Tiny(hidden=32, layers=1, max_steps=1))
    assert torch.equal(before, torch.get_rng_state())


def test_prompts_are_all_that_random_play_meets():
    game = registry.game("kuhn_poker")
    found = collect(game, 256, 3)
    assert {(seat, text) for _, seat, text, _ in found} == {
        (int(seat), text) for seat, text in zip(tree_of(game).owner, map(tree_of(game).text, range(12)), strict=True)
    }


@pytest.mark.parametrize("text", ["ordinary", "日本語 ünïcode \x00 🂡", " leading and trailing ", "<|end|>"])
def test_tokenizer_writes_any_text(text):
    tokenizer = make_tokenizer(["some words of a game"], 300)
    ids = tokenizer.encode(text, add_special_tokens=False)
    assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == text


def test_chat_prompt_reads_as_written():
    game = registry.game("kuhn_poker")
    game_, seat, text, moves = collect(game, 64, 3)[0]
    tokenizer = make_tokenizer([text], 300)
    shown = tokenizer.decode(Chat(tokenizer).decision(game_, seat, text, moves).prompt)
    assert shown.startswith("<|system|>" + game.rules(seat))
    assert text in shown
    assert shown.endswith("<|assistant|>")
    assert np.all([move in shown for move in moves])
