"""A population of language seats that share one model, each told how the whole population chose: a mean field in words.

The split that seats are told is a running mean over iterations, mu <- (1 - rate) mu + rate * (the iteration's choices), as in fictitious
play of mean-field games (Cardaliaguet and Hadikhanloo 2017, arXiv 1507.06190); it begins even. All matches of an iteration are told
the same, so a population's decisions are as few as its distinct views, however many seats there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from algorithms.parts import PLAYER, Memory, Sampler
from marl_llm.algorithm import Requires, Setup, Unsuitable
from marl_llm.game import Game, actions
from marl_llm.matches import Match, self_play
from marl_llm.records import Batch
from marl_llm.seeding import fold

NAME = "share/{}"
"""Of an action's share, in memory."""


@dataclass(frozen=True, kw_only=True)
class Population(Sampler):
    """The player holds every seat of a population, a game whose seats are exchangeable."""

    matches: int = 32
    """Matches an iteration."""
    rate: float = 0.3
    """Share of an iteration's choices in the split that the next is told."""

    def plan(self, step: int, setup: Setup, memory: Memory) -> Sequence[Match]:
        game = _population(setup)
        return list(self_play(game.spec, PLAYER, game.info.seats, self.matches, fold(setup.seed, step)))

    def notes(self, setup: Setup, memory: Memory) -> tuple[str, ...]:
        game = _population(setup)
        count, state = actions(game.info), game.start(0)
        shares = [memory.get(NAME.format(action), 0.0 if memory else 1 / count) for action in range(count)]
        told = ", ".join(f"{state.action_text(0, action)} {share:.0%}" for action, share in enumerate(shares))
        return (f"Lately the players chose: {told}.",) * game.info.seats

    def accept(self, batch: Batch, memory: Memory) -> Batch:
        counts = np.bincount(batch["turn.action"][batch["turn.learn"].astype(bool)])
        now = {NAME.format(action): count / counts.sum() for action, count in enumerate(counts.tolist())}
        rate = self.rate if memory else 1.0
        for name in dict.fromkeys(chain(memory, now)):
            memory[name] = (1 - rate) * memory.get(name, 0.0) + rate * now.get(name, 0.0)
        return batch


def _population(setup: Setup) -> Game:
    """The one game of ``setup``; ``Unsuitable`` if its seats are not exchangeable, or there are several."""
    if len(setup.games) != 1:
        raise Unsuitable(f"a Population plays one game at a time; got {', '.join(setup.games)}; give one --game")
    game = setup.load(setup.games[0])
    Requires().check("a Population", game.info)
    if not game.info.anonymous:
        raise Unsuitable(f"a Population needs seats that are exchangeable; those of {game.info.name} are not; try congestion(seats=50)")
    return game
