"""What a turn is worth, in named channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from algorithms.groups import outcome
from algorithms.parts import Memory, RewardTransform
from marl_llm.agent import ILLEGAL, OK
from marl_llm.agents.pool import AgentPool
from marl_llm.game import Game
from marl_llm.matches import self_play
from marl_llm.play import play
from marl_llm.records import Batch

RANDOM_MATCHES = 1024
"""Matches of random play that a game's unit is measured on."""


@dataclass(frozen=True, kw_only=True)
class GameReward(RewardTransform):
    """Channel ``turn.game``: the game's own reward in its unit. Channel ``turn.format``: what the form of an answer earns; it is
    a channel of its own, so that penalties enter no statistic of the game's rewards. Channel ``seat.outcome``: the sum of both over
    a seat's turns of a match."""

    scaled: bool = True
    """In units of the game (``unit_of``), so that settings carry over between games; else as the game pays."""
    legal: float = 0.0
    illegal: float = -0.5
    """For an answer that was read but is no legal move."""
    unparsable: float = -1.0
    """For one that could not be read, or was cut."""

    @property
    def writes(self) -> tuple[str, ...]:
        return "turn.game", "turn.format", "seat.outcome"

    def channels(self, batch: Batch, units: Mapping[str, float], memory: Memory) -> Batch:
        unit = np.asarray([units[spec] if self.scaled else 1.0 for spec in batch.tables["game"]])
        game = batch["turn.reward"] / unit[batch["match.game"][batch.up("turn", "match")]]
        fault = batch["turn.fault"]
        form = np.select([fault == OK, fault == ILLEGAL], [self.legal, self.illegal], self.unparsable)
        paid = batch.with_columns(**{"turn.game": game, "turn.format": form})
        return paid.with_columns(**{"seat.outcome": outcome(paid, "turn.game") + outcome(paid, "turn.format")})


def unit_of(game: Game) -> float:
    """The standard deviation of a seat's return when all seats play at random; where chance play never differs, half the range
    of returns, or 1 without a range."""
    seats, load = game.info.seats, lambda spec: game
    batch = Batch.concat(play(self_play(game.spec, "random", seats, RANDOM_MATCHES, 0), AgentPool({}), load, in_flight=1024, keys=False))
    spread = float(batch["seat.return"].std())
    half = (game.info.returns[1] - game.info.returns[0]) / 2
    return spread if spread > 0 else half if 0 < half < np.inf else 1.0
