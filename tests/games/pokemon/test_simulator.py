"""The simulator in its workers: battles are functions of seed and moves, a lost worker loses nothing, and no process outlives us."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from games.pokemon import install
from games.pokemon.battles import Battle, Joint, Turn, advance, look
from games.pokemon.teams import pool
from games.pokemon.worker import Unanswered, Worker
from marl_llm.errors import UserError
from marl_llm.seeding import uniform

HERE = Path(__file__).parent
VGC = "gen9vgc2025regi"


def node(script: str, *words: str, preload: bool = False) -> list[str]:
    """Lines that a script of this folder prints."""
    packages = {**os.environ, "NODE_PATH": str(install.installed() / "node_modules")}
    handlers = ["--require", str(Path(install.__file__).with_name("handlers.js"))] if preload else []
    return subprocess.run(
        [install.node(), *handlers, str(HERE / script), *words], env=packages, capture_output=True, text=True, check=True
    ).stdout.splitlines()


def setup(seed: int, team: int = 0) -> dict[str, Any]:
    return {"format": VGC, "seed": f"gen5,{seed:016x}", "teams": [{"team": pool(16)[team]}, {"team": pool(16)[1]}], "open": True}


def drawn(turn: Turn, *keys: int) -> list[int]:
    first = turn.slots[0][int(uniform(*keys, 0) * len(turn.slots[0]))]
    after = turn.after(first)
    return [first, after[int(uniform(*keys, 1) * len(after))]]


def moved(battle: Battle, seed: int, steps: int = 10_000) -> Battle:
    """The battle after random moves, to its end unless ``steps`` comes first."""
    for _ in range(steps):
        if battle.over:
            break
        k = len(battle.history)
        joint: Joint = [(seat, drawn(turn, seed, k, seat)) for seat, turn in enumerate(battle.turns) if turn]
        battle.history.append(joint)
        advance([battle])
    return battle


def begun(worker: Worker, seed: int, **other: Any) -> Battle:
    battle = Battle(setup(seed, **other), worker)
    advance([battle])
    return battle


def log(battle: Battle) -> list[str]:
    return look("logs", [(battle, 0)])[0][0]


def gone(pid: int, within_s: float) -> bool:
    deadline = monotonic() + within_s
    while monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        sleep(0.05)
    return False


def pid_of(worker: Worker) -> int:
    process = worker._process
    assert process is not None
    return process.pid


@pytest.fixture
def worker():
    one = Worker()
    yield one
    one.close()


def test_no_node_is_told_in_a_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"^Pokemon battles run in node, and there is no node on the PATH; install Node\.js 18 or newer"):
        install.node()


def test_an_old_node_is_told_in_a_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "node").write_text("#!/bin/sh\necho v12.22.0\n")
    (tmp_path / "node").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"node is node v12\.22\.0; Pokemon battles need Node\.js 18 or newer"):
        install.node()


def test_no_simulator_is_told_in_a_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MARL_LLM_CACHE", str(tmp_path))
    with pytest.raises(
        UserError, match=r"^the Pokemon simulator @pkmn/sim [\d.]+ is not installed; run: python -m games\.pokemon\.install$"
    ):
        install.installed()


@pytest.mark.vgc
def test_what_npm_cannot_fetch_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MARL_LLM_CACHE", str(tmp_path))
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm"))
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    with pytest.raises(UserError, match=r"^npm could not install @pkmn/sim .*ECONNREFUSED.*then run again: python -m"):
        install.install()
    assert not list((tmp_path / "pokemon").iterdir())


@pytest.mark.vgc
@pytest.mark.parametrize(("format", "count"), [("gen9randomdoublesbattle", 2), ("gen8randombattle", 1), (VGC, 6)])
def test_remembered_handlers_change_no_battle(format: str, count: int) -> None:
    words = (format, str(count), *([pool(1)[0]] if format == VGC else []))
    plain = node("logs.js", *words)
    assert len(plain) == len(set(plain)) == count
    assert node("logs.js", *words, preload=True) == plain


@pytest.mark.vgc
def test_a_battle_is_its_seed_and_its_moves(worker: Worker) -> None:
    one, two, other = (moved(begun(worker, seed), 5) for seed in (1, 1, 2))
    assert one.history == two.history
    assert log(one) == log(two)
    assert log(one) != log(other)
    assert one.result in (-1, 1)
    assert log(one)[-1] == f"|win|Player {1 if one.result > 0 else 2}"


@pytest.mark.vgc
def test_a_fork_has_the_same_future_and_leaves_the_original_alone(worker: Worker) -> None:
    battle = moved(begun(worker, 3), 7, steps=4)
    fork, strayed = battle.fork(), battle.fork()
    moved(strayed, 8)
    before = battle.turns
    assert moved(fork, 7).history == moved(battle, 7).history
    assert before != battle.turns
    assert log(fork) == log(battle) != log(strayed)


@pytest.mark.vgc
def test_a_killed_worker_loses_nothing() -> None:
    whole, killed = Worker(), Worker()
    try:
        expected = [moved(begun(whole, seed), seed) for seed in range(3)]
        battles = [moved(begun(killed, seed), seed, steps=3) for seed in range(3)]
        pid = pid_of(killed)
        os.kill(pid, signal.SIGKILL)
        assert look("texts", [(battles[0], 0)])[0] == look("texts", [(moved(begun(whole, 0), 0, steps=3), 0)])[0]
        again = [moved(battle, seed) for seed, battle in enumerate(battles)]
        assert pid_of(killed) != pid
        assert [log(battle) for battle in again] == [log(battle) for battle in expected]
    finally:
        whole.close()
        killed.close()


@pytest.mark.vgc
def test_a_worker_that_does_not_answer_is_killed_and_its_battles_played_again() -> None:
    worker = Worker(answer_s=3)
    try:
        battle = moved(begun(worker, 4), 9, steps=3)
        pid = pid_of(worker)
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(Unanswered, match=r"did not answer within 3 s"):
            worker.ask("layout")
        assert gone(pid, 1)
        assert log(moved(battle, 9))[-1].startswith("|win|")
        assert not battle.fault
    finally:
        worker.close()


@pytest.mark.vgc
def test_a_battle_that_fails_takes_no_other_with_it(worker: Worker) -> None:
    battles = [
        Battle(setup(5), worker),
        Battle(setup(6) | {"teams": [{"team": "x"}, {"team": pool(1)[0]}]}, worker),
        Battle(setup(7), worker),
    ]
    advance(battles)
    assert [bool(battle.fault) for battle in battles] == [False, True, False]
    assert battles[1].fault.startswith("the simulator failed: ")
    assert moved(battles[2], 3).result


@pytest.mark.vgc
def test_a_choice_that_is_not_offered_is_a_fault(worker: Worker) -> None:
    battle = begun(worker, 8)
    battle.history.append([(0, [1, 1]), (1, [1, 107])])
    advance([battle])
    assert battle.over
    assert battle.fault == "the simulator failed: p2 chose 1,107, and one of these it may not"


@pytest.mark.vgc
@pytest.mark.parametrize(("format", "seed"), [(VGC, 1), (VGC, 2), ("gen9randomdoublesbattle", 1), ("gen8randomdoublesbattle", 2)])
def test_joint_masks_are_what_the_simulator_accepts(format: str, seed: int) -> None:
    seen = 0
    for line in node("pairs.js", format, str(seed), *([pool(4)[3]] if format == VGC else []), preload=True):
        told = json.loads(line)
        turn = Turn(told["slots"], told["joint"], "")
        ours = [[first, second] for first in turn.slots[0] for second in turn.after(first)]
        assert sorted(ours) == sorted(told["accepted"])
        seen += len(ours) < len(turn.slots[0]) * len(turn.slots[1])
    assert seen > 3  # pairs that no mask of a slot alone would forbid


ORPHAN = """
import os, signal, sys
from games.pokemon.worker import Worker
from games.pokemon.teams import pool
worker = Worker()
worker.ask("layout")
print(worker._process.pid, flush=True)
if sys.argv[1] == "busy":
    start = {"format": "gen9vgc2025regi", "seed": "gen5,0000000000000001", "teams": [{"team": pool(1)[0]}] * 2, "open": True}
    worker.send("battles", battles=[{"id": i, "start": start, "moves": []} for i in range(20_000)])
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.vgc
@pytest.mark.parametrize("state", ["idle", "busy"])
def test_a_worker_does_not_outlive_its_parent(state: str) -> None:
    done = subprocess.run([sys.executable, "-c", ORPHAN, state], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == -signal.SIGKILL
    assert gone(int(done.stdout), 5)


@pytest.mark.vgc
def test_an_interrupted_question_is_not_answered_to_the_next(worker: Worker) -> None:
    battle = begun(worker, 9)
    worker.send("formats")  # and Ctrl-C
    assert look("texts", [(battle, 0)])[0][0].startswith("Before the battle")
