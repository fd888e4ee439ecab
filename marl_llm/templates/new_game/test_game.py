"""The game keeps the rules of the contract, and plays."""

from __future__ import annotations

from marl_llm import registry
from marl_llm.agents.pool import AgentPool
from marl_llm.check import check_game
from marl_llm.matches import self_play
from marl_llm.play import play
from marl_llm.templates.new_game.game import NewGame


def test_rules() -> None:
    check_game(NewGame()).require()


def test_self_play() -> None:
    matches = self_play("marl_llm.templates.new_game.game:NewGame", "random", seats=2, count=50, seed=0)
    (batch,) = play(matches, AgentPool(), registry.game)
    assert len(batch) == 50
    assert batch["seat.return"].reshape(50, 2).sum(1).tolist() == [0.0] * 50
