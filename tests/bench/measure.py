"""Two ways of doing the same work, timed turn by turn in one process, so that both see the same machine."""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable
from statistics import median
from typing import Any

ROUNDS = 5


def compare(name: str, ours: Callable[[], int], theirs: Callable[[], int], rounds: int = ROUNDS) -> dict[str, Any]:
    """Run both ``rounds`` times, alternately; each returns how many units of work it did. ``ratio`` is our rate over theirs,
    in CPU time, the median over rounds. Prints and returns a JSON object."""
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
        "ours_per_s": {"wall": round(median(w for w, _ in taken["ours"])), "cpu": round(median(c for _, c in taken["ours"]))},
        "theirs_per_s": {"wall": round(median(w for w, _ in taken["theirs"])), "cpu": round(median(c for _, c in taken["theirs"]))},
        "peak_mb": peak_mb(),
    }
    print(json.dumps(figures), flush=True)
    return figures


def peak_mb() -> float:
    """The most memory this process has held, in MB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
