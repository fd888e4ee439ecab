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
    unit = np.repeat(np.arange(deals), agents * (agents - 1))
    (found, _), seconds = measured(
        "ratings/20 agents, 38,000 matches, 1,000 bootstraps", lambda: elo(players, outcome, unit, agents, draws=1000)
    )
    assert [standing.mean for standing in found] == sorted(standing.mean for standing in found)
    assert seconds < 2


def measured(name, work):
    """Time of ``work``, printed."""
    wall, cpu = time.perf_counter(), time.process_time()
    made = work()
    figures = {"wall_s": round(time.perf_counter() - wall, 3), "cpu_s": round(time.process_time() - cpu, 3), "peak_mb": peak_mb()}
    print(json.dumps({"bench": name, **figures}))
    return made, figures["cpu_s"]


NAMES = tuple(f"random-{i}" for i in range(8))
MATCHES = len(NAMES) * (len(NAMES) - 1)


def hosted(folder, rounds):
    live = {name: RandomAgent() for name in NAMES}
    tournament = Tournament(game="kuhn_poker", agents=NAMES, rounds=rounds)
    return host(tournament, live=live, folder=folder, in_flight=8192, resume=True)


def test_hosting_against_the_bare_loop(tmp_path):
    rounds, runs = 1000, iter(range(100))

    def ours():
        assert hosted(tmp_path / str(next(runs)), rounds).matches == MATCHES * rounds
        return MATCHES * rounds

    play = bare("kuhn_poker", MATCHES * rounds)
    found = compare(
        "tournament/8 agents, kuhn_poker, 56,000 matches, logged and rated/bare pyspiel", ours, lambda: play() and MATCHES * rounds
    )
    assert found["ratio"] >= 0.6


def test_resuming_over_100_000_matches(tmp_path):
    rounds = 100_000 // MATCHES + 1
    whole = hosted(tmp_path, rounds)
    again, seconds = measured("resume/100,000 finished matches, with the report", lambda: hosted(tmp_path, rounds))
    assert again.json() == whole.json()
    assert seconds < 1
