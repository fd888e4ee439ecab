"""The result of a match: one line of JSON, which with the game and the deal's seed replays the match exactly."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from marl_llm.agent import FAULTS, OK
from marl_llm.ragged import starts_of
from marl_llm.records import ENDS, Batch, End

encode = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Result:
    """A finished match. ``returns``, ``turns`` (attempts included) and ``faults`` have an entry a seat; ``moves`` are in
    order of play, at a simultaneous move in order of seats."""

    id: int
    deal: int
    players: tuple[str, ...]
    returns: tuple[float, ...]
    end: End
    turns: tuple[int, ...]
    faults: tuple[Mapping[str, int], ...]
    moves: tuple[Any, ...]
    error: str | None = None

    def line(self) -> str:
        """As JSON, without a newline."""
        faults = {"faults": self.faults} if any(self.faults) else {}
        error = {} if self.error is None else {"error": self.error}
        return encode(
            {
                "id": f"{self.id:016x}",
                "deal": self.deal,
                "players": self.players,
                "returns": self.returns,
                "end": self.end,
                "turns": self.turns,
                "moves": self.moves,
                **faults,
                **error,
            }
        )

    @staticmethod
    def parse(line: bytes) -> Result:
        """Read what ``line`` gave; ValueError, KeyError or TypeError for anything else."""
        row = json.loads(line)
        players = tuple(row["players"])
        if row["end"] not in ENDS or not len(players) == len(row["returns"]) == len(row["turns"]):
            raise ValueError("not a result")
        return Result(
            int(row["id"], 16),
            int(row["deal"]),
            players,
            tuple(map(float, row["returns"])),
            row["end"],
            tuple(row["turns"]),
            tuple(row.get("faults") or [{}] * len(players)),
            tuple(row["moves"]),
            row.get("error"),
        )


def results(batch: Batch) -> Iterator[Result]:
    """Every match of a batch."""
    count = len(batch)
    if not count:
        return
    seats = batch.size("seat") // count
    moves: list[Any] = []
    ends = np.zeros(count + 1, np.int64)
    turns = np.zeros((count, seats), np.int64)
    faults: list[dict[str, int]] = [{} for _ in range(count * seats)]
    if "turn.action" in batch:
        of, fault = batch.up("turn", "seat"), batch["turn.fault"]
        turns = np.bincount(of, minlength=count * seats).reshape(count, seats)
        for place, code in zip(of[fault != OK].tolist(), fault[fault != OK].tolist(), strict=True):
            faults[place][FAULTS[code]] = faults[place].get(FAULTS[code], 0) + 1
        made = np.flatnonzero(fault == OK)
        made = made[np.lexsort((of[made], batch["turn.ply"][made], of[made] // seats))]
        answers = batch.answers()
        moves = [answers[turn] for turn in made.tolist()]
        ends = starts_of(np.bincount(of[made] // seats, minlength=count))
    names = batch.tables["player"]
    players = [tuple(names[code] for code in row) for row in batch["seat.player"].reshape(count, seats).tolist()]
    returns = batch["seat.return"].reshape(count, seats).tolist()
    error = [None if code < 0 else batch.tables["error"][code] for code in batch["match.error"].tolist()]
    for i, (number, deal, end) in enumerate(
        zip(batch["match.id"].tolist(), batch["match.seed"].tolist(), batch["match.end"].tolist(), strict=True)
    ):
        yield Result(
            number,
            deal,
            players[i],
            tuple(returns[i]),
            ENDS[end],
            tuple(turns[i].tolist()),
            tuple(faults[i * seats : (i + 1) * seats]),
            tuple(moves[ends[i] : ends[i + 1]]),
            error[i],
        )
