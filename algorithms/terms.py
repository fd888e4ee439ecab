"""Credit as ordered terms: which value, compared with which others, by which estimator; added up, and worked over once more.

    A(turn) = sum over terms of weight x estimate(value, group)

A term's statistics run over trajectories, each once, or over turns. GRPO is one term; GiGPO adds one whose groups are information
sets; SALT pools the sum over equal moves.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Literal

import numpy as np

from algorithms.estimators import Estimator, Standardise
from algorithms.groups import KEYS, Floats, Key, Level, Rows, cell_mean, group_of, learning, return_to_go
from algorithms.parts import Credit, Credited, Memory
from marl_llm.records import Batch

GRPO = Standardise()


@dataclass(frozen=True, kw_only=True)
class Term:
    """One comparison."""

    value: Literal["outcome", "to_go", "turn"] = "outcome"
    """What the match is worth to the seat (``seat.outcome``), the same for all its turns; what it earns from the turn on; or at it."""
    group: tuple[Key, ...] = ("deal", "seat")
    """What rows have in common that are compared. Seats of a zero-sum game never share a group: its mean would always be 0."""
    rows: Level = "seat"
    """What an outcome's statistics count once: a trajectory, or each of its turns. Other values are of turns."""
    estimator: Estimator = GRPO
    discount: float = 1.0
    """Of a return-to-go, an own turn."""
    weight: float = 1.0

    def of(self, batch: Batch, memory: Memory) -> Floats:
        """The term, shape [turns]."""
        own = batch.up("turn", "seat")
        if self.value == "outcome" and self.rows == "seat":
            rows = Rows(batch, "seat", batch["seat.outcome"], group_of(batch, "seat", self.group), learning(batch))
            return self.estimator.estimate(rows, memory)[own]
        if self.value == "outcome":
            value = batch["seat.outcome"][own]
        else:
            channel = batch.with_columns(**{"turn.sum": batch["turn.game"] + batch["turn.format"]})
            value = channel["turn.sum"] if self.value == "turn" else return_to_go(channel, "turn.sum", self.discount)
        rows = Rows(batch, "turn", value, group_of(batch, "turn", self.group), batch["turn.learn"].astype(bool))
        return self.estimator.estimate(rows, memory)


@dataclass(frozen=True)
class Finish:
    """What is done to the sum of the terms."""

    @property
    def reads(self) -> tuple[str, ...]:
        """Columns it needs beside what play always records."""
        return ()

    def finish(self, batch: Batch, advantage: Floats) -> Floats:
        """``advantage`` and what comes of it, shape [turns]; turns that are not learned from have 0."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Whiten(Finish):
    """Mean 0 and deviation 1 over all learned turns (REINFORCE++; Hu et al. 2025, arXiv 2501.03262)."""

    ddof: int = 1
    eps: float = 1e-8

    def finish(self, batch: Batch, advantage: Floats) -> Floats:
        chosen = advantage[batch["turn.learn"].astype(bool)]
        if len(chosen) <= self.ddof:
            return np.zeros(len(advantage))
        return (advantage - chosen.mean()) / (chosen.std(ddof=self.ddof) + self.eps)


@dataclass(frozen=True, kw_only=True)
class Pool(Finish):
    """Equal moves share their mean advantage (SALT's merged edges, arXiv 2510.20022); a move of its own keeps what it has."""

    keys: tuple[Key, ...] = ("deal", "seat", "view", "action")

    def finish(self, batch: Batch, advantage: Floats) -> Floats:
        return cell_mean(group_of(batch, "turn", self.keys), advantage, batch["turn.learn"].astype(bool))


@dataclass(frozen=True, kw_only=True)
class EntropyBonus(Finish):
    """A + min(weight x H, |A| / cap), H the mean entropy of the turn's choices as sampled (Cheng et al. 2025, arXiv 2506.14758): an
    uncertain turn is encouraged, and ``cap`` above 1 lets no sign change."""

    weight: float = 0.4
    cap: float = 2.0

    @property
    def reads(self) -> tuple[str, ...]:
        return ("turn.entropy",)

    def finish(self, batch: Batch, advantage: Floats) -> Floats:
        return advantage + np.minimum(self.weight * batch["turn.entropy"], np.abs(advantage) / self.cap)


@dataclass(frozen=True, kw_only=True)
class Terms(Credit):
    """The sum of some terms. A loss that compares trajectories compares those that the first term's group puts together."""

    terms: tuple[Term, ...] = (Term(),)
    finish: tuple[Finish, ...] = ()

    @property
    def reads(self) -> tuple[str, ...]:
        inside = (*(part.estimator.reads for part in self.terms), *(part.reads for part in self.finish))
        return "turn.game", "turn.format", "seat.outcome", *chain.from_iterable(inside)

    def assign(self, batch: Batch, memory: Memory) -> Credited:
        counted = batch["turn.learn"].astype(bool)
        advantage = np.where(counted, sum(term.weight * term.of(batch, memory) for term in self.terms), 0.0)
        for finish in self.finish:
            advantage = np.where(counted, finish.finish(batch, advantage), 0.0)
        shared = tuple(key for key in self.terms[0].group if KEYS[key][0] != "turn")
        return Credited(advantage, group=group_of(batch, "seat", shared)[batch.up("turn", "seat")])
