"""Fixed opponents to measure against: exactly where the game is small and both sides state their policy, else on paired deals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marl_llm import intervals, registry
from marl_llm.agent import Agent
from marl_llm.agents.pool import AgentPool
from marl_llm.errors import UserError
from marl_llm.exact import NotExact, expected_returns, join, policy_of, results
from marl_llm.game import Game
from marl_llm.intervals import Interval
from marl_llm.matches import Match, deal_seed
from marl_llm.play import play
from marl_llm.records import VOID, Batch
from marl_llm.seeding import fold
from marl_llm.tree import TooLarge, tree_of

AGENT, ANCHOR = "agent", "anchor"
IN_FLIGHT = 256
RESULTS = ("win", "draw", "loss")


@dataclass(frozen=True)
class SeatScore:
    """Of an agent in one seat: its mean return and, in a zero-sum game, its chances to win, draw and lose."""

    gain: Interval
    results: tuple[Interval, ...] = ()

    def json(self) -> dict[str, Any]:
        return {**self.gain.json(), **{name: chance.json() for name, chance in zip(RESULTS, self.results, strict=False)}}


@dataclass(frozen=True)
class MatchUp:
    """An agent against an anchor in all other seats: over all seats, and in each. An exact figure has an interval without
    width, and no games."""

    gain: Interval
    seats: Sequence[SeatScore]
    exact: bool

    def json(self) -> dict[str, Any]:
        return {**self.gain.json(), "exact": self.exact, "seats": [seat.json() for seat in self.seats]}


def policy_in(game: Game, agent: Agent) -> NDArray[np.float64] | None:
    """The policy of ``agent`` at every information set of a small game; None where the game is large or the agent states none."""
    if not game.info.enumerable:
        return None
    try:
        return policy_of(tree_of(game), agent)
    except (NotExact, TooLarge, TypeError):
        return None


def anchors_of(game: Game) -> list[str]:
    """What an agent is measured against unless told: random, and the strongest opponent that plays this game."""
    strong = ["minimax", "mcts:100"] if game.info.perfect_information else ["cfr", "ismcts:100"]
    for name in strong if game.info.enumerable else strong[1:]:
        try:
            list(play([Match(game=game.spec, seed=0, players=(name,) * game.info.seats)], AgentPool(), registry.game))
        except UserError:  # it says in one line why it cannot play this game
            continue
        return ["random", name]
    return ["random"]


def computed(game: Game, policy: NDArray[np.float64], anchor: Agent) -> MatchUp | None:
    """The match-up by a walk over the game's tree, where the anchor states its policy too; ``policy`` is the agent's, as
    ``policy_in`` tells it."""
    against = policy_in(game, anchor)
    if against is None:
        return None
    tree, scores = tree_of(game), []
    for seat in range(game.info.seats):
        both = join(tree, [policy if other == seat else against for other in range(game.info.seats)])
        chances = results(tree, both)[seat] if game.info.utility == "zero_sum" else []
        scores.append(SeatScore(_known(expected_returns(tree, both)[seat]), tuple(_known(p) for p in chances)))
    return MatchUp(_known(np.mean([score.gain.mean for score in scores])), scores, exact=True)


def _known(value: float | np.floating[Any]) -> Interval:
    return Interval(float(value), float(value), float(value), 0)


def played(
    game: Game, agent: Agent, anchor: Agent, deals: int, seed: int, *, advance: Callable[[int], None] = lambda matches: None
) -> MatchUp:
    """The match-up on paired deals: each of ``deals`` is played with the agent in every seat. ``advance`` is told of finished
    matches."""
    return scored(game, meet(game, agent, anchor, deals, seed, advance=advance))


def meet(game: Game, agent: Agent, anchor: Agent, deals: int, seed: int, *, advance: Callable[[int], None] = lambda matches: None) -> Batch:
    """The matches of ``played``; their players are named ``AGENT`` and ``ANCHOR``."""
    seats, pool = range(game.info.seats), AgentPool({AGENT: agent, ANCHOR: anchor})
    matches = (
        Match(game=game.spec, seed=deal_seed(fold(seed, 1), k), players=tuple(AGENT if s == seat else ANCHOR for s in seats))
        for k in range(deals)
        for seat in seats
    )
    batches = []
    for batch in play(matches, pool, registry.game, in_flight=IN_FLIGHT, keys=False):
        batches.append(batch)
        advance(len(batch))
    return Batch.concat(batches)


def scored(game: Game, batch: Batch) -> MatchUp:
    """What the matches that ``meet`` played come to."""
    whole = batch["match.end"][batch.up("seat", "match")] != VOID
    mine = np.flatnonzero(whole & (np.asarray(batch.tables["player"])[batch["seat.player"]] == AGENT))
    gain, place, deal = batch["seat.return"][mine], batch["seat.seat"][mine], batch["match.seed"][batch.up("seat", "match")][mine]
    scores = [_score(gain[place == seat], zero_sum=game.info.utility == "zero_sum") for seat in range(game.info.seats)]
    return MatchUp(intervals.mean(gain, deal), scores, exact=False)


def _score(gain: NDArray[np.float64], *, zero_sum: bool) -> SeatScore:
    counts = [int((np.sign(gain) == kind).sum()) for kind in (1, 0, -1)] if zero_sum else []
    return SeatScore(intervals.mean(gain), tuple(intervals.proportion(count, len(gain)) for count in counts))
