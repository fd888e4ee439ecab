"""What an iteration, learning included, costs at 2, 20, 200 and 2000 seats: time and memory a decision, with one network for all."""

from __future__ import annotations

import json
from collections.abc import Callable
from time import process_time

import pytest

from algorithms.mean_field import MeanFieldPPO
from algorithms.mean_field_q import MeanFieldQ
from algorithms.ppo import PPO
from algorithms.samplers import SelfPlay
from marl_llm import registry
from marl_llm.agents.pool import AgentPool
from marl_llm.algorithm import Recipe, Setup
from marl_llm.play import play
from marl_llm.records import Batch
from tests.bench.measure import taken_mb

pytestmark = pytest.mark.bench
SEATS, DECISIONS = (2, 20, 200, 2000), 20000
LEARNERS: dict[str, tuple[Callable[[int], Recipe], str, int]] = {
    "ppo": (lambda matches: PPO(sampler=SelfPlay(matches=matches)), "congestion(seats={seats},sites=6)", 1),
    "dec-pomfppo": (lambda matches: MeanFieldPPO(matches=matches), "aggregation(seats={seats})", 100),
    "mf-q": (lambda matches: MeanFieldQ(matches=matches), "squeeze(seats={seats})", 10),
}
"""Of each a recipe that plays so many matches an iteration, a game, and the decisions a seat makes in one match of it."""


def iteration(name: str, seats: int) -> tuple[Callable[[], int], int]:
    """One iteration of about ``DECISIONS`` decisions; how many there are."""
    make, game, each = LEARNERS[name]
    matches = max(1, DECISIONS // (each * seats))
    algorithm = make(matches).build(Setup((game.format(seats=seats),), registry.game, None, 0))
    pool, step = AgentPool(algorithm.agents), 0

    def iterate() -> int:
        nonlocal step
        algorithm.learn(Batch.concat(play(algorithm.plan(step), pool, registry.game, in_flight=4096)))
        step += 1
        return matches * seats * each

    return iterate, matches * seats * each


@pytest.mark.parametrize("name", LEARNERS)
def test_cost_by_seats(name, one_thread):
    """A decision among 2000 seats costs no more than one among 2."""
    cost = {}
    for seats in SEATS:
        memory = taken_mb(iteration(name, seats)[0])
        iterate, decisions = iteration(name, seats)
        iterate()
        began = process_time()
        for _ in range(3):
            iterate()
        cost[seats] = (process_time() - began) / (3 * decisions)
        print(json.dumps({"bench": f"{name}, {seats} seats", "decisions": decisions, "cpu_us": round(cost[seats] * 1e6, 2), "mb": memory}))
    assert cost[2000] <= 1.2 * cost[2]
