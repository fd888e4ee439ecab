"""The command line: what people type, and what comes back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from marl_llm import cli
from marl_llm.catalogue import Entry, catalogue

COMMAND = Path(sys.executable).with_name("marl-llm")


def run(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(COMMAND), *words], capture_output=True, text=True, cwd=cwd, check=False)


def test_no_command_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    bare = capsys.readouterr().out
    assert cli.main(["--help"]) == 0
    assert capsys.readouterr().out == bare
    for name, entry in catalogue()["commands"].items():
        assert name in bare
        assert entry.summary in bare


@pytest.mark.parametrize("section", ["games", "agents", "algorithms"])
def test_lists(section: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([section]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[0] for line in lines] == list(catalogue()[section])
    assert cli.main([section, "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert [entry["name"] for entry in json.loads(line)[section]] == list(catalogue()[section])


def test_one_of_each_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["games", "kuhn_poker", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["seats"] == 2
    assert cli.main(["games", "kuhn_poker"]) == 0
    assert "\nrules" in capsys.readouterr().out
    assert cli.main(["agents", "random"]) == 0
    assert "every legal" in capsys.readouterr().out
    for name in catalogue()["algorithms"]:
        assert cli.main(["algorithms", name]) == 0
        assert "settings" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tran"], "unknown command 'tran'; did you mean train"),
        (["games", "kuhn"], "unknown game 'kuhn'; did you mean kuhn_poker"),
        (["agents", "randon"], "unknown agent 'randon'; did you mean random"),
        (["algorithms", "no_such_thing"], "unknown algorithm 'no_such_thing'"),
        (["games", "--jsn"], "did you mean --json"),
        (["play"], "GAME"),
        (["play", "kuhn_poker", "--seat", "2"], "--seat 2: kuhn_poker has 2 seats; expected 0 to 1"),
        (["play", "kuhn_poker", "--against", "nobody"], "unknown agent 'nobody'"),
        (["replay", "nowhere"], "no recorded matches"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.count("\n") == 1
    assert message in err


def test_exit_codes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "commands.py"
    path.write_text(
        "def fine(argv): return 0\ndef bad(argv): return 1\ndef stop(argv): raise KeyboardInterrupt\n"
        "def bug(argv): raise ZeroDivisionError\ndef pipe(argv): raise BrokenPipeError\n"
    )
    commands = {name: Entry(name, f"{path}:{name}") for name in ("fine", "bad", "stop", "bug")}
    monkeypatch.setattr("marl_llm.catalogue.catalogue", lambda: {"commands": commands})
    for name, code in {"fine": 0, "bad": 1, "stop": 130, "bug": 1}.items():
        monkeypatch.setattr(sys, "argv", ["marl-llm", name])
        with pytest.raises(SystemExit) as stop:
            cli.run()
        assert stop.value.code == code
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_the_console_script_and_its_streams() -> None:
    done = run("games", "no_such_game")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert run("--version").stdout.startswith("marl-llm ")
    piped = subprocess.run(f"{COMMAND} games | head -n 1", shell=True, capture_output=True, text=True, check=False)
    assert (piped.returncode, piped.stderr) == (0, "")


def test_a_foreign_package_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "games").mkdir()
    (tmp_path / "games" / "__init__.py").touch()
    done = run("games", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert str(tmp_path / "games") in done.stderr
    assert "__init__.py" in done.stderr


def test_listing_imports_nothing_heavy() -> None:
    code = (
        "import sys; from marl_llm.cli import main; main(['agents']); main(['algorithms']); main([]); "
        "print(sorted({'torch', 'ray', 'transformers', 'pyspiel', 'open_spiel', 'pettingzoo'} & set(sys.modules))); main(['games']); "
        "print(sorted({'torch', 'ray', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert [line for line in done.stdout.splitlines() if line.startswith("[")] == ["[]", "[]"]


def test_games_are_listed_with_their_facts(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["games"]) == 0
    kuhn = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("kuhn_poker\t")).split("\t")
    assert kuhn[1:6] == ["2", "sequential, imperfect information, zero-sum", "2", "3", "text, vector 11, key by information"]
    assert cli.main(["games", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["games"]}
    assert (rows["public_goods"]["seats"], rows["public_goods"]["simultaneous"]) == (4, True)
    assert "seats" not in rows["openspiel"]


def test_a_family_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["games", "openspiel", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["games"]}
    assert sum("refused" not in row for row in rows.values()) >= 129
    assert (rows["openspiel:go"]["seats"], rows["openspiel:go"]["actions"], rows["openspiel:go"]["perfect_information"]) == (2, 362, True)
    assert rows["openspiel:mfg_garnet"]["anonymous"]
    assert "for example openspiel:misere(game=" in rows["openspiel:misere"]["refused"]
    assert cli.main(["games", "openspiel:misere(game=tic_tac_toe())"]) == 0
    assert "perfect_information  True" in capsys.readouterr().out


def test_doctor(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["extras"]["openspiel"]["open-spiel"].startswith("2.")
    assert found["cores"] >= 1
    assert cli.main(["doctor"]) == 0
    out = capsys.readouterr().out
    for extra, packages in found["extras"].items():
        assert (f"pip install 'marl-llm[{extra}]'" in out) == (None in packages.values())
