"""How long a credit takes on 100k turns, beside the bound it was given; CPU time, the least of five."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest

from marl_llm import registry
from marl_llm.ragged import starts_of
from marl_llm.records import Batch
from tests.bench.measure import ROUNDS, peak_mb

pytestmark = pytest.mark.bench
MATCHES, SEATS, TURNS, SAMPLES = 10000, 2, 5, 8
BOUNDS = {"mars": 0.1, "grpo": 0.1, "gigpo": 0.3, "salt": 0.3}
OTHERS = ["dr-grpo", "rloo", "reinforce-pp", "flow-grpo", "step-grpo", "rank-grpo", "canon", "riskpo", "copo", "entropy-shaped"]


@pytest.fixture(scope="module")
def batch() -> Batch:
    """Matches of two seats and five own turns each, eight a deal, over two thousand views."""
    draws, seats, turns = np.random.default_rng(0), MATCHES * SEATS, MATCHES * SEATS * TURNS
    reward = draws.normal(size=turns)
    lengths = np.full(seats, TURNS)
    columns = {
        "match.id": np.arange(MATCHES),
        "match.game": np.zeros(MATCHES, np.int64),
        "match.seed": np.repeat(draws.integers(1 << 60, size=MATCHES // SAMPLES), SAMPLES).astype(np.uint64),
        "match.sample": np.tile(np.arange(1, SAMPLES + 1), MATCHES // SAMPLES),
        "match.end": np.zeros(MATCHES, np.int64),
        "seat.seat": np.tile(np.arange(SEATS), MATCHES),
        "seat.player": np.zeros(seats, np.int64),
        "seat.outcome": reward.reshape(seats, TURNS).sum(1),
        "turn.seat": np.repeat(np.tile(np.arange(SEATS), MATCHES), TURNS),
        "turn.index": np.tile(np.arange(TURNS), seats),
        "turn.key": draws.integers(2000, size=turns),
        "turn.action": draws.integers(4, size=turns),
        "turn.learn": np.ones(turns, bool),
        "turn.game": reward,
        "turn.format": np.zeros(turns),
        "turn.entropy": draws.random(turns),
    }
    return Batch(columns, {"turn": starts_of(lengths), "seat": np.arange(MATCHES + 1) * SEATS}, {"game": ["a"]})


@pytest.mark.parametrize("name", [*BOUNDS, *OTHERS])
def test_credit_for_a_hundred_thousand_turns(name, batch):
    credit, taken = registry.recipe(name).credit, []
    for _ in range(ROUNDS):
        begun = time.process_time()
        credited = credit.assign(batch, {})
        taken.append(time.process_time() - begun)
    assert len(credited.advantage) == 100_000
    print(json.dumps({"bench": f"credit {name}", "turns": 100_000, "cpu_s": round(min(taken), 4), "peak_mb": peak_mb()}), flush=True)
    assert min(taken) <= BOUNDS.get(name, 1.0)
