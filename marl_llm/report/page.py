"""``report.html`` of a run: one file that needs nothing else. All text of games and agents is shown as text."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from marl_llm import checkpoint, metrics
from marl_llm.anchors import RESULTS
from marl_llm.figures import number, share
from marl_llm.payoffs import Matrix, Payoffs
from marl_llm.report import charts
from marl_llm.report.episodes import shown

EVALUATION = "evaluation.json"
"""What ``marl-llm evaluate`` found last, in the run's folder."""


@dataclass(frozen=True)
class HeatMap:
    """What the rows earned against the columns in the games of one table of the league."""

    title: str
    matrix: Matrix

    def shade(self, i: int, j: int) -> str:
        """Colour of a cell: blue for a gain, red for a loss, stronger for more."""
        largest = max((abs(value) for row in self.matrix.mean.tolist() for value in row if value == value), default=0.0)
        part = self.matrix.mean[i, j] / largest if largest else 0.0
        return f"rgba({'33,102,172' if part >= 0 else '178,24,43'},{0.75 * abs(part):.2f})"


def write_report(run: Path, say: Callable[[str], None]) -> None:
    """``write``, where the run matters more than its report: whatever it dies of, ``say`` gets a line and work goes on."""
    try:
        write(run)
    except Exception as error:
        say(f"{run / 'report.html'} could not be written: {type(error).__name__}: {error}")


def write(run: Path) -> Path:
    """Write ``RUN/report.html`` from what stands in the run's folder; its path."""
    environment = Environment(
        loader=PackageLoader("marl_llm", "report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    config, evaluation, records = run / "config.yaml", run / EVALUATION, metrics.read(run)
    text = environment.get_template("page.html.jinja").render(
        name=run.resolve().name,
        settings=config.read_text() if config.exists() else "",
        sections=charts.sections(records),
        collapsed=[record["step"] for record in records if record.get("collapse")],
        frame=charts,
        heat=_heat(run),
        evaluation=_evaluation(checkpoint.load_json(evaluation)) if evaluation.exists() else None,
        matches=shown(run),
    )
    file, aside = run / "report.html", run / "report.html.partial"
    aside.write_text(text, encoding="utf-8")
    os.replace(aside, file)
    return file


def _heat(run: Path) -> list[HeatMap]:
    """The league's tables at the newest checkpoint; a row for each name that a learner had."""
    steps = checkpoint.steps(run)
    file = checkpoint.path_of(run, steps[-1]) / "league.json" if steps else run
    if not file.is_file():
        return []
    saved, found = checkpoint.load_json(file), []
    learners = {member.rpartition("@")[0] for member in saved["members"]}
    learners |= {path.name for path in (file.parent / "agents").iterdir()}
    for table, what in (("training", "training games against"), ("evaluation", "evaluation games against")):
        payoffs = Payoffs()
        payoffs.load(saved[table])
        for game in payoffs.games():
            names = list(dict.fromkeys(name for spec, players in payoffs.seatings if spec == game for name in players))
            rows = [name for name in names if name.partition("@")[0] in learners and (table == "evaluation" or name.endswith("+"))]
            matrix = payoffs.matrix(game, rows)
            if matrix.columns:
                found.append(HeatMap(f"{game}: {what}", matrix))
    return found


def _evaluation(saved: Mapping[str, Any]) -> dict[str, Any]:
    """``marl-llm evaluate``'s figures: for every game its single figures, and a row for each anchor and seat."""
    games = {}
    for spec, found in saved["games"].items():
        single: dict[str, Any] = {name: value for name, value in found.items() if name != "anchors" and isinstance(value, float)}
        if estimate := found.get("exploitability_estimate"):
            single["exploitability (estimate)"] = number(estimate)
        rows = [
            (name, "all" if seat < 0 else str(seat), score, number(score), [share(score[kind]) for kind in RESULTS if kind in score])
            for name, met in found["anchors"].items()
            for seat, score in enumerate([met, *met["seats"]], -1)
        ]
        games[spec] = {"single": single, "rows": rows, "span": _span([row[2] for row in rows])}
    return {"step": saved["step"], "games": games}


def _span(scores: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """Ends of an axis for intervals; 0 is on it."""
    ends = [score[end] for score in scores for end in ("low", "high") if score[end] is not None]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    return (low, high) if low < high else (-1.0, 1.0)
