"""Battles of others to learn from: Showdown's logs as what each side knew and what it chose, for behaviour cloning.

A log is what a spectator is told. With open team sheets it shows nearly all that matters: what both sides knew is read as the game's
own views are, save that the stats of the own team are estimated, and what they chose is read from what happened. What does not
show is ``UNKNOWN``; logs with closed sheets or illusions are passed over.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from games.pokemon.worker import workers
from marl_llm.errors import UserError

UNKNOWN = -1
KINDS = (".log", ".txt", ".json")


@dataclass(frozen=True)
class Samples:
    """Decisions of one log, a row each. ``vector`` is the view as numbers, [n, rows, width]; ``action`` what each slot did, [n, slots],
    numbered as ``games.pokemon.game`` says or ``UNKNOWN``; ``result`` what the row's seat gained in the end: 1, 0 or -1."""

    vector: NDArray[np.float32]
    action: NDArray[np.int64]
    seat: NDArray[np.int64]
    result: NDArray[np.int64]
    pictures: Sequence[dict[str, Any]]


class Unread(ValueError):
    """A log has nothing to learn from; ``str`` says why."""


def read_log(text: str) -> Samples:
    """The decisions of a log, of both sides and in order; Unread where it shows none."""
    answer, numbers = workers(1)[0].ask("log", text=text)
    if "failed" in answer:
        raise Unread(answer["failed"])
    if not answer["samples"]:
        raise Unread("it shows no decision")
    seats, actions, pictures = zip(*answer["samples"], strict=True)
    seat = np.asarray(seats, np.int64)
    layout, _ = workers(1)[0].ask("layout")
    vector = numbers.reshape(len(seat), layout["rows"], layout["width"])
    return Samples(vector, np.asarray(actions, np.int64), seat, np.where(seat == 0, 1, -1) * answer["result"], pictures)


def read_logs(folder: Path, passed: Counter[str] | None = None) -> Iterator[Samples]:
    """The samples of every log in ``folder``, .log or .txt as they come from the server, or .json as its replays are; ``passed``
    counts those passed over by reason. UserError where there is none."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix in KINDS)
    if not paths:
        raise UserError(f"logs {folder} has no battle; expected a folder with {', '.join(KINDS)} files of Pokemon Showdown")
    for path in paths:
        text = path.read_text(errors="replace")
        try:
            yield read_log(str(json.loads(text)["log"]) if path.suffix == ".json" else text)
        except (Unread, KeyError, TypeError, json.JSONDecodeError) as error:
            if passed is not None:
                passed[str(error) if isinstance(error, Unread) else "it is no replay in JSON"] += 1
