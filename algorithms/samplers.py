"""Which matches a method learns from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from algorithms.parts import PLAYER, Sampler
from marl_llm.algorithm import Setup
from marl_llm.matches import Match, self_play
from marl_llm.seeding import fold


@dataclass(frozen=True, kw_only=True)
class SelfPlay(Sampler):
    """The player holds every seat."""

    matches: int = 4096
    """Matches a game and iteration."""
    opening: int = 0
    """Longest opening, half of whose moves are random, so that play which narrows onto a few lines still meets the rest; all
    lengths from 0 on are equally frequent. 0 for games with chance enough of their own."""

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


@dataclass(frozen=True, kw_only=True)
class Groups(Sampler):
    """Self-play in which every deal is played several times, for credits that compare matches on one deal."""

    deals: int = 64
    """Deals a game and iteration."""
    size: int = 8
    """Matches a deal."""

    def plan(self, step: int, setup: Setup) -> Sequence[Match]:
        return [
            replace(match, sample=sample)
            for k, spec in enumerate(setup.games)
            for match in self_play(spec, PLAYER, setup.load(spec).info.seats, self.deals, fold(setup.seed, step, k))
            for sample in range(1, self.size + 1)
        ]
