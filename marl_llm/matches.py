"""Which matches to play: a match is data, its id a hash of the rest, and schedules are balanced over seats and paired in deals."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations, product
from types import MappingProxyType
from typing import Literal

from marl_llm.game import Seat, Spec
from marl_llm.seeding import fold, name_key

OnFault = Literal["random", "forfeit", "void"]


@dataclass(frozen=True, slots=True)
class Rules:
    """What follows a fault: ``retries`` further attempts at the turn, then a random legal move (never learned from),
    the game lost by the offender, or the match set aside."""

    retries: int = 1
    then: OnFault = "random"


HOUSE_RULES = Rules()


@dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    """One match to play: who sits where, on which deal, and whose turns may be learned from."""

    game: Spec
    seed: int
    players: tuple[str, ...]
    learn: frozenset[Seat] = frozenset()
    opening: int = 0
    """Random legal moves played before the players take over; never learned from."""
    rules: Rules = HOUSE_RULES
    tags: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False)

    @property
    def id(self) -> int:
        """64 bits, equal in every process; a replayed match keeps it."""
        rest = [self.game, self.seed, self.players, sorted(self.learn), self.opening, self.rules.retries, self.rules.then]
        return name_key(json.dumps([*rest, sorted(self.tags.items())]))


def deal_seed(seed: int, k: int) -> int:
    """Seed of the ``k``-th deal of a schedule; the same deal serves every seating and every pairing."""
    return fold(seed, k) >> 1


def self_play(game: Spec, player: str, seats: int, count: int, seed: int, *, opening: int = 0) -> Iterator[Match]:
    """``count`` matches in which ``player`` holds and learns from every seat."""
    everyone = frozenset(range(seats))
    for k in range(count):
        yield Match(game=game, seed=deal_seed(seed, k), players=(player,) * seats, learn=everyone, opening=opening)


def seatings(agents: Sequence[str], seats: int) -> list[tuple[str, ...]]:
    """Every ordered seating of distinct agents; of all agents with repeats where there are fewer than ``seats``."""
    if len(agents) >= seats:
        return list(permutations(agents, seats))
    return [table for table in product(agents, repeat=seats) if len(set(table)) == len(agents)]


def round_robin(game: Spec, agents: Sequence[str], seats: int, rounds: int, seed: int, rules: Rules = HOUSE_RULES) -> Iterator[Match]:
    """``rounds`` deals, each played by every ordered seating, so that luck and seats cancel in every comparison."""
    tables = seatings(agents, seats)
    for k in range(rounds):
        for table in tables:
            yield Match(game=game, seed=deal_seed(seed, k), players=table, rules=rules)
