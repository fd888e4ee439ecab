"""A person in the terminal, over a real pseudo-terminal; replay; and the package that new-game writes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from marl_llm import cli, registry
from marl_llm.agents.pool import AgentPool
from marl_llm.matches import self_play
from marl_llm.play import play

COMMAND = str(Path(sys.executable).with_name("marl-llm"))


def start(*words: str) -> pexpect.spawn[str]:
    return pexpect.spawn(COMMAND, list(words), encoding="utf-8", timeout=15, dimensions=(40, 200), preexec_fn=as_in_a_terminal)


def as_in_a_terminal() -> None:
    """Whoever runs the tests in the background has interrupts ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_a_person_plays_and_bad_input_is_asked_again() -> None:
    person = start("play", "kuhn_poker", "--seat", "0", "--seed", "3")
    person.expect("Kuhn poker")
    person.expect(r"\[0\] pass  \[1\] bet")
    for wrong in ("raise", "2", "-1", ""):
        person.sendline(wrong)
        person.expect("is not a legal move; type one of: pass, bet")
    person.sendline("bet")
    person.expect(r"The match is over: seat 0 \(human\) .*You (gain|lose) [12]\.")
    person.expect(pexpect.EOF)
    person.close()
    assert person.exitstatus == 0


def test_the_seat_and_the_opponent_are_chosen() -> None:
    person = start("play", "tic_tac_toe", "--seat", "1", "--against", "minimax")
    person.expect("in seat 1")
    person.sendeof()
    person.expect("interrupted")
    person.expect(pexpect.EOF)
    person.close()
    assert person.exitstatus == 130


def test_control_c_leaves_too() -> None:
    person = start("play", "kuhn_poker")
    person.expect("> ")
    for _ in range(5):  # an interrupt between the prompt and the read that follows it waits for the end of that read
        person.sendintr()
        if person.expect(["interrupted", pexpect.TIMEOUT], timeout=2) == 0:
            break
    else:
        pytest.fail("five interrupts were ignored")
    person.expect(pexpect.EOF)
    person.close()
    assert person.exitstatus == 130


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    (tmp_path / "episodes").mkdir()
    for k in range(2):
        (batch,) = play(self_play("kuhn_poker", "random", 2, 3, seed=k), AgentPool(), registry.game)
        batch.save(tmp_path / "episodes" / f"{k:06d}.npz")
    return tmp_path


def test_replay_lists_and_shows(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["replay", str(recorded)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["0", "1", "2", "3", "4", "5"]
    assert cli.main(["replay", str(recorded), "--json"]) == 0
    matches = json.loads(capsys.readouterr().out)["matches"]
    for number, match in enumerate(matches):
        assert cli.main(["replay", str(recorded), str(number)]) == 0
        shown = capsys.readouterr().out
        names = ["pass", "bet"]
        assert [line.split(": ")[1] for line in shown.splitlines() if " plays: " in line] == [
            names[move["action"]] for move in match["moves"]
        ]
        seen = [line for line in shown.splitlines() if " sees: " in line]
        for k, line in enumerate(seen):
            said = ", ".join(names[move["action"]] for move in match["moves"][:k]) or "none"
            assert line.endswith(f"Moves so far: {said}.")
        assert shown.endswith(f"played: seat 0 {match['returns'][0]:+g}, seat 1 {match['returns'][1]:+g}\n")


def test_replay_steps_in_a_terminal(recorded: Path) -> None:
    person = start("replay", str(recorded), "4")
    person.expect("seat 0 sees: ")
    person.expect(r"q quits: ")
    person.sendline("")
    person.expect("seat 1 sees: ")
    person.expect(r"q quits: ")
    person.sendline("q")
    person.expect(pexpect.EOF)
    person.close()
    assert person.exitstatus == 0


def test_replay_of_what_is_not_there(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["replay", str(recorded), "6"]) == 2
    assert "has no match 6; expected 0 to 5" in capsys.readouterr().err
    damaged = recorded / "episodes" / "000000.npz"
    damaged.write_bytes(damaged.read_bytes()[:100])
    assert cli.main(["replay", str(recorded)]) == 2
    assert "000000.npz cannot be read" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:.*raised ZeroDivisionError")
def test_replay_passes_over_failed_attempts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.py").write_text("def wrong(text, legal): return 'fold'\ndef crash(text, legal): 1 / 0\n")
    (tmp_path / "episodes").mkdir()
    for name in ("wrong", "crash"):
        matches = self_play("kuhn_poker", f"{tmp_path}/bad.py:{name}", 2, 1, seed=0)
        (batch,) = play(matches, AgentPool(), registry.game)
        batch.save(tmp_path / "episodes" / f"{name}.npz")
    for number, fault in enumerate(("crash", "illegal")):
        assert cli.main(["replay", str(tmp_path), str(number)]) == 0
        shown = capsys.readouterr().out
        assert f"plays: ({fault})" in shown
        assert "\nplayed: " in shown


@pytest.mark.parametrize("name", ["My-Game", "class", "random", "3d"])
def test_new_game_refuses_what_cannot_be_a_package(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["new-game", name, "--into", str(tmp_path)]) == 2
    assert repr(name) in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_new_game_passes_its_own_test(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["new-game", "last_stone", "--into", str(tmp_path)]) == 0
    assert "check-game" in capsys.readouterr().out
    root = tmp_path / "last_stone"
    assert "NewGame" not in "".join(path.read_text() for path in root.rglob("*.*") if path.is_file())
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout
    assert cli.main(["new-game", "last_stone", "--into", str(tmp_path)]) == 2
    assert "exists already" in capsys.readouterr().err
