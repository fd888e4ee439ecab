"""Who sits together, and in which seats: the tables of one deal, balanced so that luck and seats cancel."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, permutations, product
from math import perm

from marl_llm.errors import UserError
from marl_llm.game import GameInfo
from marl_llm.matches import seatings
from marl_llm.seeding import generator

Tables = list[tuple[str, ...]]
MOST = 100_000
SHUFFLE, CIRCLE = 1, 2  # names of random streams


def rotations(table: Sequence[str]) -> Tables:
    """The table with everyone moved on by a seat, as often as that gives another one: each sits in each seat equally often."""
    return list(dict.fromkeys((*table[k:], *table[:k]) for k in range(len(table))))


def every_seating(agents: tuple[str, ...], seats: int) -> Tables:
    """All ordered tables of different agents, with repeats where there are fewer than seats; UserError where they are too many."""
    _affordable(_ways(len(agents), seats), agents, seats)
    return seatings(agents, seats)


def against_pool(agents: tuple[str, ...], seats: int) -> Tables:
    """The first agent in every seat among all ordered tables of the others, with repeats where these are too few; UserError where
    they are too many."""
    new, *pool = agents
    _affordable(seats * _ways(len(pool), seats - 1), agents, seats)
    others = permutations(pool, seats - 1) if len(pool) >= seats - 1 else product(pool, repeat=seats - 1)
    return [(*table[:seat], new, *table[seat:]) for table in others for seat in range(seats)]


def _ways(agents: int, seats: int) -> int:
    """Ordered tables, of different agents where there are enough."""
    return perm(agents, seats) if agents >= seats else agents**seats


def _affordable(ways: int, agents: tuple[str, ...], seats: int) -> None:
    if ways > MOST:
        fit = f"format 'tables' has {len(agents) // seats * seats} matches a deal" if len(agents) >= seats else "format 'teams' has fewer"
        raise UserError(f"{len(agents)} agents sit at {seats} seats in {ways:,} ways, too many for every deal; {fit}")


def mixed_teams(agents: tuple[str, ...], info: GameInfo) -> Tables:
    """Agents as teams. Where the game has two teams or more, every ordered choice of agents, each in all seats of a team.

    Elsewhere every agent alone with copies of itself, and every two agents in all proportions: ``k`` seats of one and the rest
    of the other, everyone moved round the table.
    """
    if len(info.teams) > 1:
        side = {seat: team for team, seats in enumerate(info.teams) for seat in seats}
        return [tuple(one[side[seat]] for seat in range(info.seats)) for one in seatings(agents, len(info.teams))]
    alone = [(agent,) * info.seats for agent in agents]
    shares = range(1, info.seats)
    return alone + [table for a, b in combinations(agents, 2) for k in shares for table in rotations([a] * k + [b] * (info.seats - k))]


def balanced(agents: tuple[str, ...], seats: int, seed: int, k: int) -> Tables:
    """Deal ``k`` of a schedule in which company changes: agents are shuffled into full tables, and each table is played in all
    its rotations. Over as many deals as there are agents, all sit out equally often."""
    n = len(agents)
    out = n % seats
    circle = generator(seed, CIRCLE, k // n).permutation(n)
    seated = [int(circle[(k * out + place) % n]) for place in range(n - out)]
    order = generator(seed, SHUFFLE, k).permutation(len(seated)).tolist()
    shuffled = [agents[seated[place]] for place in order]
    return [table for first in range(0, len(shuffled), seats) for table in rotations(shuffled[first : first + seats])]
