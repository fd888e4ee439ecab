"""Training runs: resuming bit for bit, stopping, damaged checkpoints, steps that are not finite, and what is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from algorithms.composed import Composed
from algorithms.recipes.mars import recipe
from marl_llm import checkpoint, metrics, new_game, registry
from marl_llm.agents.pool import AgentPool
from marl_llm.algorithm import Setup
from marl_llm.cli import main
from marl_llm.play import play
from marl_llm.records import Batch
from marl_llm.train import Run, Training
from tests.inference.models import random_agent

QUICK = ["--sampler.matches", "128", "--horizon", "8", "--evaluate-every", "2", "--checkpoint-every", "2"]


@pytest.fixture
def small_model(tmp_path):
    """An untrained Llama of a few thousand parameters, as a Hugging Face folder."""
    folder = tmp_path / "model"
    random_agent().save(folder)
    return str(folder)


def train(out, *flags, model="tabular"):
    return main(["train", "mars", "--game", "kuhn_poker", "--model", model, "--out", str(out), *QUICK, *flags])


def bits(run):
    """Everything a checkpoint holds, and the figures on the way without their timings."""
    folder = checkpoint.newest(run)
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    figures = [{name: value for name, value in record.items() if not name.endswith("_s")} for record in metrics.read(run)]
    return files, figures


@pytest.mark.parametrize("magnet", ["uniform", "slow"])
@pytest.mark.parametrize("kind", ["tabular", "language"])
def test_resumed_equals_uninterrupted(tmp_path, kind, magnet, small_model):
    model = "tabular" if kind == "tabular" else small_model
    assert train(tmp_path / "whole", "--steps", "6", "--loss.magnet", magnet, model=model) == 0
    assert train(tmp_path / "parts", "--steps", "3", "--loss.magnet", magnet, model=model) == 0
    assert train(tmp_path / "parts", "--steps", "6", "--loss.magnet", magnet, "--resume", model=model) == 0
    whole, parts = bits(tmp_path / "whole"), bits(tmp_path / "parts")
    assert whole[0].keys() == parts[0].keys()
    assert [name for name in whole[0] if whole[0][name] != parts[0][name]] == []
    assert whole[1] == parts[1]


def test_slow_magnet_follows_the_policy():
    """Its logits are the moving average, rate ``slow_rate``, of the policy's after each iteration; it starts where it starts."""
    method = replace(recipe, loss=replace(recipe.loss, magnet="slow", slow_rate=0.25))
    algorithm = Composed(method, Setup(("kuhn_poker",), registry.game, "tabular", 0))
    average = algorithm.policy.agent.logits.detach().clone()
    for step in range(3):
        matches = algorithm.plan(step)[:256]
        algorithm.learn(Batch.concat(play(matches, AgentPool(algorithm.agents), registry.game)))
        average += 0.25 * (algorithm.policy.agent.logits.detach() - average)
    assert average.abs().max() > 0
    assert torch.allclose(algorithm.running.reference[0], average)


def test_run_folder(tmp_path, capsys):
    assert train(tmp_path / "run", "--steps", "4") == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "run")
    records = metrics.read(tmp_path / "run")
    assert [record["step"] for record in records] == [0, 1, 2, 3, 4]
    assert records[0]["exploitability"] == pytest.approx(0.4583, abs=1e-3)
    assert records[-1]["exploitability"] < records[0]["exploitability"]
    assert records[-1]["exploitability_average"] < records[0]["exploitability"]
    assert {"alpha", "eta", "learning_rate", "entropy", "kl_old", "information_sets", "play_s"} <= records[1].keys()
    assert checkpoint.steps(tmp_path / "run") == [0, 2, 4]
    assert len(Batch.load(tmp_path / "run" / "episodes" / "000002.npz")) == 64


def test_evaluate(tmp_path, capsys):
    train(tmp_path / "run", "--steps", "4")
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "run"), "--anchors", "random", "--deals", "50", "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    last = metrics.read(tmp_path / "run")[-1]
    assert found["exploitability"] == pytest.approx(last["exploitability"])
    assert found["exploitability_average"] == pytest.approx(last["exploitability_average"])
    anchor = found["anchors"]["random"]
    assert anchor["exact"]
    assert anchor["low"] == anchor["mean"] == anchor["high"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_saves_and_says_how_to_go_on(tmp_path, number):
    out = tmp_path / "run"
    flags = ["--model", "tabular", "--out", str(out), "--sampler.matches", "2048", "--steps", "100000"]
    command = [sys.executable, "-c", "from marl_llm.cli import run; run()", "train", "mars", "--game", "kuhn_poker", *flags]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    until = time.monotonic() + 60
    while len(metrics.read(out)) < 2 and time.monotonic() < until:
        time.sleep(0.1)
    process.send_signal(number)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130, said
    done = checkpoint.load_json(checkpoint.newest(out) / "run.json")["step"]
    assert done >= 2
    assert [record["step"] for record in metrics.read(out)] == list(range(done))
    assert f"stopped at step {done}; go on with: marl-llm train mars --game kuhn_poker" in said
    assert said.strip().endswith("--resume")


def test_a_damaged_checkpoint_is_refused_by_name(tmp_path, capsys):
    train(tmp_path / "run", "--steps", "4")
    weights = checkpoint.path_of(tmp_path / "run", 4) / "algorithm" / "policy.safetensors"
    weights.write_bytes(weights.read_bytes()[:-7] + b"altered")
    assert train(tmp_path / "run", "--steps", "6", "--resume") == 0
    said = capsys.readouterr().err
    assert "policy.safetensors was altered" in said
    assert "000002, the newest good one" in said
    assert checkpoint.load_json(checkpoint.newest(tmp_path / "run") / "run.json")["step"] == 6


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["mras", "--game", "kuhn_poker"], "did you mean mars"),
        (["mars", "--game", "kuhn_pocker"], "did you mean kuhn_poker"),
        (["mars"], "give --game"),
        ([], "train needs a recipe"),
        (["mars", "--game", "kuhn_poker", "--loss.alhpa.start", "1"], "--loss.alpha.start"),
        (["mars", "--game", "kuhn_poker", "--model", "tinny"], "'tinny'"),
        (["mars", "--game", "kuhn_poker", "--steps", "0"], "--steps is 0"),
    ],
)
def test_wrong_usage_is_one_line(tmp_path, monkeypatch, capsys, flags, line):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *flags]) == 2
    said = capsys.readouterr().err.strip()
    assert line in said
    assert len(said.splitlines()) == 1
    assert not list(tmp_path.rglob("*.*")), "nothing half-written is left"


def test_a_run_is_not_overwritten_and_goes_on_with_its_own_settings(tmp_path, capsys):
    out = tmp_path / "run"
    train(out, "--steps", "1")
    assert train(out, "--steps", "1") == 2
    assert "holds a run already" in capsys.readouterr().err
    assert train(out, "--steps", "2", "--resume", "--seed", "5") == 2
    assert "seed" in capsys.readouterr().err
    assert main(["train", "mars", "--game", "kuhn_poker", "--out", str(tmp_path / "none"), "--resume"]) == 2
    assert "no run in" in capsys.readouterr().err


def test_steps_that_are_not_finite_are_skipped_and_several_roll_back():
    algorithm = Composed(recipe, Setup(("kuhn_poker",), registry.game, "tabular", 0))
    batch = next(iter(play(algorithm.plan(0), AgentPool(algorithm.agents), registry.game, in_flight=4096)))
    assert algorithm.learn(batch)["skipped"] == 0
    good = algorithm.policy.agent.logits.detach().clone()
    assert good.abs().max() > 0
    spoiled = batch.with_columns(**{"turn.reward": np.where(batch["turn.index"] == 0, np.nan, batch["turn.reward"])})
    assert algorithm.learn(spoiled)["skipped"] == recipe.learner.epochs
    assert torch.equal(algorithm.policy.agent.logits, good)
    with torch.no_grad():
        algorithm.policy.agent.logits.fill_(torch.nan)
    figures = algorithm.learn(batch)
    assert figures["skipped"] > recipe.learner.epochs
    assert torch.isfinite(algorithm.policy.agent.logits).all()
    assert np.isfinite(algorithm.learn(batch)["loss"])


def test_a_run_on_a_game_file_goes_on_from_any_folder(tmp_path, monkeypatch, capsys):
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    template = Path(new_game.__file__).parent / "templates" / "new_game" / "game.py"
    (tmp_path / "here" / "own.py").write_text(template.read_text())
    out = tmp_path / "run"
    flags = ["mars", "--game", "own.py:NewGame", "--model", "tabular", "--out", str(out), *QUICK]
    monkeypatch.chdir(tmp_path / "here")
    assert main(["train", *flags, "--steps", "1"]) == 0
    monkeypatch.chdir(tmp_path / "there")
    assert main(["evaluate", str(out), "--deals", "4"]) == 0
    assert main(["train", "mars", "--out", str(out), "--steps", "2", "--resume"]) == 0
    (tmp_path / "here" / "own.py").write_text(template.read_text() + "\n# changed\n")
    assert main(["train", "mars", "--out", str(out), "--steps", "3", "--resume"]) == 2
    assert "own.py:NewGame has changed since this run began" in capsys.readouterr().err


def test_an_iteration_that_was_stopped_is_not_counted(tmp_path):
    """The averaged policy takes in the policy of an iteration once, also where that iteration is stopped and played again."""
    training = Training(recipe, Run(game=("kuhn_poker",), model="tabular"), tmp_path, print)
    (truth,) = training.truths.values()
    training.step(lambda: False)
    before = truth.average.mass
    assert training.step(lambda: True) is None
    assert truth.average.mass is before
    assert training.done == 1
