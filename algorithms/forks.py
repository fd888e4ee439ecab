"""Forks: a match that goes on from where another one was. The moves that lead there are given, and not learned from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from marl_llm.agent import OK
from marl_llm.matches import Match
from marl_llm.records import Batch

PLAIN: Mapping[str, str] = MappingProxyType({})
SAMPLES = 1 << 20
"""Forks number their samples from here on, so that they draw unlike the matches that were planned."""


@dataclass(frozen=True)
class Played:
    """The moves of some matches: ``moves[m]`` has (ply, seat, move) of match m in the order of play; moves at once share their ply."""

    batch: Batch
    moves: Sequence[Sequence[tuple[int, int, Any]]]

    @staticmethod
    def of(batch: Batch) -> Played:
        moves: list[list[tuple[int, int, Any]]] = [[] for _ in range(len(batch))]
        match, answers = batch.up("turn", "match"), batch.answers() if batch.size("turn") else []
        for turn in np.lexsort((batch["turn.ply"], match)).tolist():
            if batch["turn.fault"][turn] == OK:
                moves[match[turn]].append((int(batch["turn.ply"][turn]), int(batch["turn.seat"][turn]), answers[turn]))
        return Played(batch, moves)

    def fork(
        self,
        match: int,
        ply: int,
        moves: Sequence[tuple[int, Any]] = (),
        *,
        sample: int = 0,
        tags: Mapping[str, str] = PLAIN,
        learn: frozenset[int] | None = None,
    ) -> Match:
        """Match ``match`` again up to ``ply``, then with ``moves`` (seat, move) of those who act there; same players and deal. Seats are
        learned from as they were unless ``learn`` says which. Forks of one deal draw alike where their ``sample`` is the same."""
        batch = self.batch
        seats = np.arange(*batch.starts["seat"][match : match + 2])
        given: list[list[Any]] = [[] for _ in seats]
        for when, seat, move in self.moves[match]:
            if when < ply:
                given[seat].append(move)
        for seat, move in moves:
            given[seat].append(move)
        return Match(
            game=batch.tables["game"][batch["match.game"][match]],
            seed=int(batch["match.seed"][match]),
            players=tuple(batch.tables["player"][code] for code in batch["seat.player"][seats].tolist()),
            learn=frozenset(np.flatnonzero(batch["seat.learn"][seats]).tolist()) if learn is None else learn,
            sample=SAMPLES + sample,
            history=tuple(tuple(own) for own in given) if any(given) else (),
            tags=tags,
        )
