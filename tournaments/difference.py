"""What has changed between two tournaments: payoffs of the agents that were in both, with intervals."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot
from pathlib import Path

from rich.console import Console
from rich.table import Table

from marl_llm import registry
from marl_llm.errors import UserError
from marl_llm.intervals import Interval
from marl_llm.matches import Rules
from tournaments.clocks import Clock
from tournaments.formats import Tournament
from tournaments.report import Report, report
from tournaments.sprt import Sprt
from tournaments.store import SETTINGS, Store


@dataclass(frozen=True)
class Change:
    """The payoff of an agent, against one other or (None) against all, before and now, and the difference."""

    agent: str
    other: str | None
    before: Interval
    now: Interval

    @property
    def difference(self) -> Interval:
        """Now less before; the tournaments count as independent."""
        mean = self.now.mean - self.before.mean
        half = hypot((self.now.high - self.now.low) / 2, (self.before.high - self.before.low) / 2)
        return Interval(mean, mean - half, mean + half, min(self.now.n, self.before.n))

    def json(self) -> dict[str, object]:
        """For a JSON object."""
        told = {name: getattr(self, name).json() for name in ("before", "now", "difference")}
        return {"agent": self.agent, "against": self.other, **told}


def read(folder: Path) -> Report:
    """The report of the tournament in ``folder``, as far as it has come; UserError where there is none."""
    try:
        said = json.loads((folder / SETTINGS).read_text())
        tournament = Tournament(
            **said
            | {
                "agents": tuple(said["agents"]),
                "openings": tuple(tuple(map(tuple, opening)) for opening in said["openings"]),
                "rules": Rules(**said["rules"]),
                "clock": Clock(**said["clock"]),
                "sprt": Sprt(**said["sprt"]),
            }
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"--since {folder} holds no tournament; expected a folder that marl-llm tournament wrote") from error
    info = registry.game(tournament.game).info
    with Store(tournament, info.seats, folder, resume=True) as store:
        return report(tournament, info, store.results(), {})


def difference(now: Report, before: Report) -> list[Change]:
    """Changes of all agents that were in both, then of every two that met in both. UserError where the games differ."""
    if now.tournament.game != before.tournament.game:
        raise UserError(f"--since holds a tournament on {before.tournament.game}, and this one is on {now.tournament.game}")
    both = [name for name in now.names if name in before.names]
    here, there = ({name: i for i, name in enumerate(of.names)} for of in (now, before))
    alone = [Change(name, None, before.standings[there[name]].payoff, now.standings[here[name]].payoff) for name in both]
    pairs = [
        Change(name, other, before.against[there[name]][there[other]], now.against[here[name]][here[other]])
        for name in both
        for other in both
    ]
    return [change for change in (*alone, *pairs) if change.before.n and change.now.n]


def show(changes: Sequence[Change], console: Console) -> None:
    """Print the changes."""
    table = Table("changed", "against", "before", "now", "difference", "", box=None)
    for change in changes:
        sure = "*" if change.difference.low > 0 or change.difference.high < 0 else ""
        table.add_row(change.agent, change.other or "all", str(change.before), str(change.now), str(change.difference), sure)
    console.print(table)
