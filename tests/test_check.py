"""``marl-llm check-game``: what it prints, and its exit codes. The rules themselves are tested in games/test_hostile.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from marl_llm.check import RULES, check_game, main
from marl_llm.errors import UserError
from marl_llm.registry import game

BAD = """
from marl_llm.game import Discrete, Game, GameInfo, State, View

class Countdown(State):
    left = 3
    def to_act(self): return (0,) if self.left else ()
    def legal(self, seat): return [0, 1]
    def apply(self, moves): self.left -= 1
    def returns(self): return [float(self.left), 1.0]
    def view(self, seat): return View(text=lambda: f"{self.left} left")

class Bad(Game):
    info = GameInfo(name="countdown", seats=1, returns=(0, 3), max_decisions=3, action=Discrete(2))
    def start(self, seed): return Countdown()
"""


def test_a_game_that_holds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kuhn_poker", "--matches", "3"]) == 0
    out = capsys.readouterr().out
    assert "kuhn_poker keeps the contract (3 matches)" in out
    assert out.count("holds") == len(RULES) - 2  # no team, no next_legal


def test_a_game_that_breaks_a_rule(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.py").write_text(BAD)
    spec = f"{tmp_path}/bad.py:Bad"
    assert main([spec]) == 1
    out = capsys.readouterr().out
    assert "BROKEN returns" in out
    assert "returns() gave [3.0, 1.0]; expected 1 finite numbers (seed " in out
    assert main([spec, "--json"]) == 1
    captured = capsys.readouterr()
    found = json.loads(captured.out.strip().splitlines()[-1])
    (broken,) = [finding for finding in found["findings"] if finding["holds"] is False]
    assert broken["rule"] == "returns"
    assert broken["moves"] == []
    assert isinstance(broken["seed"], int)
    with pytest.raises(AssertionError, match="countdown: returns"):
        check_game(game(spec)).require()


def test_an_unknown_game_is_one_line() -> None:
    with pytest.raises(UserError, match="did you mean kuhn_poker"):
        main(["kuhn_pokr"])


def test_reports_are_repeatable() -> None:
    assert check_game(game("leduc_poker"), matches=2, seed=5) == check_game(game("leduc_poker"), matches=2, seed=5)
