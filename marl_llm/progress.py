"""How far long work has come, on stderr: a bar with rate, time left and a few live figures; plain lines where nobody looks on."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

PLAIN_EVERY_S = 10.0


@contextmanager
def progress(total: int, what: str = "", *, done: int = 0) -> Iterator[Progress]:
    """``with progress(200, "training") as bar: bar.advance(loss=0.3)``; ``done`` of the ``total`` steps were made earlier."""
    shown = Progress(total, what, done)
    try:
        yield shown
    finally:
        if shown.bar:
            shown.bar.stop()


class Progress:
    """Work under way."""

    def __init__(self, total: int, what: str, done: int) -> None:
        self.total, self.what, self.first, self.done = total, what, done, done
        self.began = self.said = time.monotonic()
        self.bar: RichProgress | None = None
        console = Console(stderr=True)
        if console.is_terminal:
            figures = TextColumn("{task.fields[figures]}")
            self.bar = RichProgress(
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), figures, console=console
            )
            self.task = self.bar.add_task(what, total=total, completed=done, figures="")
            self.bar.start()

    def begin(self, done: int = 0) -> None:
        """The first ``done`` steps were made earlier, and preparation is over: rate and time left count from here."""
        self.first = self.done = done
        self.began = time.monotonic()
        if self.bar:
            self.bar.reset(self.task, completed=done)

    def advance(self, steps: int = 1, **figures: float) -> None:
        """Some steps are done; ``figures`` are shown beside them."""
        self.done += steps
        now = time.monotonic()
        rate = (self.done - self.first) / max(now - self.began, 1e-9)
        line = "  ".join([f"{rate:.3g}/s", *(f"{name} {value:.4g}" for name, value in figures.items())])
        if self.bar:
            self.bar.update(self.task, completed=self.done, figures=line)
        elif now - self.said >= PLAIN_EVERY_S or self.done == self.total:
            self.said = now
            left = (self.total - self.done) / rate
            print(f"{self.what} {self.done}/{self.total}  {line}  {left:.0f} s left".strip(), file=sys.stderr, flush=True)

    def say(self, line: str) -> None:
        """A line for the person waiting, above the bar."""
        if self.bar:
            self.bar.console.print(line, markup=False, highlight=False)
        else:
            print(line, file=sys.stderr, flush=True)
