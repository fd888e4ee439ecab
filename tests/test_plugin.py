"""A game that is not in this repository, plugged in by file, by module, and by the entry point of an installed package:
checked, trained on, and hosted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from marl_llm import cli, registry

GAME = '''
"""Guess: a card from 1 to 3 is dealt to seat 0, who says high or low; seat 1 believes it or not."""

from marl_llm.game import Discrete, Game, GameInfo, State, View


class Guess(Game):
    def __init__(self, cards=3):
        self.cards = cards
        self.info = GameInfo(
            name="guess", seats=2, returns=(-1, 1), max_decisions=2, action=Discrete(2), utility="zero_sum", vector=(cards + 3,),
            rewards_at_end=True, enumerable=True, key_kind="information",
            summary="Say whether your card is the highest; be believed or not.",
        )

    def start(self, seed):
        return Deal(self.cards)


class Deal(State):
    def __init__(self, cards):
        self.cards, self.card, self.moves = cards, None, []

    def chance(self):
        return [(card, 1 / self.cards) for card in range(self.cards)] if self.card is None else []

    def apply_chance(self, card):
        self.card = card

    def to_act(self):
        return (len(self.moves),) if self.card is not None and len(self.moves) < 2 else ()

    def legal(self, seat):
        return (0, 1)

    def apply(self, moves):
        self.moves += moves.values()

    def returns(self):
        if len(self.moves) < 2:
            return (0, 0)
        said, believed = self.moves
        right = (said == (self.card == self.cards - 1)) == bool(believed)
        return (-1, 1) if right else (1, -1)

    def view(self, seat):
        known = f"Your card is {self.card + 1} of {self.cards}." if seat == 0 else f"The other says {self.moves and WORDS[self.moves[0]]}."
        mine = [float(seat == 0 and card == self.card) for card in range(self.cards)]
        said = self.moves[:1] if seat == 1 else []
        vector = [*mine, float(seat), *(float(said == [move]) for move in (0, 1))]
        return View(text=lambda: known, vector=lambda: vector, key=lambda: f"{seat}: {known}")

    def action_text(self, seat, action):
        return WORDS[action] if seat == 0 else ANSWERS[action]


WORDS, ANSWERS = ("low", "high"), ("doubt", "believe")
'''


def jobs(spec: str, out: str) -> list[list[str]]:
    """Check it, train on it, host it."""
    return [
        ["check-game", spec],
        ["train", "ppo", "--game", spec, "--steps", "2", "--out", f"{out}/run", "--sampler.matches", "64"],
        ["tournament", "round-robin", "--game", spec, "--agents", f"checkpoint:{out}/run,random", "--rounds", "4", "--out", f"{out}/table"],
    ]


def test_by_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "guess.py").write_text(GAME)
    monkeypatch.chdir(tmp_path)
    for words in jobs("guess.py:Guess(cards=4)", "out"):
        assert cli.main(words) == 0, words
    assert registry.game("guess.py:Guess(cards=4)").info.vector == (7,)


def test_by_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "guess_module.py").write_text(GAME)
    monkeypatch.syspath_prepend(str(tmp_path))
    for words in jobs("guess_module:Guess", str(tmp_path)):
        assert cli.main(words) == 0, words


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder into which pip has installed a package with the game, made by new-game; its project stands beside."""
    assert cli.main(["new-game", "guess", "--into", str(tmp_path)]) == 0
    (tmp_path / "guess" / "src" / "guess" / "game.py").write_text(GAME)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--no-index",
        "--no-build-isolation",
    ]
    subprocess.run([*pip, "--target", str(tmp_path / "site"), str(tmp_path / "guess")], check=True)
    return tmp_path / "site"


def test_by_entry_point_of_an_installed_package(site: Path, tmp_path: Path) -> None:
    script = tmp_path / "jobs.py"
    every = [*jobs("guess", str(tmp_path)), ["games", "--json"]]
    script.write_text(f"from marl_llm.cli import main\nfor words in {every!r}:\n    assert main(words) == 0, words\n")
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (found,) = [game for game in json.loads(done.stdout.splitlines()[-1])["games"] if game["name"] == "guess"]
    assert found["from"] == "guess"
