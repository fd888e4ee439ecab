"""Linear public goods on array boards, with what a neural learner reads of every step: who acts, vector views, and rewards.

Every round of every match asks for the views of all seats, plays gifts that were drawn beforehand (integers of 64 bits, as ``play``
hands them over), and subtracts returns; starting all matches again is part of it. Keys, texts and legal sets are not asked for.
Nothing comparable is installed to compare with, so the figure is agent-steps a second of CPU time on one core.
"""

from __future__ import annotations

import json
import time
from statistics import median

import numpy as np
import pytest

from games.public_goods.game import PublicGoods
from marl_llm.seeding import generator
from tests.bench.measure import ROUNDS, peak_mb, taken_mb

pytestmark = pytest.mark.bench
MILLION = 1e6
SIZES = {4: 4096, 10: 1000, 40: 256, 100: 100}
"""Matches side by side, by seats."""


def stepping(seats: int, rows: int, rounds: int = 10, steps: int = 4_000_000):
    game = PublicGoods(seats=seats, rounds=rounds)
    row = np.arange(rows)
    gifts = generator(seats).integers(0, game.levels + 1, (rounds, rows * seats))

    def work() -> int:
        boards, done = game.boards(rows), 0
        while done < steps:
            boards.start(row, row.astype(np.uint64))
            before = boards.returns(row)
            for given in gifts:
                acting = boards.acting()
                views = boards.views(*acting).vectors()
                boards.step(*acting, given)
                after = boards.returns(row)
                rewards, before = after - before, after
                assert len(views) == rewards.size
                done += rewards.size
        return done

    return work


@pytest.mark.parametrize("seats", SIZES)
def test_steps_with_views_and_rewards(seats: int) -> None:
    work = stepping(seats, SIZES[seats])
    memory = taken_mb(work)
    rates = []
    for _ in range(ROUNDS):
        cpu = time.process_time()
        rates.append(work() / (time.process_time() - cpu) / MILLION)
    figures = {
        "bench": f"public_goods/{seats} seats, {SIZES[seats]} matches",
        "million_agent_steps_per_s": {"cpu": round(median(rates), 1), "rounds": [round(rate, 1) for rate in rates]},
        "ours_mb": memory,
        "peak_mb": peak_mb(),
    }
    print(json.dumps(figures), flush=True)
    assert median(rates) >= (40 if seats >= 10 else 20)  # with few seats the cost of a match is shared by few
