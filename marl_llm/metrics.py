"""Figures of a run, a record a step: always ``metrics.jsonl``, TensorBoard events where tensorboard is installed, and Weights &
Biases where it is asked for.

A record that cannot be written is worth a warning, once, and never the run.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml


class Metrics:
    """Open the records of ``run``. A run that goes on at ``step`` drops its records from that step on and writes them anew.

    ``wandb`` names a project of Weights & Biases; every process of a run is a run there, grouped under the folder's name.
    """

    def __init__(self, run: Path, step: int = 0, *, wandb: str | None = None) -> None:
        self.file = run / "metrics.jsonl"
        self._warned: set[str] = set()
        self._events: Any = None
        self._wandb: Any = None
        self._guard("metrics.jsonl", lambda: _drop_from(self.file, step))
        if find_spec("tensorboard") and find_spec("torch"):
            self._guard("TensorBoard", lambda: self._open_events(run, step))
        if wandb:
            self._guard("Weights & Biases", lambda: self._open_wandb(run, wandb))

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Record ``values`` of ``step`` now; what is not a finite number is null in the file."""
        self._guard("metrics.jsonl", lambda: self._line(step, values))
        if self._events:
            self._guard("TensorBoard", lambda: self._event(step, values))
        if self._wandb:
            self._guard("Weights & Biases", lambda: self._wandb.log(dict(values), step=step))

    def close(self) -> None:
        if self._events:
            self._guard("TensorBoard", self._events.close)
        if self._wandb:
            self._guard("Weights & Biases", self._wandb.finish)

    def _line(self, step: int, values: Mapping[str, float]) -> None:
        numbers = {name: float(value) for name, value in values.items()}
        record = {"step": step, **{name: value if math.isfinite(value) else None for name, value in numbers.items()}}
        with self.file.open("a") as file:
            file.write(json.dumps(record) + "\n")

    def _event(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._events.add_scalar(name, float(value), step)
        self._events.flush()

    def _open_events(self, run: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._events = SummaryWriter(str(run / "tensorboard"), purge_step=step or None)

    def _open_wandb(self, run: Path, project: str) -> None:
        import wandb

        config, name = run / "config.yaml", run.resolve().name
        settings = yaml.safe_load(config.read_text()) if config.exists() else {}
        quiet = wandb.Settings(silent=True, console="off")
        self._wandb = wandb.init(project=project, dir=run, name=name, group=name, config=settings, settings=quiet)

    def _guard(self, logger: str, call: Callable[[], Any]) -> None:
        try:
            call()
        except Exception as error:  # whatever a logger dies of, training goes on
            if logger not in self._warned:
                self._warned.add(logger)
                warnings.warn(f"{logger} fails and is not complete: {type(error).__name__}: {error}", stacklevel=3)


def read(run: Path) -> list[dict[str, Any]]:
    """The records of a run, in order; a line that a killed run left unfinished is passed over."""
    file = run / "metrics.jsonl"
    records = []
    for line in file.read_text().splitlines() if file.exists() else []:
        try:
            records.append(json.loads(line))
        except ValueError:
            continue
    return records


def _drop_from(file: Path, step: int) -> None:
    kept = [record for record in read(file.parent) if record["step"] < step]
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_suffix(".partial")
    aside.write_text("".join(json.dumps(record) + "\n" for record in kept))
    aside.replace(file)
