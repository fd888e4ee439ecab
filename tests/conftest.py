"""One thread a process, no network, and a default test that takes over 20 s fails."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")

LIMIT_S = 20.0
TIERS = {"learn", "ray", "vllm", "vgc", "browser", "soak", "gpu", "bench", "pettingzoo"}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    slow = call.when == "call" and call.duration > LIMIT_S and not TIERS & {mark.name for mark in item.iter_markers()}
    if slow and report.passed:
        report.outcome = "failed"
        report.longrepr = f"took {call.duration:.1f} s; a default test may take {LIMIT_S:g} s: make it smaller, or mark its tier"
    return report
