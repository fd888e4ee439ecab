"""Levels of trajectories, for losses that prefer the higher of a pair (see ``algorithms.joint.Pairs``)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from algorithms.groups import Key, group_of
from algorithms.parts import Credit, Credited, Memory
from marl_llm.agent import OK
from marl_llm.ragged import segment_sum
from marl_llm.records import Batch


@dataclass(frozen=True, kw_only=True)
class Levels(Credit):
    """The advantage of every turn is its trajectory's level: 0 with a faulty answer in it, else 1 and one more for each of ``above`` that
    its outcome exceeds: lost 1, drawn 2, won 3."""

    above: tuple[float, ...] = (-1e-9, 1e-9)
    group: tuple[Key, ...] = ("game", "deal", "seat")
    """What trajectories have in common that are compared."""

    @property
    def reads(self) -> tuple[str, ...]:
        return ("seat.outcome",)

    def assign(self, batch: Batch, memory: Memory) -> Credited:
        faulty = segment_sum(batch["turn.fault"] != OK, batch.starts["turn"]) > 0
        level = np.where(faulty, 0.0, 1.0 + np.searchsorted(np.sort(self.above), batch["seat.outcome"]))
        own = batch.up("turn", "seat")
        return Credited(level[own], group=group_of(batch, "seat", self.group)[own])
