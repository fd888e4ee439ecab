"""Recipes beside each other: budgets, intervals over seeds, and going on where it stopped."""

from __future__ import annotations

import json

import numpy as np
import pytest

from marl_llm import compare, intervals
from marl_llm.cli import main
from marl_llm.errors import UserError

ARGS = ["--game", "kuhn_poker", "--model", "tabular", "--matches", "512", "--seeds", "2", "--json"]
FEWER = "mars --sampler.matches 256"


def rows(capsys):
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_cells_are_trained_once_and_told_with_intervals(tmp_path, capsys):
    out = ["--out", str(tmp_path)]
    assert main(["compare", FEWER, "unstable", *ARGS, *out]) == 0
    first = rows(capsys)
    cells = sorted(tmp_path.glob("*.json"))
    kept = {cell["recipe"]: [] for cell in map(json.loads, (path.read_text() for path in cells))}
    for path in cells:
        cell = json.loads(path.read_text())
        assert cell["matches"] >= 512
        kept[cell["recipe"]].append(cell["exploitability"])
    assert {len(values) for values in kept.values()} == {2}
    told = {row["recipe"]: row["mean"] for row in first if row["figure"] == "exploitability"}
    for recipe, values in kept.items():
        assert told[recipe] == pytest.approx(intervals.mean(values).json())
    when = [path.stat().st_mtime_ns for path in cells]
    assert main(["compare", FEWER, "unstable", *ARGS, *out]) == 0
    assert rows(capsys) == first
    assert [path.stat().st_mtime_ns for path in cells] == when
    assert main(["compare", FEWER, "unstable", *ARGS, "--seeds", "3", *out]) == 0
    assert {row["seeds"] for row in rows(capsys)} == {3}
    assert len(list(tmp_path.glob("*.json"))) == 6


def test_differences_are_taken_seed_by_seed():
    cells = [
        {"game": "g", "recipe": recipe, "seed": seed, "return": base + seed}
        for recipe, base in (("a", 0.0), ("b", 2.0))
        for seed in range(4)
    ]
    by = {row["recipe"]: row for row in compare.table(cells, ["a", "b"])}
    assert by["b"]["difference"].mean == 2.0
    assert by["b"]["difference"].high == 2.0, "both rise with the seed, so the difference has no spread"
    assert by["b"]["mean"].high - by["b"]["mean"].low > 1
    assert by["b"]["mean"].mean == np.mean([2, 3, 4, 5])


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["compare", "--game", "kuhn_poker"], "compare needs recipes"),
        (["compare", "mars"], "then a game"),
        (["compare", "marz", "--game", "kuhn_poker"], "did you mean mars"),
        (["compare", "mars --credit.basline seat", "--game", "kuhn_poker"], "did you mean --credit.baseline"),
        (["compare", "mars", "--game", "kuhn_poker", "--seeds", "1"], "expected at least 2"),
        (["compare", "mars", "--game", "kuhn"], "did you mean kuhn_poker"),
    ],
)
def test_bad_input_is_one_line(argv, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        assert main(argv) == 2
        said = capsys.readouterr().err
    except (UserError, SystemExit) as error:
        said = str(error) + capsys.readouterr().err
    assert message in said
    assert len(said.strip().splitlines()) == 1
    assert not list(tmp_path.rglob("*.json"))
