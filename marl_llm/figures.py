"""What an evaluation found, as tables for people, on stderr."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from marl_llm.anchors import RESULTS
from marl_llm.private import COLLAPSED

Figures = Mapping[str, Any]


def show(title: str, figures: Figures) -> None:
    """The figures of one game, as ``evaluate`` gives them: ground truth or its estimate, then every anchor in every seat."""
    console = Console(stderr=True, highlight=False)
    console.print(f"\n[bold]{title}[/]")
    truth = Table(box=None, show_header=False, padding=(0, 2))
    for row in _truth(figures):
        truth.add_row(*row)
    if truth.row_count:
        console.print(truth)
    anchors = Table(box=None, padding=(0, 1), header_style="dim")
    zero_sum = any("win" in score for met in figures["anchors"].values() for score in met["seats"])
    for column in ("against", "seat", "return", *(RESULTS if zero_sum else ())):
        anchors.add_column(column)
    for name, met in figures["anchors"].items():
        how = "exact" if met["exact"] else f"{met['games']} games"
        anchors.add_row(f"{name} ({how})", "all", number(met))
        for seat, score in enumerate(met["seats"]):
            anchors.add_row("", str(seat), number(score), *(share(score[result]) for result in RESULTS if result in score))
    console.print(anchors)


def _truth(figures: Figures) -> Iterator[tuple[str, str, str]]:
    for name in ("exploitability", "exploitability_average"):
        if figures[name] is not None:
            yield name.replace("_", " of the "), f"{figures[name]:.4f}", "exact"
    for seat, value in enumerate(figures.get("best_response", ())):
        yield f"best response in seat {seat}", f"{value:+.4f}", "exact"
    if (distance := figures.get("private_tv")) is not None:
        collapse = f"COLLAPSE, under {COLLAPSED}"
        yield "private_tv", f"{distance:.4f}", collapse if distance < COLLAPSED else "exact"
    if (found := figures.get("exploitability_estimate")) is not None:
        yield "exploitability at least", number(found), f"estimate: sampled response, {found['games']} deals"
        for seat, gain in enumerate(found["seats"]):
            yield f"seat {seat} gains at least", number(gain), "estimate"


def number(found: Figures) -> str:
    """A mean with half its interval; an exact one alone."""
    return _told(found, "{:+.4f}" if _exact(found) else "{:+.3f}", "{:.3f}")


def share(found: Figures) -> str:
    """The same in per cent."""
    return _told(found, "{:.1%}" if _exact(found) else "{:.0%}", "{:.0%}")


def _exact(found: Figures) -> bool:
    return not found["games"]


def _told(found: Figures, mean: str, half: str) -> str:
    if None in (found["mean"], found["low"], found["high"]):
        return "-"
    text = mean.format(found["mean"])
    return text if _exact(found) else f"{text} ±{half.format((found['high'] - found['low']) / 2)}"
