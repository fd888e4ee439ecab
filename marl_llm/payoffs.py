"""Who earned what against whom: counts and sums for every ordered seating."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marl_llm.game import Spec
from marl_llm.records import VOID, Batch

Floats = NDArray[np.float64]
TIED = 1e-9
"""Returns closer than this are equal."""


@dataclass
class Seating:
    """Matches of one ordered seating. ``total`` and ``squares`` are sums of returns and of their squares, ``ahead`` counts the
    matches in which a seat earned more than the others' mean (half for as much); each has an entry a seat."""

    matches: int
    total: Floats
    squares: Floats
    ahead: Floats


@dataclass(frozen=True)
class Matrix:
    """Of ``rows[i]`` in matches with ``columns[j]`` at the table: ``matches``, the ``mean`` return and half its 95% interval
    (NaN where they have not met; one match has no interval)."""

    rows: Sequence[str]
    columns: Sequence[str]
    matches: NDArray[np.int64]
    mean: Floats
    half: Floats


class Payoffs:
    """``seatings[game, players]``; void matches are not counted."""

    def __init__(self) -> None:
        self.seatings: dict[tuple[Spec, tuple[str, ...]], Seating] = {}

    def observe(self, batch: Batch, names: Mapping[str, str]) -> None:
        """Count the matches of ``batch``; players in ``names`` are entered under the name given there."""
        players = [names.get(player, player) for player in batch.tables["player"]]
        for code, game in enumerate(batch.tables["game"]):
            rows = np.flatnonzero((batch["match.game"] == code) & (batch["match.end"] != VOID))
            if not len(rows):
                continue
            first = batch.starts["seat"][rows]
            seats = int(batch.starts["seat"][rows[0] + 1] - first[0])
            cells = first[:, None] + np.arange(seats)
            gain = batch["seat.return"][cells]
            away = gain - (gain.sum(1, keepdims=True) - gain) / max(seats - 1, 1)
            ahead = 0.5 + 0.5 * np.where(np.abs(away) < TIED, 0.0, np.sign(away))
            codes, of = np.unique(batch["seat.player"][cells], axis=0, return_inverse=True)
            for k, table in enumerate(codes.tolist()):
                mine = of.reshape(-1) == k
                found = self._seating(game, tuple(players[player] for player in table))
                found.matches += int(mine.sum())
                found.total += gain[mine].sum(0)
                found.squares += np.square(gain[mine]).sum(0)
                found.ahead += ahead[mine].sum(0)

    def _seating(self, game: Spec, players: tuple[str, ...]) -> Seating:
        nothing = [np.zeros(len(players)) for _ in range(3)]
        return self.seatings.setdefault((game, players), Seating(0, *nothing))

    def ahead(self, game: Spec, player: str, other: str) -> tuple[float, float]:
        """How often ``player`` earned more than the rest of a table with ``other`` at it (half for as much), and out of how many."""
        won = played = 0.0
        for (spec, table), seating in self.seatings.items():
            mine = np.asarray([name == player for name in table])
            if spec == game and other in table and mine.any() and player != other:
                won += float(seating.ahead[mine].sum())
                played += seating.matches * int(mine.sum())
        return won, played

    def games(self) -> list[Spec]:
        """Games that have been counted."""
        return list(dict.fromkeys(game for game, _ in self.seatings))

    def matrix(self, game: Spec, rows: Sequence[str]) -> Matrix:
        """What each of ``rows`` earned against everybody that it met."""
        met = [(table, seating) for (spec, table), seating in self.seatings.items() if spec == game]
        columns = list(dict.fromkeys(name for table, _ in met for name in table if any(row in table and row != name for row in rows)))
        sums = np.zeros((3, len(rows), len(columns)))
        for table, seating in met:
            for seat, name in enumerate(table):
                if name in rows:
                    for other in dict.fromkeys(other for other in table if other != name):
                        at = rows.index(name), columns.index(other)
                        sums[:, *at] += seating.matches, seating.total[seat], seating.squares[seat]
        count, total, squares = sums
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = total / count
            half = 1.96 * np.sqrt(np.maximum(squares / count - mean**2, 0) / (count - 1))
        return Matrix(list(rows), columns, count.astype(np.int64), mean, half)

    def json(self) -> list[dict[str, Any]]:
        """For a JSON file; ``load`` reads it back without loss."""
        return [
            {
                "game": game,
                "players": list(players),
                "matches": seating.matches,
                "total": seating.total.tolist(),
                "squares": seating.squares.tolist(),
                "ahead": seating.ahead.tolist(),
            }
            for (game, players), seating in self.seatings.items()
        ]

    def load(self, saved: Sequence[Mapping[str, Any]]) -> None:
        """Take what ``json`` gave in place of everything here."""
        self.seatings = {
            (one["game"], tuple(one["players"])): Seating(
                one["matches"], *(np.asarray(one[name], float) for name in ("total", "squares", "ahead"))
            )
            for one in saved
        }
