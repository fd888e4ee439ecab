"""Hosts a tournament: plays what is not yet in the store, whatever the agents do, and reports.

marl-llm tournament round-robin --game kuhn_poker --agents random,cfr --rounds 100 --out runs/kuhn
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import tyro
from rich.console import Console

from marl_llm import registry
from marl_llm.agent import Agent
from marl_llm.agents.guarded import Guarded
from marl_llm.agents.pool import AgentPool
from marl_llm.config import parse
from marl_llm.errors import UserError
from marl_llm.game import Game, Spec
from marl_llm.interrupt import interruptible
from marl_llm.matches import Rules
from marl_llm.play import play
from marl_llm.progress import progress
from tournaments.formats import Tournament
from tournaments.report import Report, report
from tournaments.results import results
from tournaments.store import Store


@dataclass(frozen=True)
class Options:
    """Command line of ``marl-llm tournament``."""

    format: tyro.conf.Positional[str]
    """How agents meet: round-robin."""
    game: str
    """The game, as in ``marl-llm games``."""
    agents: str
    """Two or more agents, separated by commas."""
    out: Path
    """Folder of the results."""
    rounds: int = 100
    """Deals; each is played by every ordered seating."""
    seed: int = 0
    """The deals and all random draws follow from it."""
    rules: Rules = field(default_factory=lambda: Rules(retries=1, then="forfeit"))
    """What follows a fault: attempts at the same turn, then a random move, the game lost, or the match void."""
    resume: bool = False
    """Go on with the tournament in ``out``."""
    in_flight: int = 256
    """Matches played at once."""
    json: bool = False
    """Print the report as one JSON object, the last line of stdout."""


def main(argv: Sequence[str]) -> int:
    """The command; 0 when the tournament is complete, 130 when it was interrupted."""
    options = parse(Options, argv, prog="marl-llm tournament", description="Let agents meet on equal terms, and rate them.")
    if options.in_flight < 1:
        raise UserError(f"--in-flight is {options.in_flight}; expected a number of matches, at least 1")
    tournament = Tournament(
        format=options.format,
        game=registry.game(options.game).spec,
        agents=tuple(name.strip() for name in options.agents.split(",") if name.strip()),
        rounds=options.rounds,
        seed=options.seed,
        rules=options.rules,
    )
    try:
        made = host(tournament, folder=options.out, resume=options.resume, in_flight=options.in_flight)
    except KeyboardInterrupt:
        again = [word for word in argv if word != "--resume"]
        print(f"interrupted; nothing finished is lost. Go on with: marl-llm tournament {shlex.join(again)} --resume", file=sys.stderr)
        return 130
    console = Console(stderr=options.json, markup=False, highlight=False)
    if not console.is_terminal:
        console.width = 60 + 24 * len(tournament.agents)  # a table in a file is read without a window's edge
    made.show(console)
    if options.json:
        print(json.dumps(made.json()))
    return 0


def round_robin(
    game: Spec, agents: Sequence[str], rounds: int, *, live: Mapping[str, Agent] | None = None, seed: int = 0, folder: Path | None = None
) -> Report:
    """Every agent meets every other in every seat, ``rounds`` deals each; ``live`` are agents that are no registry names."""
    return host(Tournament(game=game, agents=tuple(agents), rounds=rounds, seed=seed), live=live, folder=folder, resume=True)


def host(
    tournament: Tournament,
    *,
    live: Mapping[str, Agent] | None = None,
    folder: Path | None = None,
    resume: bool = False,
    in_flight: int = 256,
    load: Callable[[Spec], Game] = registry.game,
) -> Report:
    """Play a tournament to its end and report it.

    Unknown names and a folder in use are UserErrors before anything is played. An interrupt raises KeyboardInterrupt when
    what has finished is stored; a second one does so at once.
    """
    info = load(tournament.game).info
    pool = _Guards(AgentPool(live))
    for name in tournament.agents:
        pool.resolve(name)
    planned = tournament.rounds * len(tournament.tables(info))
    with Store(tournament, folder, resume=resume) as store, interruptible() as stop:
        plan = (match for match in tournament.matches(info) if not store.finished(match.id))
        done = sum(store.finished(match) for match in store.results)
        with progress(planned, "tournament", done=done) as bar:
            for batch in play(plan, pool, load, in_flight=in_flight, keys=False, seal_s=1.0, stop=stop):
                store.append(results(batch))
                bar.advance(len(batch))
        if stop():
            raise KeyboardInterrupt
        return report(tournament, info, store.results.values())


class _Guards:
    """A pool of guarded agents; a player is guarded once."""

    def __init__(self, pool: AgentPool) -> None:
        self.pool = pool
        self.made: dict[str, Guarded] = {}

    def resolve(self, player: str) -> Agent:
        if player not in self.made:
            self.made[player] = Guarded(self.pool.resolve(player), player)
        return self.made[player]
