"""Lookahead tree rollouts (LATR; Xing et al. 2025, arXiv 2510.24302): matches branch where the policy wavers, and branches that go like
their parent are cut off.

A turn of a match opens a branch for the likeliest other move c where p(c) > ``least`` and p(1) - p(c) < ``gap``, with p(1) the likeliest
move's. The branch is a fork with that move, played to its end. It is dropped if its next moves are those of its parent, nearly: an edit
distance below ``alike`` of the longer. What is left of a deal's matches is its group, filled up with plain ones.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from algorithms.columns import LEGAL
from algorithms.forks import Played
from algorithms.groups import group_of
from algorithms.parts import Memory, Sampler
from algorithms.samplers import Around, Groups
from marl_llm.agent import OK
from marl_llm.algorithm import Setup
from marl_llm.errors import within
from marl_llm.matches import Match
from marl_llm.ragged import Ragged, padded
from marl_llm.records import Batch
from marl_llm.seeding import fold, uniform

ROUND, PARENT, PLY, FILLED = "round", "parent", "ply", "filled"
TREES = 8  # name of a random stream
ONE_EACH = Groups(size=1)


@dataclass(frozen=True, kw_only=True)
class Lookahead(Around):
    """The sampler; ``inner`` plans the trunks, one a deal."""

    inner: Sampler = ONE_EACH
    leaves: int = 8
    """Matches of a deal that are learned from."""
    least: float = 0.25
    gap: float = 0.15
    moves: int = 20
    """Moves of all seats, from the branch's own on, that are compared with the parent's."""
    alike: float = 0.4
    shares: tuple[float, ...] = (1.0, 0.75, 0.5, 0.25)
    """Share of the deals that branch, in successive stages; the others are sampled plainly."""
    stage: int = 50
    """Iterations of a stage."""

    def __post_init__(self) -> None:
        within("sampler", self, 1, inf, "leaves", "moves", "stage")
        within("sampler", self, 0, 1, "least", "gap", "alike")

    @property
    def reads(self) -> tuple[str, ...]:
        return (*super().reads, *LEGAL)

    def react(self, ended: Batch, step: int, setup: Setup, memory: Memory) -> Sequence[Match]:
        told = ended.tag(ROUND, "0").astype(str)
        if (told == FILLED).any():
            return ()
        deal, kept, played = group_of(ended, "match", ("deal",)), self.kept(ended), Played.of(ended)
        share = self.shares[min(step // self.stage, len(self.shares) - 1)]
        tree = uniform(fold(setup.seed, step, TREES), ended["match.seed"]) < share
        room = dict(zip(*np.unique(deal, return_counts=True), strict=True))
        room = {one: self.leaves - int(np.count_nonzero(kept & (deal == one))) for one in room}
        newest = np.max(told.astype(int))
        more: list[Match] = []
        for turn, move in self.branches(ended):
            match = int(ended.up("turn", "match")[turn])
            if kept[match] and tree[match] and int(told[match]) == newest and room[deal[match]] > 0:
                room[deal[match]] -= 1
                ply, seat = int(ended["turn.ply"][turn]), int(ended["turn.seat"][turn])
                tags = {ROUND: str(newest + 1), PARENT: str(ended["match.plan"][match]), PLY: str(ply)}
                more.append(played.fork(match, ply, [(seat, move)], sample=len(ended) + len(more), tags=tags))
        if more:
            return more
        first = np.unique(deal, return_index=True)[1].tolist()
        return [played.fork(match, 0, sample=len(ended) + k, tags={ROUND: FILLED}) for match in first for k in range(room[deal[match]])]

    def accept(self, batch: Batch, memory: Memory) -> Batch:
        return super().accept(batch.take(np.flatnonzero(self.kept(batch))), memory)

    def branches(self, batch: Batch) -> Sequence[tuple[int, int]]:
        """Turns that open a branch, the earliest in their matches first, and the move that it begins with."""
        rows, logp = batch.ragged("legal.action"), batch.ragged("legal.logp")
        p, turn = np.exp(logp.data.astype(np.float64)), rows.row_of()
        best = padded(Ragged(p, rows.starts)).max(1, initial=0.0)
        own = batch["turn.learn"].astype(bool) & (batch["turn.fault"] == OK)
        other = own[turn] & (rows.data != batch["turn.action"][turn]) & (p > self.least) & (best[turn] - p < self.gap)
        entries = np.flatnonzero(other)
        entries = entries[np.lexsort((-p[entries], batch["turn.ply"][turn[entries]]))]
        first = np.sort(np.unique(turn[entries], return_index=True)[1])
        return list(zip(turn[entries[first]].tolist(), rows.data[entries[first]].tolist(), strict=True))

    def kept(self, batch: Batch) -> NDArray[np.bool_]:
        """Matches that are no copies of their parents, shape [matches]."""
        kept, played = np.ones(len(batch), bool), Played.of(batch)
        row = {int(plan): match for match, plan in enumerate(batch["match.plan"].tolist())}
        parent, ply = batch.tag(PARENT), batch.tag(PLY)
        for match in np.flatnonzero(parent != "").tolist():
            both = [[move for move in played.moves[m] if move[0] >= int(ply[match])] for m in (match, row[int(parent[match])])]
            own, parents = ([(seat, move) for _, seat, move in moves[: self.moves]] for moves in both)
            kept[match] = edit_distance(own, parents) >= self.alike * max(len(own), len(parents), 1)
        return kept


def edit_distance(a: Sequence[Hashable], b: Sequence[Hashable]) -> int:
    """Fewest insertions, deletions and replacements that make ``b`` of ``a`` (Levenshtein)."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]
