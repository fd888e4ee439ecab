"""A method that is not in this repository: an estimator, a reward and a recipe of a user's own package, found by its entry point, by
module and by file; listed, trained, resumed and compared beside ours."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from marl_llm import registry
from marl_llm.catalogue import catalogue
from marl_llm.checkpoint import load_json
from marl_llm.cli import main
from marl_llm.config import dump

METHOD = '''
"""Softmax baseline: outcomes minus their group's log-mean-exp, with a bonus for the seat's first move."""

from dataclasses import dataclass, replace

import numpy as np

from algorithms.estimators import Estimator
from algorithms.groups import cell_mean
from algorithms.parts import RewardTransform
from algorithms.recipes.grpo import recipe as grpo
from algorithms.terms import Term, Terms


@dataclass(frozen=True, kw_only=True)
class LogMeanExp(Estimator):
    temperature: float = 1.0

    def estimate(self, rows, memory):
        memory["mine/calls"] = memory.get("mine/calls", 0.0) + 1
        exp = np.exp(rows.value / self.temperature)
        return rows.value - self.temperature * np.log(cell_mean(rows.group, exp, rows.counted))


@dataclass(frozen=True, kw_only=True)
class Early(RewardTransform):
    bonus: float = 0.1

    @property
    def reads(self):
        return ("turn.entropy", "seat.outcome")

    @property
    def writes(self):
        return ("seat.outcome",)

    def channels(self, batch, units, memory):
        sure = batch["turn.entropy"][batch.starts["turn"][:-1].clip(max=batch.size("turn") - 1)] < 0.5
        return batch.with_columns(**{"seat.outcome": batch["seat.outcome"] + self.bonus * sure})


recipe = replace(grpo, shaping=(Early(),), credit=Terms(terms=(Term(estimator=LogMeanExp()),)))
'''
CATALOGUE = "algorithms:\n  mine:\n    target: softmaxed.method:recipe\n    summary: outcomes minus a softmax baseline\n    extra: llm\n"
PAPERS = '- {paper: "A note of mine", here: [mine]}\n'


GAME = ["--game", "kuhn_poker", "--model", "tabular"]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder as installing the package leaves it, on the path: the package, and its metadata with the entry point."""
    package, info = tmp_path / "softmaxed", tmp_path / "softmaxed-1.0.dist-info"
    package.mkdir()
    info.mkdir()
    for name, text in (("method.py", METHOD), ("catalogue.yaml", CATALOGUE), ("papers.yaml", PAPERS)):
        (package / name).write_text(text)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: softmaxed\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[marl_llm.catalogue]\nsoftmaxed = softmaxed:catalogue.yaml\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    catalogue.cache_clear()
    yield tmp_path
    catalogue.cache_clear()
    for name in [name for name in sys.modules if name.split(".")[0] == "softmaxed"]:
        del sys.modules[name]


def done(*words: str) -> None:
    assert main(words) == 0


def test_listed_trained_and_resumed(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done("algorithms", "mine")
    assert "temperature: 1.0" in capsys.readouterr().out
    done("algorithms", "mine", "--papers", "--json")
    assert json.loads(capsys.readouterr().out)["papers"][0]["paper"] == "A note of mine"
    done("train", "mine", *GAME, "--steps", "1", "--out", "run", "--sampler.deals", "16", "--credit.terms.0.estimator.temperature", "0.5")
    done("train", "mine", *GAME, "--steps", "2", "--out", "run", "--resume")
    memory = [load_json(path)["credit"] for path in site.rglob("memory.json")]
    assert {"mine/calls": 2.0} in memory, "its estimator ran once an iteration, and went on from what the run kept"
    assert "temperature: 0.5" in (site / "run" / "config.yaml").read_text()


def test_compared_beside_ours(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipes = ["mine --shaping.0.bonus 0.2", "grpo"]
    done("compare", *recipes, *GAME, "--matches", "512", "--seeds", "2", "--json")
    assert {row["recipe"] for row in json.loads(capsys.readouterr().out.splitlines()[-1])} == set(recipes)


def test_by_module_and_by_file(site: Path) -> None:
    (site / "own.py").write_text(METHOD)
    by_name, *others = (registry.recipe(name) for name in ("mine", "softmaxed.method:recipe", "own.py:recipe"))
    assert all(dump(other) == dump(by_name) for other in others)
