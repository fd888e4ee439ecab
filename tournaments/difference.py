"""What has changed between two tournaments: payoffs of the agents that were in both, with intervals.

Deals that both have played are compared one by one, so that their luck cancels; where there are fewer than two, the tournaments
count as independent.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from marl_llm import registry
from marl_llm.errors import UserError
from marl_llm.intervals import Interval, mean
from marl_llm.matches import Rules
from marl_llm.records import VOID
from tournaments.clocks import Clock
from tournaments.formats import Tournament
from tournaments.report import Report, report
from tournaments.results import Results
from tournaments.sprt import Sprt
from tournaments.store import SETTINGS, Store


@dataclass(frozen=True)
class Change:
    """The payoff of an agent, against one other or (None) against all, before and now, and now less before."""

    agent: str
    other: str | None
    before: Interval
    now: Interval
    difference: Interval

    def json(self) -> dict[str, object]:
        """For a JSON object."""
        told = {name: getattr(self, name).json() for name in ("before", "now", "difference")}
        return {"agent": self.agent, "against": self.other, **told}


@dataclass(frozen=True)
class Hosted:
    """A tournament in a folder, as far as it has come."""

    report: Report
    results: Results

    def payoff(self, agent: str, other: str | None) -> Interval:
        """Mean payoff of an agent, against one other or all."""
        i = self.report.names.index(agent)
        return self.report.standings[i].payoff if other is None else self.report.against[i][self.report.names.index(other)]

    def by_deal(self, agent: str, other: str | None) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The deals that an agent has played, in order, and its mean payoff on each."""
        names = self.report.names
        seated = self.results.seats(names)
        mine = (seated == names.index(agent)) & (self.results.end != VOID)[:, None]
        if other is not None:
            mine &= ((seated == names.index(other)).sum(1) > (agent == other))[:, None]
        row, seat = np.nonzero(mine)
        deals, place = np.unique(self.results.deal[row], return_inverse=True)
        return deals, np.bincount(place, self.results.returns[row, seat]) / np.bincount(place) if len(deals) else np.zeros(0)


def read(folder: Path) -> Hosted:
    """The tournament in ``folder``; UserError where there is none."""
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
        results = store.results()
    return Hosted(report(tournament, info, results, {}), results)


def difference(now: Hosted, before: Hosted) -> list[Change]:
    """Changes of all agents that were in both, then of every two that met in both. UserError where the games differ."""
    here, there = now.report.tournament.game, before.report.tournament.game
    if here != there:
        raise UserError(f"--since holds a tournament on {there}, and this one is on {here}; compare tournaments on one game")
    both = [name for name in now.report.names if name in before.report.names]
    pairs: list[tuple[str, str | None]] = [(name, None) for name in both]
    pairs += [(name, other) for name in both for other in both]
    met = [(*pair, before.payoff(*pair), now.payoff(*pair)) for pair in pairs]
    return [Change(name, other, was, is_, _apart(now, before, name, other)) for name, other, was, is_ in met if was.n and is_.n]


def _apart(now: Hosted, before: Hosted, agent: str, other: str | None) -> Interval:
    """Now less before."""
    (deals, gained), (old, got) = (of.by_deal(agent, other) for of in (now, before))
    shared, here, there = np.intersect1d(deals, old, return_indices=True)
    if len(shared) > 1:
        return mean(gained[here] - got[there])
    one, two = now.payoff(agent, other), before.payoff(agent, other)
    half = hypot((one.high - one.low) / 2, (two.high - two.low) / 2)
    return Interval(one.mean - two.mean, one.mean - two.mean - half, one.mean - two.mean + half, min(one.n, two.n))


def show(changes: Sequence[Change], console: Console) -> None:
    """Print the changes."""
    table = Table("changed", "against", "before", "now", "difference", "", box=None)
    for change in changes:
        sure = "*" if change.difference.low > 0 or change.difference.high < 0 else ""
        table.add_row(change.agent, change.other or "all", str(change.before), str(change.now), str(change.difference), sure)
    console.print(table)
