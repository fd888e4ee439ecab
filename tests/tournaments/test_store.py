"""The folder: resumable at any byte, a match counts once, one host at a time."""

import json
import os
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from marl_llm import registry
from marl_llm.agents.guarded import Guarded
from marl_llm.agents.pool import AgentPool
from marl_llm.agents.random import RandomAgent
from marl_llm.cli import main
from marl_llm.errors import UserError
from marl_llm.matches import seatings
from marl_llm.play import play
from marl_llm.seeding import generator
from tests.tournaments.players import First, Raises
from tournaments.formats import Tournament
from tournaments.host import host
from tournaments.index import Index
from tournaments.results import Result, Results, lines
from tournaments.store import INDEX, LOCK, RESULTS, SETTINGS, Store

pytestmark = pytest.mark.filterwarnings("ignore:agent c raised")
LIVE = {"a": RandomAgent(), "b": First(), "c": Raises(6)}
TOURNAMENT = Tournament(game="kuhn_poker", agents=tuple(LIVE), rounds=12, seed=5)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    report = host(TOURNAMENT, live=LIVE, folder=folder)
    return (folder / RESULTS).read_bytes(), report.json(), (folder / SETTINGS).read_bytes()


def restored(folder, undisturbed, data):
    folder.mkdir(exist_ok=True)
    (folder / SETTINGS).write_bytes(undisturbed[2])
    (folder / RESULTS).write_bytes(data)
    return host(TOURNAMENT, live=LIVE, folder=folder, resume=True, in_flight=16).json()


def test_resume_at_any_byte_equals_an_undisturbed_run(tmp_path, undisturbed):
    whole = undisturbed[0]
    cuts = generator(9).integers(0, len(whole), 25).tolist()
    ends = [whole.index(b"\n"), whole.index(b"\n") + 1]
    for cut in [0, 1, len(whole) - 1, len(whole), *ends, *cuts]:
        assert restored(tmp_path / "cut", undisturbed, whole[:cut]) == undisturbed[1]
        assert sorted((tmp_path / "cut" / RESULTS).read_bytes().splitlines()) == sorted(whole.splitlines())


def test_a_result_written_twice_counts_once(tmp_path, undisturbed):
    lines = undisturbed[0].splitlines(keepends=True)
    shuffled = [lines[i] for i in generator(2).permutation(len(lines))]
    assert restored(tmp_path / "twice", undisturbed, b"".join(shuffled + lines[:20])) == undisturbed[1]


def test_a_void_match_is_played_again(tmp_path, undisturbed):
    lines = undisturbed[0].splitlines(keepends=True)
    void = json.loads(lines[0]) | {"end": "void", "error": "outage"}
    assert restored(tmp_path / "void", undisturbed, json.dumps(void).encode() + b"\n" + b"".join(lines[1:])) == undisturbed[1]


def test_a_line_that_is_no_result_is_named(tmp_path, undisturbed):
    for wrong in (b"not json\n", b"[1, 2]\n", b'{"id": "12"}\n', b"\xff\xfe\n"):
        lines = undisturbed[0].splitlines(keepends=True)
        with pytest.raises(UserError, match="line 3 is not a result"):
            restored(tmp_path / "wrong", undisturbed, b"".join([*lines[:2], wrong, *lines[2:]]))


def test_lines_and_columns_of_a_batch_say_the_same():
    tournament = Tournament(game="kuhn_poker", agents=tuple(LIVE), rounds=30, seed=6)
    pool = AgentPool({name: Guarded(agent, name) for name, agent in LIVE.items()})
    (batch,) = play((match for k in range(30) for match in tournament.on_deal(k, seatings("abc", 2))), pool, registry.game)
    parsed = [Result.parse(line.encode()) for line in lines(batch, Results.played(batch))]
    one, other = Results.of(parsed, 2), Results.played(batch)
    assert one.seats("abc").tolist() == other.seats("abc").tolist()
    assert len(other.faults)
    for name in ("id", "deal", "end", "returns", "turns"):
        assert np.array_equal(getattr(one, name), getattr(other, name))
    assert sorted(one.faults.tolist()) == sorted(other.faults.tolist())
    for i, result in enumerate(parsed):
        moves = batch.episode(i).moves
        assert list(result.moves) == [move.action for move in moves if move.fault == "ok"]


@pytest.mark.parametrize("damage", ["gone", "garbage", "cut", "older"])
def test_a_damaged_index_is_made_again(tmp_path, undisturbed, damage):
    host(TOURNAMENT, live=LIVE, folder=tmp_path, in_flight=8)
    index = tmp_path / INDEX
    if damage == "gone":
        index.unlink()
    elif damage == "garbage":
        index.write_bytes(b"nonsense " * 500)
    elif damage == "cut":
        index.write_bytes(index.read_bytes()[: index.stat().st_size // 2])
    else:  # the record has changed under it
        lines = (tmp_path / RESULTS).read_bytes().splitlines(keepends=True)
        (tmp_path / RESULTS).write_bytes(b"".join(reversed(lines)))
    assert host(TOURNAMENT, live=LIVE, folder=tmp_path, resume=True).json() == undisturbed[1]
    with Index(index, 2) as known, (tmp_path / RESULTS).open("rb") as record:
        assert sum(len(part) for _, part in known.read(record)) == 72


def test_what_the_index_gives_is_what_the_record_says(tmp_path, undisturbed):
    host(TOURNAMENT, live=LIVE, folder=tmp_path, in_flight=8)
    with Index(tmp_path / INDEX, 2) as known, (tmp_path / RESULTS).open("rb") as record:
        parts = [part for _, part in known.read(record)]
    parsed = [Result.parse(line) for line in (tmp_path / RESULTS).read_bytes().splitlines()]
    one, other = Results.concat(parts), Results.of(parsed, 2)
    assert len(parts) > 3
    assert one.seats("abc").tolist() == other.seats("abc").tolist()
    for name in ("id", "deal", "end", "returns", "turns", "faults"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name


def test_a_full_disk_loses_nothing_that_is_finished(tmp_path, undisturbed):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    sizes = []
    for limit in (3_000, 6_000, 30_000, 40_000):  # bytes that a file may have; the system refuses the rest, as a full disk does
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            with pytest.raises(UserError, match="cannot write to --out"):
                host(TOURNAMENT, live=LIVE, folder=tmp_path, resume=True, in_flight=4)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        record = tmp_path / RESULTS
        data = record.read_bytes() if record.exists() else b""
        assert data == b"" or data.endswith(b"\n")
        assert set(data.splitlines()) <= set(undisturbed[0].splitlines())
        sizes.append(len(data))
    assert sizes[-1] > 0
    assert sizes == sorted(sizes)
    assert host(TOURNAMENT, live=LIVE, folder=tmp_path, resume=True).json() == undisturbed[1]


def test_two_hosts_on_one_folder(tmp_path):
    with Store(TOURNAMENT, 2, tmp_path), pytest.raises(UserError, match=f"in use by another host, process {os.getpid()}"):
        host(TOURNAMENT, live=LIVE, folder=tmp_path, resume=True)
    assert host(TOURNAMENT, live=LIVE, folder=tmp_path, resume=True).matches == 72  # the first is gone, so is its lock


def words(folder, *more):
    agents = "random,tests.tournaments.players:Slow"
    where = ["--rounds", "40", "--in-flight", "8", "--out", str(folder)]
    return ["tournament", "round-robin", "--game", "connect_four", "--agents", agents, *where, *more]


def begun(folder):
    """A host in another process that has stored something and is still at work."""
    command = [sys.executable, "-c", "from marl_llm.cli import run; run()", *words(folder, "--resume")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | {"SLOW_S": "0.02"})
    results = folder / RESULTS
    before = results.stat().st_size if results.exists() else 0
    deadline = time.monotonic() + 15
    while not (results.exists() and results.stat().st_size > before):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


def test_interrupted_and_killed_hosts_lose_nothing(tmp_path, capsys):
    process = begun(tmp_path / "hit")
    assert main(words(tmp_path / "hit", "--resume")) == 2
    assert f"in use by another host, process {process.pid}" in capsys.readouterr().err
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130
    said = process.stderr.read()
    assert "marl-llm tournament round-robin --game connect_four" in said
    assert said.rstrip().endswith("--resume")
    assert "Traceback" not in said
    stored = (tmp_path / "hit" / RESULTS).read_bytes().splitlines()
    process = begun(tmp_path / "hit")
    process.kill()
    process.wait(10)
    assert (tmp_path / "hit" / LOCK).exists()  # left by the dead host, and no obstacle
    outcomes = []
    for folder in ("hit", "whole"):
        assert main(words(tmp_path / folder, "--resume", "--json")) == 0
        outcomes.append(capsys.readouterr().out.splitlines()[-1])
    assert outcomes[0] == outcomes[1]
    assert stored
    assert set(stored) < set((tmp_path / "whole" / RESULTS).read_bytes().splitlines())
