"""Long runs: a host that is killed again and again, and one that plays a million matches."""

import json
import os
import subprocess
import sys
import time

import psutil
import pytest

from marl_llm.agents.random import RandomAgent
from marl_llm.cli import main
from marl_llm.seeding import uniform
from tournaments.formats import Tournament
from tournaments.host import host
from tournaments.store import INDEX, RESULTS

pytestmark = pytest.mark.soak


@pytest.mark.parametrize(("form", "rounds"), [("round-robin", "80"), ("swiss", "15")])
def test_kills_change_nothing(tmp_path, capsys, form, rounds):
    agents = "random,tests.tournaments.players:Slow,tests.tournaments.players:First"
    words = ["tournament", form, "--game", "connect_four", "--agents", agents, "--rounds", rounds, "--in-flight", "8", "--resume"]
    sizes, alive = [], 0
    for kill in range(25):
        out = ["--out", str(tmp_path / "hit")]
        command = [sys.executable, "-c", "from marl_llm.cli import run; run()", *words, *out]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | {"SLOW_S": "0.01"})
        record, begun = tmp_path / "hit" / RESULTS, time.monotonic()
        before = record.stat().st_size if record.exists() else 0
        while process.poll() is None and time.monotonic() < begun + 20 and not (record.exists() and record.stat().st_size > before):
            time.sleep(0.01)
        time.sleep(uniform(1, kill))
        alive += process.poll() is None
        process.kill()
        process.wait(10)
        sizes.append(record.stat().st_size)
        if kill % 7 == 3:  # now and then the machine dies too, and takes the end of both files
            os.truncate(record, max(0, sizes[-1] - 50))
            (tmp_path / "hit" / INDEX).unlink()
    assert alive > 15  # in the midst of it
    reports = []
    for folder in ("hit", "whole"):
        assert main([*words, "--out", str(tmp_path / folder), "--json"]) == 0
        reports.append(json.loads(capsys.readouterr().out.splitlines()[-1]))
    assert reports[0] == reports[1]
    assert sorted((tmp_path / "hit" / RESULTS).read_bytes().splitlines()) == sorted(
        (tmp_path / "whole" / RESULTS).read_bytes().splitlines()
    )


def test_memory_stays_flat_over_a_million_matches(tmp_path):
    names = tuple("abcdefgh")
    sizes = []

    class Watches(RandomAgent):
        """Notes now and then how much memory the process holds."""

        def decide(self, request):
            if not len(sizes) or time.monotonic() > sizes[-1][0] + 1:
                sizes.append((time.monotonic(), psutil.Process().memory_info().rss / 2**20))
            return super().decide(request)

    live = {name: RandomAgent() for name in names} | {"a": Watches()}
    report = host(Tournament(game="kuhn_poker", agents=names, rounds=1_000_000 // 56 + 1), live=live, folder=tmp_path, in_flight=8192)
    assert report.matches > 1_000_000
    third = len(sizes) // 3
    early, late = (max(size for _, size in part) for part in (sizes[:third], sizes[-third:]))
    print(json.dumps({"soak": "a million matches", "early_mb": early, "late_mb": late}))
    assert late < early + 100  # 70 bytes a match are kept, of which the report is made
