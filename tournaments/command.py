"""``marl-llm tournament FORMAT``: the host from the command line."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import tyro
from rich.console import Console

from marl_llm import registry
from marl_llm.config import parse
from marl_llm.errors import UserError
from marl_llm.matches import Rules
from tournaments import difference, export, openings
from tournaments.clocks import Clock
from tournaments.formats import FORMATS, Tournament
from tournaments.host import host
from tournaments.shown import show
from tournaments.sprt import Sprt


@dataclass(frozen=True)
class Options:
    """Command line of ``marl-llm tournament``."""

    format: tyro.conf.Positional[str]
    """How agents meet."""
    game: str
    """The game, as in ``marl-llm games``."""
    agents: str
    """Two or more agents, separated by commas."""
    out: Path
    """Folder of the results."""
    rounds: int = 100
    """Deals; each is played in every seating of the format. Of swiss rounds of --stage deals, of sprt the most deals."""
    stage: int = 16
    """Deals of a swiss round, and between two looks of sprt at the results."""
    openings: Path | None = None
    """A file with a line of first moves for each opening; deals take them in turn."""
    seed: int = 0
    """The deals and all random draws follow from it."""
    rules: Rules = field(default_factory=lambda: Rules(retries=1, then="forfeit"))
    """What follows a fault: attempts at the same turn, then a random move, the game lost, or the match void."""
    clock: Clock = field(default_factory=Clock)
    """Seconds for a move, and for all moves of an agent in a match; later is a timeout."""
    sprt: Sprt = field(default_factory=Sprt)
    """What sprt decides between."""
    resume: bool = False
    """Go on with the tournament in ``out``."""
    in_flight: int = 256
    """Matches played at once."""
    since: Path | None = None
    """Folder of another tournament; tell what is different here."""
    export: tuple[Path, ...] = ()
    """Files to write the matches to: .jsonl, .csv, or for chess .pgn."""
    json: bool = False
    """Print the report as one JSON object, the last line of stdout."""


def main(argv: Sequence[str]) -> int:
    """The command; 0 when the tournament is complete, 130 when it was interrupted."""
    formats = "; ".join(f"{name}: {format.summary}" for name, format in FORMATS.items())
    about = f"Let agents meet on equal terms, and rate them. Formats are {formats}."
    options = parse(Options, argv, prog="marl-llm tournament", description=about)
    if options.in_flight < 1:
        raise UserError(f"--in-flight is {options.in_flight}; expected a number of matches, at least 1")
    game = registry.game(options.game)
    for file in options.export:
        export.check(file, game)
    before = None if options.since is None else difference.read(options.since)
    tournament = Tournament(
        format=options.format,
        game=game.spec,
        agents=tuple(name.strip() for name in options.agents.split(",") if name.strip()),
        rounds=options.rounds,
        seed=options.seed,
        stage=options.stage,
        openings=() if options.openings is None else openings.read(options.openings, game, options.seed),
        rules=options.rules,
        clock=options.clock,
        sprt=options.sprt,
    )
    try:
        made = host(tournament, folder=options.out, resume=options.resume, in_flight=options.in_flight)
    except KeyboardInterrupt:
        again = [word for word in argv if word != "--resume"]
        print(f"interrupted; nothing finished is lost. Go on with: marl-llm tournament {shlex.join(again)} --resume", file=sys.stderr)
        return 130
    for file in options.export:
        export.write(file, options.out, game)
    console = Console(stderr=options.json, markup=False, highlight=False)
    if not console.is_terminal:
        console.width = 80 + 24 * len(tournament.agents)  # a table in a file is read without a window's edge
    show(made, console)
    figures = made.json()
    if before is not None:
        changes = difference.difference(difference.read(options.out), before)
        difference.show(changes, console)
        figures["since"] = [change.json() for change in changes]
    if options.json:
        print(json.dumps(figures))
    return 0
