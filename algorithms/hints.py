"""Difficulty-aware augmentation (DeepVideo-R1; Park et al. 2025, arXiv 2506.07464): help where the player does worse than of late, trouble
where it does better.

A group is a seat on one deal; Delta = (mean success of the last iterations in that game and seat) - (mean success of the group). Hard ones,
Delta > 0, are played again with the first moves of the group's best match given; easy ones, Delta < 0, with an opening of random moves.
That the number of moves is linear in |Delta| is our reading: |Delta| times the moves of the best match. What is learned from is the group
that was played again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from algorithms.forks import Played
from algorithms.groups import cell_mean, group_of, learning, success
from algorithms.parts import Memory
from algorithms.samplers import Around
from marl_llm.algorithm import Setup
from marl_llm.errors import UserError
from marl_llm.matches import Match
from marl_llm.records import Batch

TAG = "help"


@dataclass(frozen=True, kw_only=True)
class DifficultyAware(Around):
    """The sampler around one of groups."""

    window: int = 20
    """Iterations that success is compared with."""

    def __post_init__(self) -> None:
        if self.window < 1:
            raise UserError(f"sampler.window is {self.window}; expected at least 1 iteration")

    def react(self, ended: Batch, step: int, setup: Setup, memory: Memory) -> Sequence[Match]:
        if (ended.tag(TAG) != "").any():
            return ()
        group, counted, match = group_of(ended, "seat", ("deal", "seat")), learning(ended), ended.up("seat", "match")
        delta, played = self._late(ended, memory) - cell_mean(group, success(ended), counted), Played.of(ended)
        rows = np.flatnonzero(counted)
        best = rows[np.lexsort((-ended["seat.return"][rows], group[rows]))]
        firsts = best[np.unique(group[best], return_index=True)[1]].tolist()
        size = np.bincount(group[rows])
        more: list[Match] = []
        for row in firsts:
            moves, seat = played.moves[match[row]], int(ended["seat.seat"][row])
            amount = min(round(abs(float(delta[row])) * len(moves)), len(moves) - 1)
            if amount < 1:
                continue
            ply = moves[amount][0] if delta[row] > 0 else 0
            again = played.fork(
                int(match[row]), ply, learn=frozenset({seat}), tags={TAG: f"{seat} {'hint' if delta[row] > 0 else 'noise'} {amount}"}
            )
            again = replace(again, opening=0 if delta[row] > 0 else amount)
            more += [replace(again, sample=again.sample + len(more) + k) for k in range(size[group[row]])]
        return more

    def accept(self, batch: Batch, memory: Memory) -> Batch:
        plain = batch.tag(TAG) == ""
        self._remember(batch.take(np.flatnonzero(plain)), memory)
        group, match = group_of(batch, "seat", ("deal", "seat")), batch.up("seat", "match")
        again = np.unique(group[learning(batch) & ~plain[match]])
        replaced = plain[match] & np.isin(group, again)
        learn = batch["turn.learn"].astype(bool) & ~replaced[batch.up("turn", "seat")]
        return super().accept(batch.with_columns(**{"turn.learn": learn}), memory)

    def _late(self, batch: Batch, memory: Memory) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        """Of every seat of a match the mean success of the last iterations, or of this one where there are none; shape [seats]."""
        now = cell_mean(group_of(batch, "seat", ("game", "seat")), success(batch), learning(batch))
        names = _names(batch)
        past = {name: [value for key, value in memory.items() if key.endswith(f" {name}")] for name in set(names)}
        return np.asarray([np.mean(past[name]) if past[name] else mean for name, mean in zip(names, now.tolist(), strict=True)])

    def _remember(self, batch: Batch, memory: Memory) -> None:
        mean = cell_mean(group_of(batch, "seat", ("game", "seat")), success(batch), learning(batch))
        place = int(memory.get("iterations", 0.0)) % self.window
        memory["iterations"] = memory.get("iterations", 0.0) + 1
        memory.update({f"{place} {name}": value for name, value in zip(_names(batch), mean.tolist(), strict=True)})


def _names(batch: Batch) -> list[str]:
    """Game and seat of every row of the seat level."""
    game = batch["match.game"][batch.up("seat", "match")]
    return [f"{batch.tables['game'][code]}/{seat}" for code, seat in zip(game.tolist(), batch["seat.seat"].tolist(), strict=True)]
