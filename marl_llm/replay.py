"""``marl-llm replay RUN [MATCH]``: the recorded matches of a run, or one of them move by move.

A record has the game, the seed and the moves; what each seat saw is derived from them again.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from marl_llm import registry
from marl_llm.answers import column
from marl_llm.boards import Boards
from marl_llm.config import parse
from marl_llm.errors import UserError
from marl_llm.records import Batch, Episode, Move


@dataclass(frozen=True)
class Settings:
    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """folder of a run"""
    match: Annotated[int | None, tyro.conf.Positional, tyro.conf.arg(metavar="MATCH")] = None
    """number of the match, as listed; without it, all are listed"""
    json: bool = False
    """print one JSON object"""


def main(argv: Sequence[str]) -> int:
    settings = parse(Settings, argv, prog="marl-llm replay", description="List recorded matches, or step through one.")
    files = sorted((settings.run / "episodes").glob("*.npz"))
    if not files:
        raise UserError(f"{settings.run} has no recorded matches; expected {settings.run / 'episodes'}/*.npz")
    if settings.match is None:
        return _list(_episodes(files), settings.json)
    number = 0
    for batch in map(_load, files):
        if 0 <= settings.match - number < len(batch):
            return _show(batch.episode(settings.match - number), settings.json)
        number += len(batch)
    raise UserError(f"{settings.run} has no match {settings.match}; expected 0 to {number - 1}")


def _load(file: Path) -> Batch:
    try:
        return Batch.load(file)
    except Exception as error:  # numpy and zipfile raise many kinds for a damaged file
        raise UserError(f"{file} cannot be read: {type(error).__name__}: {error}; delete it to see the other records") from error


def _episodes(files: Sequence[Path]) -> Iterator[Episode]:
    for batch in map(_load, files):
        yield from (batch.episode(i) for i in range(len(batch)))


def _list(episodes: Iterator[Episode], as_json: bool) -> int:
    if as_json:
        print(json.dumps({"matches": [asdict(episode) for episode in episodes]}))
        return 0
    for number, episode in enumerate(episodes):
        sides = "  ".join(f"{name} {value:+g}" for name, value in zip(episode.players, episode.returns, strict=True))
        print(f"{number}\t{episode.game}\t{len(episode.moves)} moves\t{episode.end}\t{sides}")
    return 0


def _show(episode: Episode, as_json: bool) -> int:
    if as_json:
        print(json.dumps(asdict(episode)))
        return 0
    stepping = sys.stdin.isatty() and sys.stdout.isatty()
    print(f"{episode.game}, seed {episode.seed}: {', '.join(f'seat {i} {name}' for i, name in enumerate(episode.players))}")
    for shown in seen(episode):
        print(f"\n{_told(shown)}", flush=True)
        if stepping and input("[Enter] next, q quits: ").strip() == "q":
            return 0
    print(f"\n{episode.end}: {', '.join(f'seat {i} {value:+g}' for i, value in enumerate(episode.returns))}")
    if episode.error:
        print(episode.error)
    return 0


@dataclass(frozen=True)
class Seen:
    """One decision with what stood before the seat: its view, and its legal actions with their texts (none for an open answer)."""

    move: Move
    text: str
    legal: Sequence[int]
    texts: Sequence[str]

    @property
    def chosen(self) -> int | None:
        """Place of the move among the legal ones; None for a fault and for an open answer."""
        return self.legal.index(self.move.action) if self.move.fault == "ok" and self.legal else None

    @property
    def did(self) -> str:
        """What came of the decision, in words."""
        if self.move.fault != "ok":
            return f"plays: ({self.move.fault})"
        if self.chosen is not None:
            return f"plays: {self.texts[self.chosen]}"
        return f"says: {self.move.action}" if isinstance(self.move.action, str) else f"plays: {self.move.action}"


def seen(episode: Episode) -> Iterator[Seen]:
    """The decisions of an episode, in its order."""
    boards = registry.game(episode.game).boards(1)
    boards.start(np.zeros(1, np.int64), np.asarray([episode.seed], np.uint64))
    for _, together in groupby(episode.moves, key=lambda move: move.ply):
        moves = list(together)
        yield from (_seen(boards, move) for move in moves)
        played = sorted((move for move in moves if move.fault == "ok"), key=lambda move: move.seat)
        seats = np.asarray([move.seat for move in played], np.int64)
        if len(seats) == len(boards.acting()[0]):
            boards.step(np.zeros(len(seats), np.int64), seats, column(boards.info, [move.action for move in played]))


def _seen(boards: Boards, move: Move) -> Seen:
    row, seat = np.zeros(1, np.int64), np.asarray([move.seat])
    views = boards.views(row, seat)
    return Seen(move, views.texts()[0], boards.legal(row, seat)[0].tolist(), views.action_texts()[0])


def _told(one: Seen) -> str:
    return f"seat {one.move.seat} sees: {one.text}\nseat {one.move.seat} {one.did}"
