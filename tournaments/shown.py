"""A report in the terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.table import Table

from marl_llm.agent import FAULTS
from tournaments.report import Report, Standing

MOST = 12
"""Companies that are shown."""


def show(report: Report, console: Console) -> None:
    """Print the tables, best payoff first."""
    order = sorted(range(len(report.standings)), key=lambda i: -report.standings[i].payoff.mean)
    console.print(f"{report.tournament.game}: {report.matches} of {report.planned} matches")
    console.print(_standings(report, order))
    cross = Table("payoff of, against", *(report.names[j] for j in order), box=None)
    for i in order:
        cross.add_row(report.names[i], *(str(report.against[i][j]) for j in order))
    console.print(cross)
    if report.groups:
        together = Table("together", "welfare ± 95%", "Gini", "payoffs", box=None)
        for group in report.groups[:MOST]:
            payoffs = ", ".join(f"{name} {payoff.mean:+.3f}" for name, payoff in group.payoffs.items())
            unequal = "-" if group.gini is None else f"{group.gini.mean:.3f}"
            together.add_row(", ".join(group.agents), str(group.welfare), unequal, payoffs)
        console.print(together)
    if report.analysis:
        for line in report.analysis.lines(report.names):
            console.print(line)
    if report.verdict:
        low, high = report.verdict.bounds
        pairs = ", ".join(f"{score:.3g}: {count}" for score, count in list(report.verdict.pairs.items())[:MOST])
        first, second = report.names
        console.print(f"{first} against {second}: {report.verdict.answer}, LLR {report.verdict.llr:+.2f} ({low:+.2f}, {high:+.2f})")
        console.print(f"pairs by score: {pairs}")
    console.print(str(report.balance))
    if report.void:
        why = f": {report.errors[0]}" if report.errors else ""
        console.print(f"{report.void} matches void{why}")
    for line in report.missing:
        console.print(f"left out: {line}")


def _standings(report: Report, order: list[int]) -> Table:
    """A row an agent; only the columns in which something stands."""

    def analysed(i: int) -> list[str]:
        found = report.analysis
        if found is None:
            return []
        return [f"{found.alpha[i, 0]:.0%}", *([] if found.nash is None else [f"{found.nash[1][i]:+.3f}"])]

    columns: list[tuple[str, Callable[[Standing], Any]]] = [
        ("agent", lambda one: one.name),
        ("rank", lambda one: "-".join(map(str, dict.fromkeys(one.rank)))),
        ("payoff ± 95%", lambda one: one.payoff),
        ("matches", lambda one: one.payoff.n),
    ]
    if any(one.outcomes for one in report.standings):
        columns += [
            ("won", lambda one: one.outcomes and one.outcomes[2]),
            ("drawn", lambda one: one.outcomes and one.outcomes[1]),
            ("lost", lambda one: one.outcomes and one.outcomes[0]),
            ("Elo (95%)", lambda one: one.elo and f"{one.elo.mean:+.0f} ({one.elo.low:+.0f} to {one.elo.high:+.0f})"),
        ]
    if any(one.skill for one in report.standings):
        columns.append(("skill", lambda one: one.skill and f"{one.skill.mean:.1f} ±{one.skill.high - one.skill.mean:.1f}"))
    if any(one.exploitability is not None for one in report.standings):
        columns.append(("exploitability", lambda one: "-" if one.exploitability is None else f"{one.exploitability:.4f}"))
    kinds = [kind for kind in FAULTS if any(one.faults.get(kind) for one in report.standings)]
    columns += [(kind, lambda one, kind=kind: one.faults.get(kind, 0)) for kind in kinds]  # type: ignore[misc]
    more = [] if report.analysis is None else ["alpha-rank", *([] if report.analysis.nash is None else ["Nash average"])]
    table = Table(*(name for name, _ in columns), *more, box=None)
    for i in order:
        table.add_row(*(str(cell(report.standings[i])) for _, cell in columns), *analysed(i))
    return table
