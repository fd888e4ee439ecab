"""Two ways of doing the same work, timed turn by turn in one process, so that both see the same machine."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import time
from collections.abc import Callable
from statistics import median
from typing import Any

ROUNDS = 5


def compare(name: str, ours: Callable[[], int], theirs: Callable[[], int], rounds: int = ROUNDS, *, alone: bool = False) -> dict[str, Any]:
    """Run both ``rounds`` times, alternately; each returns how many units of work it did. ``ratio`` is our rate over theirs,
    in CPU time, the median over rounds. With ``alone`` the memory that each takes is measured too. Prints and returns a JSON object."""
    memory = {"ours_mb": taken_mb(ours), "theirs_mb": taken_mb(theirs)} if alone else {}
    ours(), theirs()  # caches, lazily built tables
    taken: dict[str, list[tuple[float, float]]] = {"ours": [], "theirs": []}
    for _ in range(rounds):
        for side, work in (("ours", ours), ("theirs", theirs)):
            wall, cpu = time.perf_counter(), time.process_time()
            units = work()
            taken[side].append((units / (time.perf_counter() - wall), units / (time.process_time() - cpu)))
    ratios = [mine[1] / other[1] for mine, other in zip(taken["ours"], taken["theirs"], strict=True)]
    figures = {
        "bench": name,
        "ratio": round(median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "ours_per_s": {"wall": round(median(w for w, _ in taken["ours"]), 1), "cpu": round(median(c for _, c in taken["ours"]), 1)},
        "theirs_per_s": {"wall": round(median(w for w, _ in taken["theirs"]), 1), "cpu": round(median(c for _, c in taken["theirs"]), 1)},
        **memory,
        "peak_mb": peak_mb(),
    }
    print(json.dumps(figures), flush=True)
    return figures


def peak_mb() -> float:
    """The most memory this process has held, in MB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def taken_mb(work: Callable[[], Any]) -> float:
    """By how much ``work`` raises the most memory that a copy of this process holds, in MB."""

    def peak(does: Callable[[], Any]) -> float:
        ctypes.CDLL(None).malloc_trim(0)  # else what this process has freed serves the copy unseen
        child = os.fork()
        if child == 0:
            try:
                does()
            except BaseException as error:
                print(f"{type(error).__name__}: {error}", flush=True)
                os._exit(1)
            os._exit(0)
        _, status, used = os.wait4(child, 0)
        assert status == 0, "the work failed"
        return used.ru_maxrss / 1024

    return round(peak(work) - peak(lambda: None), 1)
