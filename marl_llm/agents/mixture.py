"""An agent that draws one of its members for every match and seat, and keeps to it: a mixed strategy over policies.

The draw stands in the travelling memory, with the member's own memory inside. On a small tree the mixture has an exact policy, the
realisation-weighted average of its members', which plays alike (Kuhn 1953). Averaging their probabilities at each information set
is something else.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from marl_llm.agent import Agent, Decision, Request
from marl_llm.agents.saved import load_agent
from marl_llm.boards import BrokenView
from marl_llm.checkpoint import load_json, save_json
from marl_llm.errors import UserError
from marl_llm.exact import AveragedPolicy, policy_of
from marl_llm.ragged import Ragged
from marl_llm.seeding import fold, uniform
from marl_llm.tree import Tree, TreeViews

MEMBER = 5  # name of a random stream


class Mixture:
    """``folders`` are saved agents, read when first drawn; ``weights`` [seats, members] say how often each seat draws each."""

    def __init__(self, folders: Sequence[Path], weights: ArrayLike) -> None:
        self.become(folders, weights)

    def become(self, folders: Sequence[Path], weights: ArrayLike) -> None:
        """Be another mixture from the next match on; UserError unless every seat's weights are probabilities."""
        self.folders, self.weights = list(folders), np.asarray(weights, np.float64)
        shape, sums = self.weights.shape, self.weights.sum(-1)
        if len(shape) != 2 or shape[1] != len(self.folders) or self.weights.min() < 0 or abs(sums - 1).max() > 1e-6:
            raise UserError(
                f"a mixture of {len(self.folders)} members has weights {self.weights.tolist()}; "
                "expected a row for every seat with a probability for every member"
            )
        self._averaged: tuple[Tree, NDArray[np.float64]] | None = None
        self.release()

    def release(self) -> None:
        """Keep no member in memory: each is as it was saved when it plays next, whatever it has computed since."""
        self._members: dict[int, Agent] = {}
        self._asked: dict[int, int] = {}

    def member(self, k: int) -> Agent:
        """Member ``k``, the same object until it is released."""
        if k not in self._members:
            self._members[k] = load_agent(self.folders[k])
        return self._members[k]

    def submit(self, request: Request) -> None:
        member, inner = self._drawn(request)
        asked: list[int] = []
        for k in np.unique(member).tolist():
            rows = np.flatnonzero(member == k)
            part = replace(request.take(rows), memory=[inner[i] for i in rows.tolist()])
            try:
                self.member(k).submit(part)
            except BrokenView:  # play asks again without that match, and must not get these answers then
                for other in asked:
                    self._asked[other] -= sum(len(decision.id) for decision in self.member(other).poll(0))
                raise
            asked.append(k)
            self._asked[k] = self._asked.get(k, 0) + len(rows)

    def poll(self, wait_s: float) -> Sequence[Decision]:
        decisions: list[Decision] = []
        for k in [k for k, left in self._asked.items() if left]:
            for decision in self.member(k).poll(0 if decisions else wait_s):
                self._asked[k] -= len(decision.id)
                decisions.append(replace(decision, memory=[(k, memory) for memory in decision.memory]))
        return decisions

    def _drawn(self, request: Request) -> tuple[NDArray[np.int64], list[Any]]:
        """Of every row its member, drawn where the memory is still empty, and that member's own memory."""
        self._check(request.views.game.info.seats)
        mass = np.cumsum(self.weights, axis=1)
        mass /= mass[:, -1:]
        member = (mass[request.seat] <= uniform(fold(request.seed, MEMBER))[:, None]).sum(1)
        inner: list[Any] = [None] * len(request)
        for i, memory in enumerate(request.memory):
            if memory is not None:
                member[i], inner[i] = memory
        return member, inner

    def policy(self, request: Request) -> Ragged:
        """What play looks like from outside, on a game small enough to be a tree; TypeError elsewhere, NotExact without perfect recall."""
        if not isinstance(request.views, TreeViews):
            raise TypeError("a mixture has no policy by view alone: it depends on which member was drawn")
        tree = request.views.tree
        if self._averaged is None or self._averaged[0] is not tree:
            self._check(tree.info.seats)
            average = AveragedPolicy(tree)
            for k in np.flatnonzero(self.weights.any(0)).tolist():
                average.add(policy_of(tree, self.member(k)), self.weights[:, k])
            self._averaged = tree, average.policy()
        return Ragged(self._averaged[1], tree.legal.starts).take(request.views.infosets)

    def _check(self, seats: int) -> None:
        if seats != len(self.weights):
            raise UserError(f"a mixture for {len(self.weights)} seats cannot play a game of {seats}; train one on this game")

    def save(self, folder: Path) -> None:
        """The members that some seat draws, each in a folder of its own, and their weights; ``load`` reads them."""
        drawn = np.flatnonzero(self.weights.any(0)).tolist()
        for k in drawn:
            shutil.copytree(self.folders[k], folder / f"member{k}")
        card = {"loader": "mixture", "members": [f"member{k}" for k in drawn], "weights": self.weights[:, drawn].tolist()}
        save_json(folder / "agent.json", card)


def load(folder: Path) -> Mixture:
    """What ``Mixture.save`` wrote."""
    card = load_json(folder / "agent.json")
    return Mixture([folder / name for name in card["members"]], card["weights"])
