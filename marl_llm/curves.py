"""Learning curves of a comparison as a picture: for every game the measured figure over matches and over seconds, a line a recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marl_llm import intervals
from marl_llm.errors import MissingExtra

Cells = Sequence[Mapping[str, Any]]
ACROSS = ("matches", "seconds")
LOOK: dict[Any, Any] = {"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.3, "legend.frameon": False}


def curve(cells: Cells) -> dict[str, NDArray[np.float64]]:
    """Over the seeds of one recipe on one game: the columns of their curves, each a mean, [points]; and of the figure ``low`` and
    ``high``, its 95% interval, of infinite width with one seed."""
    points = min(len(cell["curve"]) for cell in cells)
    (figure,) = set(cells[0]["curve"][0]) - set(ACROSS)
    seen = {name: np.asarray([[point[name] for point in cell["curve"][:points]] for cell in cells]) for name in (*ACROSS, figure)}
    found = [intervals.mean(values) for values in seen[figure].T]
    ends = {name: np.asarray([getattr(interval, name) for interval in found]) for name in ("low", "high")}
    return {**{name: values.mean(0) for name, values in seen.items()}, **ends}


def draw(cells: Cells, recipes: Sequence[str], file: Path) -> None:
    """Write ``file`` (.png), a row of panels a game; the band of a line is its interval over seeds. MissingExtra without matplotlib."""
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra(f"drawing {file}", "plot") from error
    games = list(dict.fromkeys(cell["game"] for cell in cells))
    with rc_context(LOOK):
        picture = Figure(figsize=(11, 4 * len(games)), layout="constrained")
        for row, panels in zip(games, picture.subplots(len(games), len(ACROSS), squeeze=False), strict=True):
            for recipe in recipes:
                columns = curve([cell for cell in cells if (cell["game"], cell["recipe"]) == (row, recipe)])
                (figure,) = set(columns) - {*ACROSS, "low", "high"}
                for panel, across in zip(panels, ACROSS, strict=True):
                    panel.plot(columns[across], columns[figure], label=recipe)
                    panel.fill_between(columns[across], columns["low"], columns["high"], alpha=0.2, linewidth=0)
                    panel.set(title=row, xlabel=across, ylabel=figure)
            panels[0].legend(fontsize="small")
        picture.savefig(file, dpi=120)
