"""What is to be played: a tournament as data, and its schedule of matches, the same for everyone who has the data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from marl_llm.errors import UserError, unknown
from marl_llm.game import GameInfo, Spec
from marl_llm.matches import Match, Rules, round_robin, seatings


@dataclass(frozen=True, kw_only=True)
class Tournament:
    """Agents that meet on one game. ``rounds`` is the number of deals; a fault follows ``rules``."""

    format: str = "round-robin"
    game: Spec
    agents: tuple[str, ...]
    rounds: int
    seed: int = 0
    rules: Rules = Rules(retries=1, then="forfeit")  # noqa: RUF009  # frozen

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise unknown("format", self.format, FORMATS)
        twice = sorted({agent for agent in self.agents if self.agents.count(agent) > 1})
        if twice:
            raise UserError(f"agent {twice[0]!r} is named more than once; name every agent once")
        if len(self.agents) < 2:
            raise UserError(f"--agents {','.join(self.agents)!r} names {len(self.agents)}; a tournament needs at least two, as in A,B")
        if self.rounds < 1:
            raise UserError(f"--rounds is {self.rounds}; expected a number of deals, at least 1")

    def tables(self, info: GameInfo) -> list[tuple[str, ...]]:
        """The seatings that every deal is played by."""
        return FORMATS[self.format].tables(self.agents, info.seats)

    def matches(self, info: GameInfo) -> Iterator[Match]:
        """All matches, in order."""
        return FORMATS[self.format].matches(self, info.seats)


@dataclass(frozen=True)
class Format:
    """How a format seats its agents, and the matches this makes."""

    tables: Callable[[tuple[str, ...], int], list[tuple[str, ...]]]
    matches: Callable[[Tournament, int], Iterator[Match]]


FORMATS = {
    "round-robin": Format(seatings, lambda t, seats: round_robin(t.game, t.agents, seats, t.rounds, t.seed, t.rules)),
}
