"""A language model learns Kuhn poker by self-play: five seeds that were not used for tuning, no checkpoint chosen.

Bars: median exploitability of the last iterate at most 0.05, of the average at most 0.03, worst seed at most 0.12.
Uniform play has 0.458; self-play that tells no information sets apart stays at 0.333.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from marl_llm import metrics
from marl_llm.cli import main

pytestmark = pytest.mark.learn
README = Path(__file__).parents[2] / "README.md"
SEEDS = range(5)
RENAMED = f"{Path(__file__).with_name('renamed_kuhn.py')}:RenamedKuhn"
TABLE = ["--learner.rate.start", "0.05", "--learner.rate.end", "0.005"]
"""A table's logits are its parameters, so its steps are larger."""


def exploitabilities(tmp_path, name, game, model, *flags):
    """(after warm start, last, average) of each seed."""
    found = []
    for seed in SEEDS:
        out = tmp_path / f"{name}{seed}"
        assert main(["train", "mars", "--game", game, "--model", model, "--seed", str(seed), "--out", str(out), *flags]) == 0
        records = metrics.read(out)
        seconds = sum(record.get("play_s", 0) + record.get("learn_s", 0) + record.get("evaluate_s", 0) for record in records)
        row = records[0]["exploitability"], records[-1]["exploitability"], records[-1]["exploitability_average"]
        print(
            json.dumps({"run": name, "seed": seed, "start": row[0], "last": row[1], "average": row[2], "seconds": round(seconds)}),
            flush=True,
        )
        found.append(row)
    return [sorted(column) for column in zip(*found, strict=True)]


@pytest.mark.parametrize(("name", "game"), [("kuhn", "kuhn_poker"), ("renamed", RENAMED)])
def test_tiny_learns(tmp_path, name, game):
    start, last, average = exploitabilities(tmp_path, name, game, "tiny")
    assert all(abs(value - 0.4583) < 0.05 for value in start), "the warm start brings no strategy with it"
    assert last[2] <= 0.05
    assert average[2] <= 0.03
    assert last[-1] <= 0.12
    if name == "kuhn":  # seed 0 is the demo, whose figures the README shows
        (shown,) = re.findall(r"trained: exploitability ([\d.]+), exploitability of the average ([\d.]+)", README.read_text())
        records = metrics.read(tmp_path / "kuhn0")
        assert [records[-1]["exploitability"], records[-1]["exploitability_average"]] == pytest.approx([float(x) for x in shown], abs=0.02)


def test_a_table_on_the_same_recipe(tmp_path):
    start, last, average = exploitabilities(tmp_path, "table", "kuhn_poker", "tabular", *TABLE)
    assert start == pytest.approx([0.4583] * 5, abs=1e-3)
    assert last[2] <= 0.05
    assert average[2] <= 0.03
