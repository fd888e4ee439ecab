"""Exports hold every match that stands, once; a chess game reads back move by move; two tournaments are told apart."""

import csv
import json
import sys

import chess.pgn
import pytest

from marl_llm import registry
from marl_llm.agents.random import RandomAgent
from marl_llm.cli import main
from marl_llm.errors import MissingExtra, UserError
from tests.tournaments.players import First
from tournaments import difference, export
from tournaments.formats import Tournament
from tournaments.host import host
from tournaments.store import RESULTS

LIVE = {"a": RandomAgent(), "b": First()}


def hosted(folder, game, rounds, seed=0, live=LIVE):
    return host(Tournament(game=game, agents=tuple(live), rounds=rounds, seed=seed), live=live, folder=folder)


def test_lines_and_rows(tmp_path):
    report = hosted(tmp_path / "out", "kuhn_poker", 6)
    record = tmp_path / "out" / RESULTS
    lines = record.read_text().splitlines(keepends=True)
    void = json.loads(lines[0]) | {"id": "00000000000000ff", "end": "void"}
    record.write_text("".join([*lines, lines[0], json.dumps(void) + "\n"]))
    game = registry.game("kuhn_poker")
    for name in ("games.jsonl", "games.csv"):
        export.check(tmp_path / name, game)
        export.write(tmp_path / name, tmp_path / "out", game)
    assert (tmp_path / "games.jsonl").read_text() == "".join(lines)
    rows = list(csv.DictReader((tmp_path / "games.csv").open()))
    assert len(rows) == 2 * report.matches == 24
    gained = sum(float(row["payoff"]) for row in rows if row["agent"] == "a")
    assert gained / 12 == pytest.approx(report.standings[0].payoff.mean)


def test_chess_reads_back(tmp_path):
    hosted(tmp_path / "out", "openspiel:chess", 1)
    game = registry.game("openspiel:chess")
    export.check(tmp_path / "games.pgn", game)
    export.write(tmp_path / "games.pgn", tmp_path / "out", game)
    results = [json.loads(line) for line in (tmp_path / "out" / RESULTS).read_text().splitlines()]
    with (tmp_path / "games.pgn").open() as file:
        for result in results:
            sheet = chess.pgn.read_game(file)
            assert not sheet.errors
            assert sheet.end().ply() == len(result["moves"]) > 0
            white = result["players"].index(sheet.headers["White"])
            assert sheet.headers["Result"] == {1.0: "1-0", 0.0: "1/2-1/2", -1.0: "0-1"}[result["returns"][white]]
            board = sheet.end().board()
            if board.is_checkmate():
                assert board.result() == sheet.headers["Result"]
        assert chess.pgn.read_game(file) is None


def test_files_that_cannot_be_written_are_named_first(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"ends in \.txt; expected one of \.jsonl, \.csv, \.pgn"):
        export.check(tmp_path / "games.txt", registry.game("kuhn_poker"))
    with pytest.raises(UserError, match="is a file of chess, and the game is kuhn_poker"):
        export.check(tmp_path / "games.pgn", registry.game("kuhn_poker"))
    monkeypatch.setitem(sys.modules, "chess.pgn", None)
    with pytest.raises(MissingExtra, match="pip install 'marl-llm\\[chess\\]'"):
        export.check(tmp_path / "games.pgn", registry.game("openspiel:chess"))


def test_two_tournaments_are_told_apart(tmp_path):
    hosted(tmp_path / "before", "kuhn_poker", 40)
    hosted(tmp_path / "now", "kuhn_poker", 40, live={"a": First(), "b": First(), "c": RandomAgent()})
    hosted(tmp_path / "other", "kuhn_poker", 40, seed=1, live={"a": First(), "b": First(), "c": RandomAgent()})
    before, now, other = (difference.read(tmp_path / name) for name in ("before", "now", "other"))
    changes = {(change.agent, change.other): change for change in difference.difference(now, before)}
    assert set(changes) == {("a", None), ("b", None), ("a", "b"), ("b", "a")}
    change = changes["a", "b"]
    assert change.difference.mean == pytest.approx(now.report.against[0][1].mean - before.report.against[0][1].mean)
    assert change.difference.low < change.difference.mean < change.difference.high
    assert change.difference.n == 40  # deals, one by one
    assert all(same.difference[:3] == (0, 0, 0) for same in difference.difference(now, now))
    apart = {(change.agent, change.other): change for change in difference.difference(other, before)}["a", "b"]
    assert apart.difference.n == 80  # on other deals, match by match
    hosted(tmp_path / "leduc", "leduc_poker", 2)
    with pytest.raises(UserError, match="is on leduc_poker"):
        difference.difference(difference.read(tmp_path / "leduc"), before)


def test_the_command_exports_and_compares(tmp_path, capsys):
    words = ["tournament", "gauntlet", "--game", "kuhn_poker", "--agents", "cfr,random", "--rounds", "5"]
    assert main([*words, "--out", str(tmp_path / "one")]) == 0
    more = ["--seed", "1", "--since", str(tmp_path / "one"), "--export", str(tmp_path / "x" / "games.csv"), "--json"]
    assert main([*words, "--out", str(tmp_path / "two"), *more]) == 0
    out, err = capsys.readouterr()
    made = json.loads(out.splitlines()[-1])
    assert made["format"] == "gauntlet"
    assert {(change["agent"], change["against"]) for change in made["since"]} >= {("cfr", None), ("cfr", "random")}
    assert made["agents"][0]["exploitability"] < 0.01 < made["agents"][1]["exploitability"]
    assert "difference" in err
    assert len((tmp_path / "x" / "games.csv").read_text().splitlines()) == 1 + 2 * made["matches"]
    assert main([*words, "--out", str(tmp_path / "three"), "--since", str(tmp_path / "none")]) == 2
    assert "holds no tournament" in capsys.readouterr().err
    assert not (tmp_path / "three").exists()
