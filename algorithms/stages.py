"""Curricula: games and opponents one after the other, from easy to hard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

from algorithms.groups import learning, success
from algorithms.parts import PLAYER, Memory
from algorithms.samplers import Around, against
from marl_llm.algorithm import Setup
from marl_llm.errors import UserError
from marl_llm.matches import Match
from marl_llm.records import Batch


@dataclass(frozen=True, kw_only=True)
class Stages(Around):
    """The games of the run in the order in which they were given, each against every opponent in turn. A stage ends when the player wins
    often enough, or after some iterations; the last one stays."""

    opponents: tuple[str, ...] = (PLAYER,)
    """From easy to hard; "self" is self-play, in which a zero-sum game is won half of the time."""
    promote: float = 0.6
    """Share of an iteration's matches that the player must win, a draw counting half; above 1 stages end by ``patience`` alone."""
    patience: int = 50
    """Most iterations of a stage."""

    def __post_init__(self) -> None:
        if not self.opponents:
            raise UserError('sampler.opponents is empty; expected names of agents, "self" for self-play')

    def stage(self, setup: Setup, memory: Memory) -> tuple[Setup, str]:
        """What is played now: one game, and the opponent there."""
        stages = list(product(setup.games, self.opponents))
        spec, opponent = stages[min(int(memory.get("stage", 0)), len(stages) - 1)]
        return replace(setup, games=(spec,)), opponent

    def plan(self, step: int, setup: Setup, memory: Memory) -> Sequence[Match]:
        here, opponent = self.stage(setup, memory)
        return _seated(super().plan(step, here, memory), opponent, step)

    def react(self, ended: Batch, step: int, setup: Setup, memory: Memory) -> Sequence[Match]:
        here, opponent = self.stage(setup, memory)
        return _seated(super().react(ended, step, here, memory), opponent, step)

    def accept(self, batch: Batch, memory: Memory) -> Batch:
        rate = float(success(batch)[learning(batch)].mean()) if learning(batch).any() else 0.0
        memory["iterations"] = memory.get("iterations", 0.0) + 1
        if rate >= self.promote or memory["iterations"] >= self.patience:
            memory["stage"], memory["iterations"] = memory.get("stage", 0.0) + 1, 0.0
        return super().accept(batch, memory)


def _seated(matches: Sequence[Match], opponent: str, step: int) -> list[Match]:
    """The player holds one seat of every deal, each in turn."""
    number: dict[int, int] = {}
    return [against(match, opponent, (step + number.setdefault(match.seed, len(number))) % len(match.players)) for match in matches]
