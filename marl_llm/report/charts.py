"""Figures of a run as line charts: which figures share one, and where their points lie in its drawing."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WIDTH, HEIGHT = 360, 180
LEFT, RIGHT, TOP, BOTTOM = 56, 10, 10, 24
DOTS = 60
"""A line of at most so many points has a dot for each, which tells its step and value."""
SECTIONS = (
    ("Exploitability", r"(?P<title>(.*/)?exploitability)(_average)?|(?P<title2>(.*/)?best_response)_\d+|(.*/)?private_tv"),
    ("Anchors", r"(.*/)?anchor/.*|collapse"),
    ("Data", r"(?P<title>return)_\d+|matches|turns|learned_turns|information_sets|faults|not_played|choices|contexts"),
    ("Time", r".*_s"),
    ("Learning", r".*"),
)
ORDER = ("Exploitability", "Anchors", "Learning", "Data", "Time")
Points = Sequence[tuple[int, float | None]]
"""Steps and values; None where a value was not finite."""


@dataclass(frozen=True)
class Line:
    """One figure. ``runs`` are the ``points`` of unbroken polylines, ``band`` that of the polygon of its interval, if it has one."""

    name: str
    runs: Sequence[str]
    dots: Sequence[tuple[float, float, str]]
    band: str
    last: str


@dataclass(frozen=True)
class Chart:
    """``across`` and ``up`` are the ticks of the axes, place and label."""

    title: str
    lines: Sequence[Line]
    across: Sequence[tuple[float, str]]
    up: Sequence[tuple[float, str]]


def sections(records: Sequence[Mapping[str, Any]]) -> dict[str, list[Chart]]:
    """All figures of ``metrics.jsonl`` as charts by section. ``x_low`` and ``x_high`` are drawn as the band of ``x``."""
    names = list(dict.fromkeys(name for record in records for name in record if name != "step"))
    banded = {name for name in names if {f"{name}_low", f"{name}_high"} <= set(names)}
    ends = {f"{name}_{end}" for name in banded for end in ("low", "high")}
    groups: dict[str, dict[str, list[str]]] = {section: {} for section in ORDER}
    for name in names:
        if name not in ends:
            section, title = _place(name)
            groups[section].setdefault(title, []).append(name)
    found = {name: [(record["step"], record[name]) for record in records if name in record] for name in names}
    return {
        section: [_chart(title, {name: found[name] for name in group}, found, banded) for title, group in charts.items()]
        for section, charts in groups.items()
        if charts
    }


def _place(name: str) -> tuple[str, str]:
    """Section and chart of a figure."""
    for section, pattern in SECTIONS:
        if match := re.fullmatch(pattern, name):
            titles = [title for key, title in match.groupdict().items() if title]
            return section, titles[0] if titles else name
    raise AssertionError(name)  # the last pattern takes everything


def _chart(title: str, lines: Mapping[str, Points], found: Mapping[str, Points], banded: set[str]) -> Chart:
    bands = {name: (found[f"{name}_low"], found[f"{name}_high"]) for name in lines if name in banded}
    drawn = [*lines.values(), *(end for ends in bands.values() for end in ends)]
    steps = [step for points in drawn for step, _ in points]
    values = [value for points in drawn for _, value in points if value is not None] or [0.0]
    x = _scale(min(steps), max(steps), LEFT, WIDTH - RIGHT)
    y = _scale(min(values), max(values), HEIGHT - BOTTOM, TOP)
    return Chart(
        title,
        [_line(name, points, x, y, bands.get(name)) for name, points in lines.items()],
        [(x(step), f"{step:g}") for step in ticks(min(steps), max(steps), whole=True)],
        [(y(value), f"{value:.4g}") for value in ticks(min(values), max(values))],
    )


def _line(name: str, points: Points, x: Any, y: Any, band: tuple[Points, Points] | None) -> Line:
    runs: list[list[str]] = [[]]
    for step, value in points:
        if value is None:
            runs.append([])
        else:
            runs[-1].append(_point(x(step), y(value)))
    known = [(step, value) for step, value in points if value is not None]
    dots = [(x(step), y(value), f"{name}, step {step}: {value:.6g}") for step, value in known] if len(known) <= DOTS else []
    around = [] if band is None else [_point(x(step), y(value)) for step, value in (*band[0], *reversed(band[1])) if value is not None]
    return Line(name, [" ".join(run) for run in runs if run], dots, " ".join(around), f"{known[-1][1]:.4g}" if known else "-")


def _point(x: float, y: float) -> str:
    return f"{x:.1f},{y:.1f}"


def _scale(low: float, high: float, start: float, end: float) -> Any:
    """The linear map of low..high to start..end; a single value lies in the middle."""
    if low == high:
        return lambda value: (start + end) / 2
    return lambda value: start + (value - low) / (high - low) * (end - start)


def ticks(low: float, high: float, *, whole: bool = False) -> list[float]:
    """Three to six round numbers between ``low`` and ``high``; ``low`` alone where they are equal."""
    if low == high:
        return [low]
    size = 10.0 ** math.floor(math.log10((high - low) / 3))
    step = next(size * factor for factor in (1, 2, 5, 10) if (high - low) / (size * factor) <= 5)
    step = max(step, 1.0) if whole else step
    return [k * step for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
