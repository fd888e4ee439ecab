"""What a tournament shows: payoffs with intervals, who did what against whom, faults counted apart, and the balance of seats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marl_llm.agent import FAULTS
from marl_llm.errors import MissingExtra
from marl_llm.game import GameInfo
from marl_llm.intervals import Interval, means, resampled, units
from marl_llm.records import VOID
from tournaments.analysis import Analysis, analysis
from tournaments.balance import Balance, balance
from tournaments.formats import FORMATS, Tournament, judged
from tournaments.ranks import ranks
from tournaments.ratings import DRAW, LOSS, WIN, elo
from tournaments.results import Results
from tournaments.skill import skill
from tournaments.sprt import Verdict
from tournaments.welfare import Group, groups

DRAWS = 400
ALPHA_DRAWS = 200
"""Resamples that alpha-rank and the split are computed on."""


@dataclass(frozen=True)
class Standing:
    """One agent: mean payoff a match, and the ranks it may have, by payoff where all meet the same others, else by Elo if there is
    one. Losses, draws, wins and Elo where nothing else has happened (two seats, zero-sum, no payoff between the bounds but 0), skill
    where there are more than two seats, what a perfect opponent would gain where it is known, faults by kind, matches a seat."""

    name: str
    payoff: Interval
    rank: tuple[int, int]
    outcomes: tuple[int, int, int] | None
    elo: Interval | None
    skill: Interval | None
    exploitability: float | None
    faults: dict[str, int]
    turns: int
    seats: tuple[int, ...]

    def json(self) -> dict[str, Any]:
        """For a JSON object."""
        return {
            "name": self.name,
            "payoff": self.payoff.json(),
            "rank": list(self.rank),
            **({} if self.outcomes is None else dict(zip(("losses", "draws", "wins"), self.outcomes, strict=True))),
            **({} if self.elo is None else {"elo": self.elo.json()}),
            **({} if self.skill is None else {"skill": self.skill.json()}),
            **({} if self.exploitability is None else {"exploitability": self.exploitability}),
            "faults": self.faults,
            "turns": self.turns,
            "seats": list(self.seats),
        }


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
    balance: Balance
    analysis: Analysis | None
    groups: tuple[Group, ...]
    """Every company that has met, in games that are no contest."""
    verdict: Verdict | None
    missing: tuple[str, ...]
    """Figures that need a package that is not installed."""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(standing.name for standing in self.standings)

    def json(self) -> dict[str, Any]:
        """All figures, for ``json.dumps``."""
        verdict = self.verdict
        return {
            "format": self.tournament.format,
            "game": self.tournament.game,
            "rounds": self.tournament.rounds,
            "seed": self.tournament.seed,
            "planned": self.planned,
            "matches": self.matches,
            "void": self.void,
            "errors": list(self.errors),
            "balanced": self.balance.whole,
            "agents": [standing.json() for standing in self.standings],
            "against": {
                name: {other: cell.json() for other, cell in zip(self.names, row, strict=True) if cell.n}
                for name, row in zip(self.names, self.against, strict=True)
            },
            "seatings": [{"players": list(who), "payoffs": list(mean), "games": n} for who, mean, n in self.seatings],
            **({} if self.analysis is None else {"analysis": self.analysis.json(self.names)}),
            **({"groups": [group.json() for group in self.groups]} if self.groups else {}),
            **(
                {}
                if verdict is None
                else {"sprt": {"llr": verdict.llr, "bounds": list(verdict.bounds), "pairs": verdict.pairs, "answer": verdict.answer}}
            ),
        }


def report(tournament: Tournament, info: GameInfo, results: Results, exploitability: Mapping[str, float]) -> Report:
    """The report of the matches that are finished, ``results`` by deal; ``exploitability`` of the agents of whom it is known."""
    n, seats = len(tournament.agents), info.seats
    played = results.take(np.flatnonzero(results.end != VOID))
    player, payoff, deal = played.seats(tournament.agents), played.returns, played.deal
    own = means(payoff.reshape(-1), np.repeat(deal, seats), player.reshape(-1), n)
    one, other = np.nonzero(~np.eye(seats, dtype=bool))
    pair, gained = (player[:, one] * n + player[:, other]).reshape(-1), payoff[:, one].reshape(-1)
    cells = means(gained, np.repeat(deal, len(one)), pair, n * n)
    sat = np.bincount((player * seats + np.arange(seats)).reshape(-1), minlength=n * seats).reshape(n, seats)
    drawn, drawn_pairs = _resampled(player.reshape(-1), payoff.reshape(-1), pair, gained, deal, n, tournament.seed)
    figure, missing = np.asarray([interval.mean for interval in own]), []
    outcomes, rated, elo_draws = _rated(tournament, info, player, payoff, deal)
    if elo_draws is not None and not FORMATS[tournament.format].same_company:
        figure, drawn = np.asarray([interval.mean for interval in rated if interval]), elo_draws
    skills: Sequence[Interval | None] = [None] * n
    try:
        if seats > 2 and not info.anonymous and info.utility != "team":
            skills = skill(player, payoff, n)
    except MissingExtra as error:
        missing.append(str(error))
    contest = seats == 2 and info.utility != "team"
    gains = np.asarray([cell.mean for cell in cells]).reshape(n, n)
    found = analysis(gains, drawn_pairs, zero_sum=info.utility == "zero_sum") if contest and len(played) else None
    faults, turns = _faults(n, results, tournament.agents)
    standings = zip(
        tournament.agents,
        own,
        ranks(figure, drawn, len(np.unique(deal))),
        outcomes,
        rated,
        skills,
        map(exploitability.get, tournament.agents),
        faults,
        turns,
        map(tuple, sat.tolist()),
        strict=True,
    )
    verdict = judged(tournament, info, results)
    return Report(
        tournament=tournament,
        planned=len(results) if verdict and verdict.answer != "undecided" else tournament.planned(info),
        matches=len(played),
        void=len(results) - len(played),
        errors=tuple(sorted({text for _, text in results.errors})),
        standings=tuple(Standing(*row) for row in standings),
        against=tuple(tuple(cells[i * n : (i + 1) * n]) for i in range(n)),
        seatings=_seatings(played, tournament.agents),
        balance=balance(results, tournament.agents),
        analysis=found,
        groups=groups(tournament.agents, player, payoff, deal, info.returns[0]) if info.utility != "zero_sum" and len(played) else (),
        verdict=verdict,
        missing=tuple(missing),
    )


def _resampled(
    player: NDArray[np.int64],
    payoff: NDArray[np.float64],
    pair: NDArray[np.int64],
    gained: NDArray[np.float64],
    deal: NDArray[np.int64],
    n: int,
    seed: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean payoffs of agents, [draws, n], and of every two, [draws, n, n], over resampled deals; NaN where there are none."""
    if not len(deal):
        return np.full((DRAWS, n), np.nan), np.full((ALPHA_DRAWS, n, n), np.nan)
    unit, count = units(deal)
    alone, both = (np.repeat(unit, len(of) // len(unit)) for of in (player, pair))
    totals = [
        np.bincount(at * width + of, weights, count * width).reshape(count, width)
        for at, of, values, width in ((alone, player, payoff, n), (both, pair, gained, n * n))
        for weights in (values, None)
    ]
    sums = resampled(np.concatenate(totals, axis=1), DRAWS, seed)
    own, games, pairs, meetings = np.split(sums, np.cumsum([n, n, n * n]), axis=1)
    with np.errstate(invalid="ignore"):
        return own / games, (pairs[:ALPHA_DRAWS] / meetings[:ALPHA_DRAWS]).reshape(-1, n, n)


def _rated(
    tournament: Tournament, info: GameInfo, player: NDArray[np.int64], payoff: NDArray[np.float64], deal: NDArray[np.int64]
) -> tuple[Sequence[tuple[int, int, int] | None], Sequence[Interval | None], NDArray[np.float64] | None]:
    """Losses, draws, wins and Elo of every agent, where payoffs say no more than these; kuhn_poker's do: who bets seldom
    may win most matches and lose money. Last, draws of Elo over resampled deals."""
    n = len(tournament.agents)
    if info.utility != "zero_sum" or info.seats != 2 or not len(payoff) or not np.isin(payoff, [*info.returns, 0.0]).all():
        return [None] * n, [None] * n, None
    outcome = np.sign(payoff[:, 0]).astype(np.int64) + DRAW
    count = np.zeros((n, 3), np.int64)
    np.add.at(count, (player[:, 0], outcome), 1)
    np.add.at(count, (player[:, 1], WIN - outcome), 1)
    rated, draws = elo(player, outcome, deal, n, seed=tournament.seed)
    return [(int(row[LOSS]), int(row[DRAW]), int(row[WIN])) for row in count], rated, draws


def _faults(n: int, results: Results, agents: Sequence[str]) -> tuple[list[dict[str, int]], list[int]]:
    """Faults by kind and turns of every agent, void matches included."""
    player = results.seats(agents)
    row, seat, kind, many = results.faults.T
    count = np.bincount(player[row, seat] * len(FAULTS) + kind, many, n * len(FAULTS)).astype(np.int64).reshape(n, -1)
    turns = np.bincount(player.reshape(-1), results.turns.reshape(-1), n).astype(np.int64)
    return [{FAULTS[k]: int(mine[k]) for k in np.flatnonzero(mine)} for mine in count], turns.tolist()


def _seatings(played: Results, agents: Sequence[str]) -> tuple[tuple[tuple[str, ...], tuple[float, ...], int], ...]:
    """Mean payoffs of every seating that was played."""
    matches = np.bincount(played.seating, minlength=len(played.players))
    sums = np.zeros((len(matches), played.returns.shape[1]))
    np.add.at(sums, played.seating, played.returns)
    order = sorted(np.flatnonzero(matches).tolist(), key=lambda code: [agents.index(name) for name in played.players[code]])
    return tuple((played.players[code], tuple((sums[code] / matches[code]).tolist()), int(matches[code])) for code in order)
