"""Where the time of the demo's training goes: play, forward and backward of the learner, and the rest."""

from __future__ import annotations

import json
import time

import pytest
import torch
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from transformers import PreTrainedModel

from marl_llm.cli import main
from tests.bench.measure import peak_mb

pytestmark = pytest.mark.bench
STEPS = 12


def test_training_time_split(tmp_path, monkeypatch):
    spent = {"forward": 0.0, "backward": 0.0}
    began: list[float] = []

    def enter(module, inputs):
        if isinstance(module, PreTrainedModel) and torch.is_grad_enabled():
            began.append(time.perf_counter())

    def leave(module, inputs, output):
        if isinstance(module, PreTrainedModel) and torch.is_grad_enabled():
            taken = time.perf_counter() - began.pop()
            spent["forward"] += 0 if began else taken  # a model inside a model is timed with the outer one

    whole = torch.Tensor.backward

    def backward(*arguments, **options):
        start = time.perf_counter()
        whole(*arguments, **options)
        spent["backward"] += time.perf_counter() - start

    folder = tmp_path / "run"
    words = ["train", "mars", "--game", "kuhn_poker", "--model", "tiny", "--out", str(folder)]
    assert main([*words, "--steps", "1"]) == 0  # the warm start, where it is not cached, is no part of training
    monkeypatch.setattr(torch.Tensor, "backward", backward)
    hooks = [register_module_forward_pre_hook(enter), register_module_forward_hook(leave)]
    try:
        wall, cpu = time.perf_counter(), time.process_time()
        assert main([*words, "--steps", str(STEPS + 1), "--resume"]) == 0
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    finally:
        for hook in hooks:
            hook.remove()
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    rows = [row for row in rows if row["step"] > 0 and "learn_s" in row]
    assert len(rows) == STEPS
    play, learn = (sum(row[name] for row in rows) for name in ("play_s", "learn_s"))
    split = {"play": play, **spent, "other learning": learn - sum(spent.values()), "evaluation, saving": wall - play - learn}
    print(
        json.dumps(
            {
                "bench": f"training/mars, tiny, kuhn_poker, {STEPS} steps",
                "wall_s": round(wall, 2),
                "cpu_s": round(cpu, 2),
                "share": {name: round(seconds / wall, 3) for name, seconds in split.items()},
                "peak_mb": peak_mb(),
            }
        )
    )
    assert spent["forward"] > 0
    assert spent["backward"] > 0
