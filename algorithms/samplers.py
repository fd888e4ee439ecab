"""Which matches a method learns from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from algorithms.parts import PLAYER, Memory, Sampler
from marl_llm.agent import Agent
from marl_llm.algorithm import Setup
from marl_llm.errors import UserError
from marl_llm.game import Seat, Spec
from marl_llm.league import Draw
from marl_llm.matches import Match, self_play
from marl_llm.records import Batch
from marl_llm.seeding import fold

OPPONENTS = 1  # name of a random stream


@dataclass(frozen=True, kw_only=True)
class SelfPlay(Sampler):
    """The player holds every seat."""

    matches: int = 4096
    """Matches a game and iteration."""
    opening: int = 0
    """Longest opening, half of whose moves are random, so that play which narrows onto a few lines still meets the rest; all
    lengths from 0 on are equally frequent. 0 for games with chance enough of their own."""

    def plan(self, step: int, setup: Setup, memory: Memory) -> Sequence[Match]:
        planned: list[Match] = []
        for k, spec in enumerate(setup.games):
            seats = setup.load(spec).info.seats
            deals = fold(setup.seed, step, k)
            if not self.opening:
                planned += self_play(spec, PLAYER, seats, self.matches, deals)
            else:  # every length of opening from none to the longest, equally often
                share = self.matches // (self.opening + 1)
                for length in range(self.opening + 1):
                    planned += self_play(spec, PLAYER, seats, share, fold(deals, length), opening=length)
        return planned


@dataclass(frozen=True, kw_only=True)
class Groups(Sampler):
    """Self-play in which every deal is played several times, for credits that compare matches on one deal."""

    deals: int = 64
    """Deals a game and iteration."""
    size: int = 8
    """Matches a deal."""

    def plan(self, step: int, setup: Setup, memory: Memory) -> Sequence[Match]:
        return [
            replace(match, sample=sample)
            for k, spec in enumerate(setup.games)
            for match in self_play(spec, PLAYER, setup.load(spec).info.seats, self.deals, fold(setup.seed, step, k))
            for sample in range(1, self.size + 1)
        ]


GROUPS = Groups()


@dataclass(frozen=True, kw_only=True)
class Around(Sampler):
    """A sampler that does something more to the matches of another."""

    inner: Sampler = GROUPS
    """The matches as they are without it."""

    @property
    def reads(self) -> tuple[str, ...]:
        return self.inner.reads

    def plan(self, step: int, setup: Setup, memory: Memory) -> Sequence[Match]:
        return self.inner.plan(step, setup, memory)

    def react(self, ended: Batch, step: int, setup: Setup, memory: Memory) -> Sequence[Match]:
        return self.inner.react(ended, step, setup, memory)

    def notes(self, setup: Setup, memory: Memory) -> tuple[str, ...]:
        return self.inner.notes(setup, memory)

    def companions(self, agent: Agent) -> Mapping[str, Agent]:
        return self.inner.companions(agent)

    def accept(self, batch: Batch, memory: Memory) -> Batch:
        return self.inner.accept(batch, memory)


def against(match: Match, opponent: str, seat: Seat) -> Match:
    """``match`` with ``opponent`` in all seats but ``seat``, which the player holds and alone learns from."""
    players = tuple(PLAYER if s == seat else opponent for s in range(len(match.players)))
    return match if opponent == PLAYER else replace(match, players=players, learn=match.learn & {seat})


def as_player(batch: Batch, companion: str) -> Batch:
    """``batch``, in which what ``companion`` played counts as the player's own; groups are then of both."""
    names = list(dict.fromkeys([*batch.tables["player"], PLAYER]))
    known = np.asarray([names.index(PLAYER if name == companion else name) for name in batch.tables["player"]])
    code = batch["seat.player"]
    return replace(batch, tables={**batch.tables, "player": names}).with_columns(**{"seat.player": np.where(code < 0, code, known[code])})


@dataclass(frozen=True, kw_only=True)
class LeaguePlay(Sampler):
    """Self-play in which a share of the deals is played against past policies, and anchors may hold seats of their own.

    On such a deal the player holds one seat, each in turn, and one member of the league all others. It learns from the turns in
    its own seats alone, unless told to replay the others'.
    """

    mirror: Sampler = SelfPlay()
    """The matches, as they are where no one else takes a seat."""
    share_of_past: float = 0.5
    """Share of deals against past policies."""
    draw: Draw = "prioritised"
    """Which past policies: all equally often, or those more often that the player seldom beats."""
    every: int = 25
    """Iterations from one joining of the player's policy to the next; the first joins before anything is learned."""
    opponents: int = 4
    """Draws an iteration; so many past policies at most are in memory."""
    anchors: Mapping[Seat, str] = field(default_factory=dict)
    """Agents by the seat that they hold in every match, such as {1: minimax}."""
    replay: bool = False
    """Learn from past policies' turns as well, with the probabilities that they recorded: for losses that are right off the policy."""

    def __post_init__(self) -> None:
        if not 0 <= self.share_of_past <= 1:
            raise UserError(f"sampler.share_of_past is {self.share_of_past}; expected a share between 0 and 1")
        for name in ("every", "opponents"):
            if getattr(self, name) < 1:
                raise UserError(f"sampler.{name} is {getattr(self, name)}; expected at least 1")

    def plan(self, step: int, setup: Setup, memory: Memory) -> Sequence[Match]:
        if setup.league is None:
            raise UserError("a LeaguePlay sampler needs a league, and only marl-llm train keeps one; give a recipe with SelfPlay")
        if step % self.every == 0 and f"{PLAYER}@{step}" not in setup.league.members:
            setup.league.add(PLAYER, step)
        return self._everyone(self.mirror.plan(step, setup, memory), step, setup)

    def react(self, ended: Batch, step: int, setup: Setup, memory: Memory) -> Sequence[Match]:
        return self._everyone(self.mirror.react(ended, step, setup, memory), step, setup)

    def notes(self, setup: Setup, memory: Memory) -> tuple[str, ...]:
        return self.mirror.notes(setup, memory)

    def accept(self, batch: Batch, memory: Memory) -> Batch:
        return self.mirror.accept(batch, memory)

    def _everyone(self, matches: Sequence[Match], step: int, setup: Setup) -> Sequence[Match]:
        """``matches`` with everybody in place; those of one deal are seated alike."""
        assert setup.league is not None
        drawn = {
            spec: setup.league.draw(self.draw, PLAYER, spec, self.opponents, fold(setup.seed, step, k, OPPONENTS))
            for k, spec in enumerate(setup.games)
        }
        number: dict[Spec, dict[int, int]] = {spec: {} for spec in setup.games}
        seated = []
        for match in matches:
            deals = number[match.game]
            seated.append(self._seated(match, deals.setdefault(match.seed, len(deals)), drawn[match.game]))
        return seated

    def _seated(self, match: Match, deal: int, members: Sequence[str]) -> Match:
        """``match``, the ``deal``-th of its game, with everybody in place. Deals against past policies are spread evenly; on
        successive ones the player moves from seat to seat, and then meets the next of ``members``."""
        free = [seat for seat in range(len(match.players)) if seat not in self.anchors]
        if not free or len(free) + len(self.anchors) != len(match.players):
            seats = ", ".join(map(str, sorted(self.anchors)))
            raise UserError(f"sampler.anchors names seats {seats} of {match.game}, which has {len(match.players)}; leave one to the player")
        before, after = int(deal * self.share_of_past), int((deal + 1) * self.share_of_past)
        round_, place = divmod(before, len(free))
        mine = {free[place]} if after > before else set(free)
        other = members[round_ % len(members)]
        players = tuple(PLAYER if seat in mine else self.anchors.get(seat, other) for seat in range(len(match.players)))
        return replace(match, players=players, learn=match.learn - set(self.anchors) if self.replay else match.learn & mine)
