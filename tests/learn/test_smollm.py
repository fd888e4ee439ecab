"""SmolLM2-135M-Instruct, pretrained, learns by self-play on one core: legal replies only, and then in its own words."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from marl_llm import checkpoint, metrics
from marl_llm.cli import main
from marl_llm.records import Batch

pytestmark = pytest.mark.learn
CHOOSE = "--learner.rate.start 3e-5 --learner.rate.end 3e-6 --learner.epochs 2 --sampler.matches 4096 --horizon 120 --checkpoint-every 60"
FREE = (
    "--steps 15 --language.reply free --language.max-new 10 --language.lora 16 --language.dtype bfloat16 --sampler.matches 24 "
    "--learner.epochs 1 --learner.minibatch 64 --learner.tokens 4096 --learner.rate.start 5e-4 --learner.rate.end 5e-4 "
    "--loss.alpha.start 0 --loss.alpha.end 0 --loss.eta.start 2 --loss.eta.end 2 --evaluate-every 1"
)
LOADS = (
    "import sys; from transformers import AutoModelForCausalLM as M, AutoTokenizer as T; "
    "m, t = M.from_pretrained(sys.argv[1]), T.from_pretrained(sys.argv[1]); "
    "x = t('You are player', return_tensors='pt'); print(m.generate(**x, max_new_tokens=3).shape[1] - x['input_ids'].shape[1]); "
    "assert 'marl_llm' not in sys.modules"
)


def test_kuhn_poker(tmp_path):
    """Uniform play has exploitability 0.458; SmolLM2 begins near it, and is shown no move of a stronger player."""
    out = tmp_path / "run"
    assert main(["train", "mars", "--game", "kuhn_poker", "--model", "smollm2", "--out", str(out), *CHOOSE.split()]) == 0
    records = metrics.read(out)
    found = [record["exploitability"] for record in records if "exploitability" in record]
    seconds = sum(sum(record.get(f"{part}_s", 0.0) for part in ("evaluate", "play", "learn")) for record in records)
    print(json.dumps({"exploitability": found, "average": records[-1]["exploitability_average"], "seconds": round(seconds)}), flush=True)
    assert found[0] > 0.4
    assert found[-1] < 0.15
    folder = checkpoint.newest(out) / "agents" / "self"
    plain = subprocess.run([sys.executable, "-c", LOADS, str(folder)], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert plain.stdout.strip() == "3"


def test_legal_replies_in_its_own_words_rise(tmp_path):
    """Adapters in bfloat16; nothing but the rewards tells the model which replies are read as legal moves."""
    out = tmp_path / "run"
    assert main(["train", "mars", "--game", "kuhn_poker", "--model", "smollm2", "--out", str(out), *FREE.split()]) == 0
    records = [record for record in metrics.read(out) if "faults" in record]
    episodes = [Batch.load(path) for path in sorted((out / "episodes").glob("*.npz"))]
    legal = [float((batch["turn.fault"][batch["turn.stream"] >= 0] == 0).mean()) for batch in episodes]
    print(json.dumps({"legal": legal, "faults": [record["faults"] for record in records]}), flush=True)
    assert legal[0] < 0.6
    assert legal[-1] > 0.9
