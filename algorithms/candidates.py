"""Pref-GRPO (arXiv 2508.20751) on games: the candidates of a deal play each other, and a candidate is worth the share that it beats.

The paper has a judge prefer one of two samples, for every pair of a group: r(i) = wins / (N - 1), a tie half a win. In a game of two
seats candidates meet on the board: candidate i is the policy with its i-th stream of draws, which is the same whoever it meets. Every pair
meets in both seatings, so the win rates of a group add up to N / 2, and no seat has an advantage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np

from algorithms.groups import cell_mean, combined, group_of
from algorithms.parts import PLAYER, Memory, OutcomeTransform, Sampler
from marl_llm.algorithm import Requires, Setup, Unsuitable
from marl_llm.errors import UserError
from marl_llm.matches import Match, self_play
from marl_llm.records import VOID, Batch
from marl_llm.seeding import fold

TAG = "candidates"
OPPONENTS = Requires(utility=("zero_sum", "general"), message=True)


@dataclass(frozen=True, kw_only=True)
class Candidates(Sampler):
    """On every deal all ordered pairs of candidates; the tag ``candidates`` says who sits where."""

    deals: int = 32
    """Deals a game and iteration."""
    size: int = 4
    """Candidates a deal, N: N (N - 1) matches."""

    def plan(self, step: int, setup: Setup, memory: Memory) -> Sequence[Match]:
        planned: list[Match] = []
        for k, spec in enumerate(setup.games):
            info = setup.load(spec).info
            OPPONENTS.check("a Candidates sampler, where one must beat another,", info)
            if info.seats != 2:
                raise Unsuitable(f"candidates meet in pairs, and {spec} has {info.seats} seats; give a game of 2 seats")
            for match in self_play(spec, PLAYER, 2, self.deals, fold(setup.seed, step, k)):
                planned += [replace(match, streams=pair, tags={TAG: "{} {}".format(*pair)}) for pair in permutations(range(self.size), 2)]
        return planned


@dataclass(frozen=True, kw_only=True)
class WinRate(OutcomeTransform):
    """In the outcome's place the share of its opponents on the deal that a candidate's outcome is above, ties half."""

    def channels(self, batch: Batch, units: Mapping[str, float], memory: Memory) -> Batch:
        told, of = np.unique(batch.tag(TAG).astype(str), return_inverse=True)
        if "" in told:
            raise UserError("WinRate compares candidates, and the matches name none; give the method a Candidates sampler")
        candidate = np.asarray([pair.split() for pair in told], np.int64)[of].reshape(-1)
        outcome = batch["seat.outcome"].reshape(-1, 2)
        score = (1 + np.sign(np.round(outcome - outcome[:, ::-1], 9))).reshape(-1) / 2
        played = (batch["match.end"] != VOID)[batch.up("seat", "match")]
        return batch.with_columns(**{"seat.outcome": cell_mean(combined([group_of(batch, "seat", ("deal",)), candidate]), score, played)})
