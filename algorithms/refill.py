"""Dynamic sampling (DAPO; Yu et al. 2025, arXiv 2503.14476): groups whose matches all ended alike are dropped, and more deals played."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from algorithms.groups import cell_mean, cell_sum, group_of, learning, success
from algorithms.parts import Memory
from algorithms.samplers import Around
from marl_llm.algorithm import Setup
from marl_llm.errors import UserError
from marl_llm.matches import Match
from marl_llm.ragged import segment_sum
from marl_llm.records import Batch
from marl_llm.seeding import fold

MORE = 2  # name of a random stream
LEAST = 1 / 8
"""Share of deals that count, at least, when it is judged how many more to play."""


@dataclass(frozen=True, kw_only=True)
class Refill(Around):
    """Plays a game's deals until as many are worth learning from as were planned.

    A group is a seat on one deal with the same players. It is learned from where its returns differ and its share of successes lies
    in the band; a deal counts where one of its groups does. So many more are asked for at a time as should be needed by the share that
    counted so far, and those left over are learned from as well.
    """

    most: int = 3
    """Deals played at most, in multiples of those planned."""
    low: float = 0.0
    high: float = 1.0
    """Band of the share of successes (see ``success``): SRPO keeps 0.1 to 0.9."""

    def __post_init__(self) -> None:
        if self.most < 1:
            raise UserError(f"sampler.most is {self.most}; expected at least 1, the deals planned")

    def react(self, ended: Batch, step: int, setup: Setup, memory: Memory) -> Sequence[Match]:
        good, more = _any(ended, self.kept(ended)), []
        for k, spec in enumerate(setup.games):
            wanted = len({match.seed for match in self.inner.plan(step, replace(setup, games=(spec,)), memory)})
            here = np.asarray(ended.tables["game"])[ended["match.game"]] == spec
            played, kept = (len(np.unique(ended["match.seed"][rows])) for rows in (here, here & good))
            count = min(int(np.ceil((wanted - kept) / max(kept / played, LEAST))), self.most * wanted - played)
            if count > 0:
                fresh = replace(setup, games=(spec,), seed=fold(setup.seed, MORE, k, played))
                planned = self.inner.plan(step, fresh, memory)
                chosen = set(list(dict.fromkeys(match.seed for match in planned))[:count])
                more += [match for match in planned if match.seed in chosen]
        return more

    def accept(self, batch: Batch, memory: Memory) -> Batch:
        batch = super().accept(batch, memory)
        kept = self.kept(batch)
        learn = batch["turn.learn"].astype(bool) & kept[batch.up("turn", "seat")]
        return batch.with_columns(**{"turn.learn": learn}).take(np.flatnonzero(_any(batch, kept)))

    def kept(self, batch: Batch) -> NDArray[np.bool_]:
        """Seats of matches whose groups are learned from, shape [seats]."""
        group, counted = group_of(batch, "seat", ("game", "deal", "seat")), learning(batch)
        share = cell_mean(group, success(batch), counted)
        away = np.abs(batch["seat.return"] - cell_mean(group, batch["seat.return"], counted))
        return counted & (cell_sum(group, away, counted) > 1e-9) & (share >= self.low) & (share <= self.high)


def _any(batch: Batch, seats: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Matches of which a seat is among ``seats``, shape [matches]."""
    return segment_sum(seats, batch.starts["seat"]) > 0
