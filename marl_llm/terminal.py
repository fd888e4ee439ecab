"""``marl-llm play GAME``: one match between a person in the terminal and an agent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import tyro

from marl_llm import registry
from marl_llm.agents.pool import AgentPool
from marl_llm.config import parse
from marl_llm.errors import UserError
from marl_llm.matches import Match
from marl_llm.play import play


@dataclass(frozen=True)
class Settings:
    game: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="GAME")]
    """a game's name or spec"""
    against: str = "random"
    """the agent in every other seat"""
    seat: int = 0
    """your seat"""
    seed: int = 0
    """the deal"""


def main(argv: Sequence[str]) -> int:
    settings = parse(Settings, argv, prog="marl-llm play", description="Play a game yourself; Ctrl-D leaves.")
    game = registry.game(settings.game)
    seats, seat = game.info.seats, settings.seat
    if not 0 <= seat < seats:
        raise UserError(f"--seat {seat}: {game.info.name} has {seats} seats; expected 0 to {seats - 1}")
    players = tuple("human" if other == seat else settings.against for other in range(seats))
    pool = AgentPool()
    pool.resolve(settings.against)  # an unknown name is told before the match
    print(game.rules(seat))
    match = Match(game=game.spec, seed=settings.seed, players=players)
    (batch,) = play([match], pool, registry.game)
    episode = batch.episode(0)
    if episode.error:
        raise UserError(f"{game.info.name} broke off: {episode.error}; marl-llm check-game {game.spec} tells more")
    mine = episode.returns[seat]
    returns = ", ".join(f"seat {i} ({name}) {value:g}" for i, (name, value) in enumerate(zip(players, episode.returns, strict=True)))
    print(f"\nThe match is over: {returns}. You {'gain' if mine > 0 else 'lose' if mine < 0 else 'end even at'} {abs(mine):g}.")
    return 0
