"""Records of a run, and the bar."""

from __future__ import annotations

import json
import math
import sys
import time
import warnings
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from marl_llm.cli import main
from marl_llm.metrics import Metrics, read
from marl_llm.progress import progress


def test_every_step_is_there_at_once(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path)
    metrics.write(0, {"loss": 0.5})
    metrics.write(1, {"loss": math.nan})
    assert [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == [
        {"step": 0, "loss": 0.5},
        {"step": 1, "loss": None},
    ]


def test_resuming_drops_what_comes_later(tmp_path: Path) -> None:
    first = Metrics(tmp_path)
    for step in range(5):
        first.write(step, {"loss": float(step)})
    first.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 5, "lo')  # killed in the middle of a line
    time.sleep(1)  # TensorBoard orders event files by the second, and those of one second by name
    again = Metrics(tmp_path, step=3)
    again.write(3, {"loss": 30.0})
    again.close()
    assert [(record["step"], record["loss"]) for record in read(tmp_path)] == [(0, 0.0), (1, 1.0), (2, 2.0), (3, 30.0)]
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(0, 0.0), (1, 1.0), (2, 2.0), (3, 30.0)]


def test_a_failing_logger_warns_once(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path)
    (tmp_path / "metrics.jsonl").unlink()
    (tmp_path / "metrics.jsonl").mkdir()
    with pytest.warns(UserWarning, match=r"metrics\.jsonl fails"):
        metrics.write(0, {"loss": 1.0})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metrics.write(1, {"loss": 1.0})


def test_weights_and_biases_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    run = tmp_path / "my-run"
    run.mkdir()
    (run / "config.yaml").write_text("seed: 7\n")
    metrics = Metrics(run, wandb="my-project")
    metrics.write(3, {"loss": 0.5})
    metrics.close()
    (file,) = run.glob("wandb/offline-run-*/run-*.wandb")
    words, until = (b"my-project", b"my-run", b"seed", b"loss"), time.monotonic() + 10
    while not all(word in file.read_bytes() for word in words):  # its service writes a moment after the run is closed
        assert time.monotonic() < until
        time.sleep(0.05)
    assert read(run) == [{"step": 3, "loss": 0.5}]


def test_weights_and_biases_missing_is_told_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert main(["train", "mars", "--game", "kuhn_poker", "--model", "tabular", "--out", str(tmp_path / "run"), "--wandb", "p"]) == 2
    assert capsys.readouterr().err.strip() == "marl-llm: --wandb needs the extra 'wandb': pip install 'marl-llm[wandb]'"
    assert not (tmp_path / "run").exists()


def test_piped_progress_is_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(12, "training", done=10) as bar:
        bar.say("warm start done")
        bar.advance(loss=0.5)
        bar.advance(loss=0.25)
    out, err = capsys.readouterr()
    assert not out
    first, last = err.splitlines()
    assert first == "warm start done"
    assert last.startswith("training 12/12  ")
    assert last.endswith("/s  loss 0.25  0 s left")


def test_the_bar_shows_count_and_figures(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    with progress(4, "training") as bar:
        bar.advance(4, loss=0.125)
    out, err = capsys.readouterr()
    assert not out
    assert "4/4" in err
    assert "loss 0.125" in err
