"""What a tournament shows: payoffs with intervals, who did what against whom, faults counted apart, and the balance of seats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from marl_llm.agent import FAULTS
from marl_llm.game import GameInfo
from marl_llm.intervals import Interval, means
from tournaments.formats import Tournament
from tournaments.ratings import DRAW, LOSS, WIN, elo
from tournaments.results import Result


@dataclass(frozen=True)
class Standing:
    """One agent: mean payoff a match; losses, draws, wins and Elo where nothing else has happened (two seats, zero-sum, no
    payoff between the bounds but 0); faults by kind; matches a seat."""

    name: str
    payoff: Interval
    outcomes: tuple[int, int, int] | None
    elo: Interval | None
    faults: dict[str, int]
    turns: int
    seats: tuple[int, ...]


@dataclass(frozen=True)
class Report:
    """A tournament so far. Void matches are in no figure but ``void``; ``errors`` says why they were set aside."""

    tournament: Tournament
    planned: int
    matches: int
    void: int
    errors: tuple[str, ...]
    standings: tuple[Standing, ...]
    against: tuple[tuple[Interval, ...], ...]
    """``against[i][j]``: mean payoff of agent i in matches with agent j at the table, in any seats."""
    seatings: tuple[tuple[tuple[str, ...], tuple[float, ...], int], ...]
    """Of every ordered seating its players, their mean payoffs and the number of matches."""
    deals: tuple[int, int]
    """Deals that every seating has played, and deals begun."""

    @property
    def balanced(self) -> bool:
        """Whether every agent sat equally often in every seat, and every deal was played by every seating."""
        return self.deals[0] == self.deals[1] and all(len(set(standing.seats)) == 1 for standing in self.standings)

    def balance(self) -> str:
        """The audit of seats and deals in one line."""
        counts = [count for standing in self.standings for count in standing.seats]
        word = "balanced" if self.balanced else "NOT balanced"
        spread = f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
        return f"seats {word}: {spread} matches an agent and seat; {self.deals[0]} of {self.deals[1]} deals played by every seating"

    def json(self) -> dict[str, Any]:
        """All figures, for ``json.dumps``."""
        names = [standing.name for standing in self.standings]
        return {
            "format": self.tournament.format,
            "game": self.tournament.game,
            "rounds": self.tournament.rounds,
            "seed": self.tournament.seed,
            "planned": self.planned,
            "matches": self.matches,
            "void": self.void,
            "errors": list(self.errors),
            "balanced": self.balanced,
            "agents": [
                {
                    "name": standing.name,
                    "payoff": standing.payoff.json(),
                    **({} if standing.outcomes is None else dict(zip(("losses", "draws", "wins"), standing.outcomes, strict=True))),
                    **({} if standing.elo is None else {"elo": standing.elo.json()}),
                    "faults": standing.faults,
                    "turns": standing.turns,
                    "seats": list(standing.seats),
                }
                for standing in self.standings
            ],
            "against": {
                name: {other: cell.json() for other, cell in zip(names, row, strict=True) if cell.n}
                for name, row in zip(names, self.against, strict=True)
            },
            "seatings": [{"players": list(who), "payoffs": list(mean), "games": n} for who, mean, n in self.seatings],
        }

    def show(self, console: Console) -> None:
        """Print the tables, best payoff first."""
        order = sorted(range(len(self.standings)), key=lambda i: -self.standings[i].payoff.mean)
        rated = any(standing.elo for standing in self.standings)
        kinds = [kind for kind in FAULTS if any(standing.faults.get(kind) for standing in self.standings)]
        head = ["agent", "payoff ± 95%", "matches", *(["won", "drawn", "lost", "Elo (95%)"] if rated else []), *kinds]
        console.print(f"{self.tournament.game}: {self.matches} of {self.planned} matches")
        table = Table(*head, box=None)
        for i in order:
            standing = self.standings[i]
            cells = [standing.name, str(standing.payoff), str(standing.payoff.n)]
            if standing.outcomes and standing.elo:
                lost, drawn, won = standing.outcomes
                cells += [
                    str(won),
                    str(drawn),
                    str(lost),
                    f"{standing.elo.mean:+.0f} ({standing.elo.low:+.0f} to {standing.elo.high:+.0f})",
                ]
            table.add_row(*cells, *(str(standing.faults.get(kind, 0)) for kind in kinds))
        console.print(table)
        cross = Table("payoff of, against", *(self.standings[j].name for j in order), box=None)
        for i in order:
            cross.add_row(self.standings[i].name, *(str(self.against[i][j]) for j in order))
        console.print(cross)
        console.print(self.balance())
        if self.void:
            why = f": {self.errors[0]}" if self.errors else ""
            console.print(f"{self.void} matches void{why}")


def report(tournament: Tournament, info: GameInfo, results: Iterable[Result]) -> Report:
    """The report of the matches that are finished."""
    tables = tournament.tables(info)
    every = sorted(results, key=lambda result: (result.deal, result.players))
    played = [result for result in every if result.end != "void"]
    n, seats, number = len(tournament.agents), info.seats, {name: i for i, name in enumerate(tournament.agents)}
    player = np.asarray([[number[name] for name in result.players] for result in played], np.int64).reshape(-1, seats)
    payoff = np.asarray([result.returns for result in played]).reshape(-1, seats)
    deal = np.asarray([result.deal for result in played], np.uint64)
    own = means(payoff.reshape(-1), np.repeat(deal, seats), player.reshape(-1), n)
    one, other = np.nonzero(~np.eye(seats, dtype=bool))
    pair = player[:, one] * n + player[:, other]
    cells = means(payoff[:, one].reshape(-1), np.repeat(deal, len(one)), pair.reshape(-1), n * n)
    sat = np.zeros((n, seats), np.int64)
    np.add.at(sat, (player, np.arange(seats)), 1)
    begun = np.unique(deal, return_counts=True)[1]
    standings = zip(
        tournament.agents,
        own,
        *_rated(tournament, info, player, payoff, deal),
        *_faults(number, every),
        map(tuple, sat.tolist()),
        strict=True,
    )
    return Report(
        tournament=tournament,
        planned=tournament.rounds * len(tables),
        matches=len(played),
        void=len(every) - len(played),
        errors=tuple(sorted({result.error for result in every if result.error})),
        standings=tuple(Standing(*row) for row in standings),
        against=tuple(tuple(cells[i * n : (i + 1) * n]) for i in range(n)),
        seatings=_seatings(tables, played, payoff),
        deals=(int((begun == len(tables)).sum()), len(begun)),
    )


def _rated(
    tournament: Tournament, info: GameInfo, player: NDArray[np.int64], payoff: NDArray[np.float64], deal: NDArray[np.uint64]
) -> tuple[Sequence[tuple[int, int, int] | None], Sequence[Interval | None]]:
    """Losses, draws, wins and Elo of every agent, where payoffs say no more than these; kuhn_poker's do: who bets seldom
    may win most matches and lose money."""
    n = len(tournament.agents)
    if info.utility != "zero_sum" or info.seats != 2 or not len(payoff) or not np.isin(payoff, [*info.returns, 0.0]).all():
        return [None] * n, [None] * n
    outcome = np.sign(payoff[:, 0]).astype(np.int64) + DRAW
    count = np.zeros((n, 3), np.int64)
    np.add.at(count, (player[:, 0], outcome), 1)
    np.add.at(count, (player[:, 1], WIN - outcome), 1)
    return [(int(row[LOSS]), int(row[DRAW]), int(row[WIN])) for row in count], elo(player, outcome, deal, n, seed=tournament.seed)


def _faults(number: Mapping[str, int], results: Iterable[Result]) -> tuple[list[dict[str, int]], list[int]]:
    """Faults by kind and turns of every agent, void matches included."""
    faults: list[Counter[str]] = [Counter() for _ in number]
    turns = [0] * len(number)
    for result in results:
        for name, mine, taken in zip(result.players, result.faults, result.turns, strict=True):
            turns[number[name]] += taken
            faults[number[name]].update(mine)
    return [dict(count) for count in faults], turns


def _seatings(
    tables: Sequence[tuple[str, ...]], played: Sequence[Result], payoff: NDArray[np.float64]
) -> tuple[tuple[tuple[str, ...], tuple[float, ...], int], ...]:
    """Mean payoffs of every seating that was played."""
    place = {table: i for i, table in enumerate(tables)}
    at = np.asarray([place[result.players] for result in played], np.int64)
    matches = np.bincount(at, minlength=len(tables))
    sums = np.zeros((len(tables), payoff.shape[1]))
    np.add.at(sums, at, payoff)
    return tuple((table, tuple((sums[i] / matches[i]).tolist()), int(matches[i])) for table, i in place.items() if matches[i])
