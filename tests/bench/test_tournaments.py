"""Ratings of a large round robin, and a small tournament with its log and report against the bare loop."""

from __future__ import annotations

import json
import time
from itertools import permutations

import numpy as np
import pytest

from marl_llm.agents.random import RandomAgent
from marl_llm.seeding import generator
from tests.bench.measure import compare, peak_mb
from tests.bench.test_play import bare
from tournaments.formats import Tournament
from tournaments.host import host
from tournaments.ratings import elo

pytestmark = pytest.mark.bench


def test_bradley_terry_of_twenty_agents():
    deals, agents = 100, 20
    players = np.tile(list(permutations(range(agents), 2)), (deals, 1))
    chance = 1 / (1 + np.exp((players[:, 1] - players[:, 0]) / 5))
    outcome = generator(1).binomial(2, chance)
    wall, cpu = time.perf_counter(), time.process_time()
    found, _ = elo(players, outcome, np.repeat(np.arange(deals), agents * (agents - 1)), agents, draws=1000)
    figures = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu, "peak_mb": peak_mb()}
    print(json.dumps({"bench": "ratings/20 agents, 38,000 matches, 1,000 bootstraps", **figures}))
    assert [standing.mean for standing in found] == sorted(standing.mean for standing in found)
    assert figures["cpu_s"] < 2


def test_hosting_against_the_bare_loop(tmp_path):
    agents, rounds, runs = 8, 60, iter(range(100))
    live = [f"random-{i}" for i in range(agents)]
    matches = agents * (agents - 1) * rounds

    def ours():
        made = host(
            Tournament(game="kuhn_poker", agents=tuple(live), rounds=rounds),
            live={name: RandomAgent() for name in live},
            folder=tmp_path / str(next(runs)),
            in_flight=1024,
        )
        assert made.matches == matches
        return matches

    play = bare("kuhn_poker", matches)
    compare("tournament/8 agents, kuhn_poker, logged and reported/bare pyspiel", ours, lambda: play() and matches)
