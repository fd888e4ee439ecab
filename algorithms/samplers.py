"""Which matches a method learns from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from algorithms.parts import PLAYER, Sampler
from marl_llm.algorithm import Setup
from marl_llm.matches import Match, self_play
from marl_llm.seeding import fold


@dataclass(frozen=True, kw_only=True)
class SelfPlay(Sampler):
    """The player holds every seat. ``matches`` a game and iteration; ``opening`` random moves start each match, so that
    play which narrows onto a few lines still meets the rest (0 for games with chance enough of their own)."""

    matches: int = 4096
    opening: int = 0

    def plan(self, step: int, setup: Setup) -> Sequence[Match]:
        planned: list[Match] = []
        for k, spec in enumerate(setup.games):
            seats = setup.load(spec).info.seats
            deals = fold(setup.seed, step, k)
            if not self.opening:
                planned += self_play(spec, PLAYER, seats, self.matches, deals)
            else:  # every length of opening from none to the longest, equally often
                share = self.matches // (self.opening + 1)
                for length in range(self.opening + 1):
                    planned += self_play(spec, PLAYER, seats, share, fold(deals, length), opening=length)
        return planned
