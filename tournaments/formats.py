"""What is to be played: a tournament as data, and its schedule of matches, the same for everyone who has the data.

A schedule is a sequence of stages: a stage is played to its end before the next is asked for, which may look at its results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import isfinite

from marl_llm.errors import UserError, unknown
from marl_llm.game import GameInfo, Spec
from marl_llm.matches import Match, Rules, deal_seed
from tournaments import tables
from tournaments.clocks import Clock
from tournaments.results import Results
from tournaments.sprt import Sprt, Verdict, verdict
from tournaments.swiss import Standings

Read = Callable[[Iterable[Match]], Results]
"""The results of matches that have been played."""
Stages = Iterator[Iterable[Match]]


@dataclass(frozen=True, kw_only=True)
class Tournament:
    """Agents that meet on one game. A fault follows ``rules``.

    ``rounds`` is the number of deals; of swiss the number of rounds, each of ``stage`` deals; of sprt the most deals, with a look at
    the results after every ``stage``. ``openings`` are first moves, of every seat, which deals take in turn.
    """

    format: str = "round-robin"
    game: Spec
    agents: tuple[str, ...]
    rounds: int
    seed: int = 0
    stage: int = 16
    openings: tuple[tuple[tuple[int, ...], ...], ...] = ()
    rules: Rules = Rules(retries=1, then="forfeit")  # noqa: RUF009  # frozen
    clock: Clock = Clock()  # noqa: RUF009  # frozen
    sprt: Sprt = Sprt()  # noqa: RUF009  # frozen

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise unknown("format", self.format, FORMATS)
        twice = sorted({agent for agent in self.agents if self.agents.count(agent) > 1})
        if twice:
            raise UserError(f"agent {twice[0]!r} is named more than once; name every agent once")
        if len(self.agents) < 2:
            raise UserError(f"--agents {','.join(self.agents)!r} names {len(self.agents)}; a tournament needs at least two, as in A,B")
        for name, value in (("rounds", self.rounds), ("stage", self.stage)):
            if value < 1:
                raise UserError(f"--{name} is {value}; expected a number of deals, at least 1")

    def stages(self, info: GameInfo, read: Read) -> Stages:
        """All matches, in order, stage after stage. UserError where the format does not suit the game or the number of agents."""
        FORMATS[self.format].check(self, info)
        return FORMATS[self.format].stages(self, info, read)

    def planned(self, info: GameInfo) -> int:
        """The number of matches; of sprt the most there can be."""
        return FORMATS[self.format].planned(self, info)

    def on_deal(self, k: int, seatings: Iterable[tuple[str, ...]]) -> Iterator[Match]:
        """The matches of the ``k``-th deal: everyone plays the same deal, from the same opening."""
        seed = deal_seed(self.seed, k)
        history = self.openings[k % len(self.openings)] if self.openings else ()
        for table in seatings:
            yield Match(game=self.game, seed=seed, players=table, history=history, rules=self.rules)


@dataclass(frozen=True)
class Format:
    """How agents meet."""

    summary: str
    stages: Callable[[Tournament, GameInfo, Read], Stages]
    planned: Callable[[Tournament, GameInfo], int]
    check: Callable[[Tournament, GameInfo], None] = lambda tournament, info: None
    same_company: bool = True
    """Whether all agents meet the same others, so that their payoffs compare."""


def _fixed(summary: str, seated: Callable[[Tournament, GameInfo], tables.Tables], *, same_company: bool = True) -> Format:
    """Every deal is played by the same tables."""

    def stages(tournament: Tournament, info: GameInfo, read: Read) -> Stages:
        every = seated(tournament, info)
        yield (match for k in range(tournament.rounds) for match in tournament.on_deal(k, every))

    return Format(summary, stages, lambda tournament, info: tournament.rounds * len(seated(tournament, info)), same_company=same_company)


def _shuffled(tournament: Tournament, info: GameInfo, read: Read) -> Stages:
    yield (
        match
        for k in range(tournament.rounds)
        for match in tournament.on_deal(k, tables.balanced(tournament.agents, info.seats, tournament.seed, k))
    )


def _swiss(tournament: Tournament, info: GameInfo, read: Read) -> Stages:
    standings = Standings(tournament.agents)
    for number in range(tournament.rounds):
        paired = standings.pair(info.seats)
        seated = [turned for table in paired for turned in tables.rotations([tournament.agents[i] for i in table])]
        deals = range(number * tournament.stage, (number + 1) * tournament.stage)
        stage = [match for k in deals for match in tournament.on_deal(k, seated)]
        yield stage
        standings.add(paired, read(stage))


def _sprt(tournament: Tournament, info: GameInfo, read: Read) -> Stages:
    played: list[Match] = []
    for first in range(0, tournament.rounds, tournament.stage):
        deals = range(first, min(first + tournament.stage, tournament.rounds))
        stage = [match for k in deals for match in tournament.on_deal(k, tables.rotations(tournament.agents))]
        yield stage
        played += stage
        if verdict(tournament.sprt, info, read(played), tournament.agents).answer != "undecided":
            return


def judged(tournament: Tournament, info: GameInfo, results: Results) -> Verdict | None:
    """What the test of an sprt says."""
    return verdict(tournament.sprt, info, results, tournament.agents) if tournament.format == "sprt" else None


def _fill(tournament: Tournament, info: GameInfo) -> None:
    if len(tournament.agents) < info.seats:
        raise UserError(
            f"format {tournament.format!r} fills tables of {info.seats} with different agents, and --agents names "
            f"{len(tournament.agents)}; name more, or use round-robin or teams"
        )


def _two(tournament: Tournament, info: GameInfo) -> None:
    if len(tournament.agents) != 2 or info.seats != 2:
        raise UserError(
            f"format 'sprt' is for 2 agents on 2 seats; got {len(tournament.agents)} agents, and {info.name} has {info.seats} seats"
        )
    if not isfinite(info.returns[1] - info.returns[0]):
        raise UserError(f"format 'sprt' scores payoffs between the worst and the best, and {info.name} has no bounds; use round-robin")


FORMATS = {
    "round-robin": _fixed("every ordered table of different agents", lambda t, info: tables.every_seating(t.agents, info.seats)),
    "gauntlet": _fixed("the first agent against all others", lambda t, info: tables.against_pool(t.agents, info.seats), same_company=False),
    "teams": _fixed("agents as teams, or mixed in all proportions", lambda t, info: tables.mixed_teams(t.agents, info)),
    "tables": Format(
        "agents shuffled into tables, everyone in every seat",
        _shuffled,
        lambda t, info: t.rounds * (len(t.agents) // info.seats * info.seats),
        _fill,
    ),
    "swiss": Format(
        "each round against agents that have done as well",
        _swiss,
        lambda t, info: t.rounds * t.stage * (len(t.agents) // info.seats * info.seats),
        _fill,
        same_company=False,
    ),
    "sprt": Format("the first agent against the second, until one is sure", _sprt, lambda t, info: 2 * t.rounds, _two),
}
