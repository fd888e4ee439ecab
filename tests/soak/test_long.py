"""Two hours of self-play with one kill -9 inside: memory stays flat, and the run goes on as if nothing had happened.

``SOAK_MINUTES`` shortens it. The run must come to the metrics that any uninterrupted run has: one record an iteration, in order.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from marl_llm import metrics

pytestmark = pytest.mark.soak
MINUTES = float(os.environ.get("SOAK_MINUTES", "120"))
EVERY_S = 5.0
GROWTH = 0.03
"""Share by which the memory of the last quarter may exceed that of the second."""


def start(out, *flags):
    command = [
        str(Path(sys.executable).with_name("marl-llm")),
        "train",
        "mars",
        "--game",
        "kuhn_poker",
        "--model",
        "tiny",
        "--out",
        str(out),
    ]
    settings = ["--steps", "1000000", "--horizon", "100000", "--checkpoint-every", "50", "--seed", "0"]
    return subprocess.Popen([*command, *settings, *flags], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def watch(process, until, memory):
    """Note resident memory until a time; ends when the process does."""
    while time.monotonic() < until and process.poll() is None:
        memory.append(psutil.Process(process.pid).memory_info().rss / 2**20)
        time.sleep(EVERY_S)


def test_flat_memory_and_a_kill(tmp_path):
    began, out = time.monotonic(), tmp_path / "run"
    first: list[float] = []
    process = start(out)
    watch(process, began + MINUTES * 60 / 3, first)
    assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    killed_at = metrics.read(out)[-1]["step"]
    second: list[float] = []
    process = start(out, "--resume")
    watch(process, began + MINUTES * 60, second)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(120) == 130
    records = metrics.read(out)
    steps = [record["step"] for record in records if "loss" in record]
    quarters = [float(np.median(part)) for part in np.array_split(np.asarray(second), 4)]
    told = {"minutes": (time.monotonic() - began) / 60, "killed at": killed_at, "iterations": len(steps), "MiB by quarter": quarters}
    told |= {
        "exploitability": [record["exploitability"] for record in records if "exploitability" in record][:: max(1, len(records) // 80)]
    }
    print(json.dumps(told), flush=True)
    assert steps == list(range(len(steps)))
    assert len(steps) > killed_at
    assert quarters[-1] <= quarters[1] * (1 + GROWTH)
    assert np.isfinite([record["loss"] for record in records if "loss" in record]).all()
