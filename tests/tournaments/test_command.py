"""The command line: one line for bad input, one object for machines."""

import json

import pytest

from marl_llm.cli import main

GOOD = ["tournament", "round-robin", "--game", "kuhn_poker", "--agents", "random,cfr", "--rounds", "3", "--out", "{out}"]


def changed(flag, value):
    words = list(GOOD)
    words[words.index(flag) + 1] = value
    return words


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (changed("--agents", "random,cfx"), "unknown agent 'cfx'; did you mean cfr"),
        (changed("--agents", "random"), "at least two"),
        (changed("--agents", "random,cfr,random"), "'random' is named more than once"),
        (changed("--game", "kuhn_pokr"), "unknown game 'kuhn_pokr'; did you mean kuhn_poker"),
        (changed("--rounds", "0"), "--rounds is 0; expected"),
        (changed("tournament", "round-robbin"), "unknown format 'round-robbin'; did you mean round-robin"),
        (changed("--rounds", "many"), "--rounds"),
        ([*GOOD, "--sed", "1"], "--seed"),
        ([*GOOD, "--in-flight", "0"], "--in-flight is 0; expected"),
        ([*GOOD, "--rules.then", "cry"], "--rules.then"),
        (GOOD[:-2], "--out"),
        (changed("--out", "/dev/null/x"), "cannot write to --out /dev/null/x"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(tmp_path, capsys, words, expected):
    assert main([word.format(out=tmp_path / "out") for word in words]) == 2
    out, err = capsys.readouterr()
    assert expected in err
    assert len(err.strip().splitlines()) == 1
    assert out == ""
    assert not (tmp_path / "out").exists()


def test_the_folder_of_another_tournament(tmp_path, capsys):
    words = [word.format(out=tmp_path / "out") for word in GOOD]
    assert main(words) == 0
    capsys.readouterr()
    for more, expected in (
        ([], "add --resume to go on"),
        (["--resume", "--seed", "1"], "its seed is 0, not 1"),
        (["--resume", "--rounds", "2"], "begun with 3"),
    ):
        assert main([*words, *more]) == 2
        assert expected in capsys.readouterr().err
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "thesis.txt").write_text("mine")
    assert main(changed("--out", str(tmp_path / "papers"))) == 2
    assert "is not empty and holds no tournament" in capsys.readouterr().err


def test_json_is_the_last_line_of_stdout(tmp_path, capsys):
    words = [word.format(out=tmp_path / "out") for word in GOOD]
    assert main([*words, "--json"]) == 0
    out, err = capsys.readouterr()
    made = json.loads(out.splitlines()[-1])
    assert len(out.splitlines()) == 1
    assert made["matches"] == made["planned"] == 6
    assert made["balanced"] is True
    assert {agent["name"] for agent in made["agents"]} == {"random", "cfr"}
    assert made["against"]["random"]["cfr"]["mean"] == -made["against"]["cfr"]["random"]["mean"]
    assert "seats balanced: 3 matches an agent and seat; 3 of 3 deals" in err
    assert main([*words, "--json", "--resume"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == made
