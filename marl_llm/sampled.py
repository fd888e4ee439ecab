"""A sampled best response, for games too large to be exact: an estimate, from below, of what an agent leaves to gain.

One seat at a time is given to a responder, and the agent keeps the others. Half of the deals fit the responder: it keeps a
table of what followed each action at each of its keys, and plays the best response to the game that this sample makes up
(values backed up over its own keys, each action's mean drawn towards its key's). Where the table has seen too little it
plays as its *base*: the agent itself, or a given one (a search) that does better on the first deals. Rounds of play, with
some moves at random, extend the table. The other half of the deals score the responder on fresh play, beside the agent in
its place on the same deals. Nothing is chosen on that half, so the expected figure is at most the best response's gain.

After the approximate best responses of Timbers et al. (2022), https://arxiv.org/abs/2004.09677, with a table for a network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from marl_llm import intervals, registry
from marl_llm.agent import OK, Agent, Decision, Immediate, Request, answer
from marl_llm.agents.pool import AgentPool
from marl_llm.boards import Codes
from marl_llm.game import Game, actions
from marl_llm.intervals import Interval
from marl_llm.matches import Match, deal_seed
from marl_llm.play import play
from marl_llm.records import VOID, Batch
from marl_llm.seeding import fold, uniform

AGENT = "agent"
ROUNDS = 8
EXPLORE = 0.3
"""Share of the table's moves that are random while it is fitted."""
SEEN = 4
"""Visits from which on the table decides at a key."""
PRIOR = 2.0
"""Visits to its key that count as much as all visits to an action."""
IN_FLIGHT = 512
WHETHER, WHICH = 1, 2  # names of random streams


@dataclass(frozen=True)
class SampledResponse:
    """An estimate from below. ``gains`` says, for every seat (for seat 0 alone where seats are exchangeable), what the
    responder gains over the agent in its own place; ``exploitability`` is their mean."""

    gains: Sequence[Interval]
    exploitability: Interval


def seats_of(game: Game) -> range:
    """The seats that a responder is given."""
    return range(1 if game.info.anonymous else game.info.seats)


def sampled_response(
    game: Game,
    agent: Agent,
    deals: int,
    seed: int,
    *,
    bases: Sequence[Agent] = (),
    advance: Callable[[int], None] = lambda deals: None,
) -> SampledResponse:
    """What a responder fitted on half of ``deals`` (at least 4) gains against ``agent`` in all other seats on the other half.

    ``bases`` are further agents to play as where the table ends; ``advance`` is told of deals that are done. TypeError for
    a game whose actions are not Discrete.
    """
    fits = [_Fit(seat, [agent, *bases], actions(game.info)) for seat in seats_of(game)]
    seeds = deal_seed(fold(seed, 2), np.arange(deals)).tolist()
    half = deals // 2
    for r in range(min(ROUNDS, half)):
        part = seeds[:half][r :: min(ROUNDS, half)]
        players = {(fit.seat, name): player for fit in fits for name, player in fit.players(EXPLORE).items()}
        batch = _played(game, agent, players, part)
        for fit in fits:
            fit.learn(batch)
        advance(len(part))
    best = {(fit.seat, name): player for fit in fits for name, player in fit.players(0.0).items()}
    gains = []
    for start in range(half, deals, IN_FLIGHT):
        part = seeds[start : start + IN_FLIGHT]
        gains.append(_gains(_played(game, agent, {(0, AGENT): agent, **best}, part), len(part), game.info.seats, len(fits)))
        advance(len(part))
    gain = np.concatenate(gains)
    gain = gain[~np.isnan(gain).any(1)]
    return SampledResponse([intervals.mean(column) for column in gain.T], intervals.mean(gain.mean(1)))


def _played(game: Game, agent: Agent, players: dict[tuple[int, str], Agent], seeds: Sequence[int]) -> Batch:
    """Every deal with each of ``players`` (seat, name) in its seat and ``agent`` in the others, in this order."""
    pool = AgentPool({AGENT: agent, **{name: player for (_, name), player in players.items()}})
    others = (AGENT,) * game.info.seats
    tables = [(*others[:seat], name, *others[seat + 1 :]) for seat, name in players]
    matches = (Match(game=game.spec, seed=seed, players=table) for seed in seeds for table in tables)
    return Batch.concat(play(matches, pool, registry.game, in_flight=IN_FLIGHT))


def _gains(batch: Batch, deals: int, seats: int, responders: int) -> NDArray[np.float64]:
    """What the responder of each seat gained over the agent on each deal, [deals, responders]; NaN where a match came to nothing."""
    returns = np.full((deals, 1 + responders, seats), np.nan)
    good = np.flatnonzero(batch["match.end"] != VOID)
    returns[np.divmod(batch["match.plan"][good], 1 + responders)] = batch["seat.return"].reshape(-1, seats)[good]
    return np.stack([returns[:, 1 + seat, seat] - returns[:, 0, seat] for seat in range(responders)], 1)


class _Fit:
    """What has been seen from one seat, one row a move, and the best response to it."""

    def __init__(self, seat: int, bases: Sequence[Agent], width: int) -> None:
        self.seat, self.bases, self.width = seat, bases, width
        self.codes = Codes()
        self.rows: list[tuple[NDArray[np.int64] | NDArray[np.float64], ...]] = []
        """Key, action, gained until the seat's next move, that move's key (-1 at the end), gained from here to the end."""
        self.best: dict[str, int] = {}
        """The action at every key that the table decides."""

    def players(self, explore: float) -> dict[str, Agent]:
        """By name, a responder over each base that is left."""
        return {f"{self.seat}:{i}": _Responder(base, self.best, explore) for i, base in enumerate(self.bases)}

    def learn(self, batch: Batch) -> None:
        """Take in the moves of this seat's players; of several bases the one that did best stays."""
        code = [batch.tables["player"].index(f"{self.seat}:{i}") for i in range(len(self.bases))]
        player = batch["seat.player"]
        self.bases = [self.bases[int(np.argmax([batch["seat.return"][player == c].mean() for c in code]))]]
        self.rows.append(self._moves(batch, np.isin(player, code)))
        self._solve()

    def _moves(self, batch: Batch, mine: NDArray[np.bool_]) -> tuple[NDArray[np.int64] | NDArray[np.float64], ...]:
        seat, gained = batch.up("turn", "seat"), np.cumsum(batch["turn.reward"])
        end = np.concatenate([[0.0], gained])[batch.starts["turn"][1:]]
        whole = batch["match.end"][batch.up("turn", "match")] != VOID
        turns = np.flatnonzero(mine[seat] & whole & (batch["turn.fault"] == OK) & (batch["turn.key"] >= 0))
        later = (end[seat] - gained + batch["turn.reward"])[turns]
        goes_on = np.append(seat[turns][1:] == seat[turns][:-1], False)[: len(turns)]
        key = self.codes.of(batch.tables["key"])[batch["turn.key"][turns]]
        after = np.where(goes_on, np.roll(key, -1), -1)
        return key, batch["turn.action"][turns], later - np.where(goes_on, np.roll(later, -1), 0), after, later

    def _solve(self) -> None:
        """Best response in the game that the rows make up; where a key was seen too little it is worth what was gained there."""
        key, action, gain, after, later = (np.concatenate(column) for column in zip(*self.rows, strict=True))
        pair, of = np.unique(key * self.width + action, return_inverse=True)
        above, count = pair // self.width, np.bincount(of)
        visits = np.bincount(key, minlength=len(self.codes.strings))
        mean = np.bincount(key, later, len(visits)) / np.maximum(visits, 1)
        value, settled = np.full(len(mean), np.inf), mean
        while not np.array_equal(value, settled):  # ends after as many rounds as the seat has moves, for keys do not come again
            value = settled
            q = (np.bincount(of, gain + np.where(after < 0, 0, value[after])) + PRIOR * mean[above]) / (count + PRIOR)
            settled = np.full(len(mean), -np.inf)
            np.maximum.at(settled, above, q)
            settled = np.where(visits < SEEN, mean, settled)
        order = np.lexsort((-q, above))
        top = order[np.append(True, above[order][1:] != above[order][:-1])]
        known = self.codes.strings
        self.best = {
            known[k]: int(a) for k, a in zip(above[top].tolist(), (pair[top] % self.width).tolist(), strict=True) if visits[k] >= SEEN
        }


class _Responder(Immediate):
    """The table's action where it has one, or a random one in some cases; elsewhere as ``base`` plays."""

    def __init__(self, base: Agent, best: dict[str, int], explore: float) -> None:
        super().__init__()
        self.base, self.best, self.explore = base, best, explore

    def submit(self, request: Request) -> None:
        strings, codes = request.views.codes, request.views.keys()
        action = np.asarray([self.best.get(strings[code], -1) for code in codes.tolist()], np.int64)
        at_random = request.legal.at((uniform(request.seed, WHICH) * request.legal.lengths).astype(np.int64))
        action = np.where((action >= 0) & (uniform(request.seed, WHETHER) < self.explore), at_random, action)
        decided, rest = np.flatnonzero(action >= 0), np.flatnonzero(action < 0)
        if len(decided):
            part = request.take(decided)
            self._done.append(answer(part, action[decided], memory=part.memory))  # what the base remembers stays
        if len(rest):
            self.base.submit(request.take(rest))

    def poll(self, wait_s: float) -> Sequence[Decision]:
        decided = super().poll(wait_s)
        return [*decided, *self.base.poll(0.0 if decided else wait_s)]
