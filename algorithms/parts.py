"""The five parts of a policy-gradient method, and their composition. A published method is one instance of ``Method``.

    Sampler          which matches are played
    RewardTransform  what a turn is worth, in named channels
    Credit           an advantage for every turn
    Loss             what is minimised over the learned choices
    Learner          how the policy's parameters follow it

A part is a dataclass of settings; configuration re-numbers an instance and never swaps its class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from marl_llm.agent import Agent
from marl_llm.algorithm import Algorithm, Setup
from marl_llm.game import GameInfo
from marl_llm.matches import Match
from marl_llm.records import Batch

PLAYER = "self"
"""Name of the trained player in matches and checkpoints."""


@dataclass(frozen=True)
class Sampler:
    """Plans matches. ``plan`` is a function of the iteration and the root seed alone."""

    def plan(self, step: int, setup: Setup) -> Sequence[Match]:
        raise NotImplementedError


@dataclass(frozen=True)
class RewardTransform:
    """Adds reward channels: columns named after the channel at token, turn or match level."""

    def channels(self, batch: Batch, games: Mapping[str, GameInfo]) -> Batch:
        raise NotImplementedError


@dataclass(frozen=True)
class Credit:
    """One advantage a turn, float64 of shape [turns]."""

    def advantage(self, batch: Batch) -> NDArray[np.float64]:
        raise NotImplementedError


@dataclass(frozen=True)
class Choices:
    """What a loss sees: every learned choice of a batch, one row each (a token that was not forced, or a whole move).

    A *context* is all that determines a distribution (prompt, reply so far, support); equal contexts are one row of the
    tables, however often they were met. Shapes: N choices, C contexts, S places of the widest support.

    ``context`` [N], ``place`` [N] in the support, ``turn`` [N] row of the batch, ``logp`` [N] as sampled; ``old`` [C, S]
    the log-probabilities it was sampled from (-inf beyond the support), ``count`` [C] choices.
    """

    context: Tensor
    place: Tensor
    turn: NDArray[np.int64]
    logp: Tensor
    old: Tensor
    count: Tensor

    @staticmethod
    def of(context: NDArray[np.int64], place: NDArray[np.int64], turn: NDArray[np.int64], old: Tensor) -> Choices:
        rows, places = torch.from_numpy(context), torch.from_numpy(place)
        count = torch.bincount(rows, minlength=len(old)).to(old.dtype)
        return Choices(rows, places, turn, old[rows, places], old, count)

    def take(self, contexts: NDArray[np.int64]) -> tuple[Choices, NDArray[np.int64]]:
        """The choices made in the given contexts, which are renumbered in that order; and which choices these are."""
        number = np.full(len(self.old), -1)
        number[contexts] = np.arange(len(contexts))
        mine = np.flatnonzero(number[self.context.numpy()] >= 0)
        return Choices.of(number[self.context.numpy()[mine]], self.place.numpy()[mine], self.turn[mine], self.old[contexts]), mine


@dataclass(frozen=True)
class Loss:
    """A scalar to minimise, from the policy's log-probabilities over all supports."""

    def value(
        self, logp: Tensor, choices: Choices, advantage: Tensor, magnet: Tensor | None, progress: float
    ) -> tuple[Tensor, dict[str, float]]:
        """``logp`` and ``magnet`` [C, S], ``advantage`` [N]; ``progress`` runs from 0 to 1. The loss and figures to log."""
        raise NotImplementedError


class Policy(Protocol):
    """What a learner trains: parameters and, with gradients, log-probabilities of a batch's contexts."""

    @property
    def agent(self) -> Agent:
        """The player, live."""
        ...

    def parameters(self) -> list[Tensor]: ...

    def choices(self, batch: Batch) -> Choices:
        """The learned choices of ``batch``; the contexts laid out here serve ``log_probs`` until the next call."""
        ...

    def log_probs(self, contexts: NDArray[np.int64]) -> Tensor:
        """Log-probabilities over the supports of the given contexts, shape [len(contexts), S]."""
        ...

    def updated(self) -> None:
        """Parameters have changed."""
        ...

    def save(self, folder: Path) -> None:
        """Parameters as tensors, without loss of precision."""
        ...

    def load(self, folder: Path) -> None: ...

    def save_agent(self, folder: Path) -> None:
        """The player alone."""
        ...


@dataclass(frozen=True)
class Learner:
    """Makes the running learner for a policy."""

    def start(self, policy: Policy, loss: Loss, horizon: int, seed: int) -> Running:
        raise NotImplementedError


class Running(Protocol):
    """A learner with its state."""

    def learn(self, batch: Batch, advantage: NDArray[np.float64], step: int) -> Mapping[str, float]: ...

    def save(self, folder: Path) -> None: ...

    def load(self, folder: Path) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Method:
    """A composed policy-gradient method; a recipe is an instance of it."""

    sampler: Sampler
    reward: RewardTransform
    credit: Credit
    loss: Loss
    learner: Learner
    horizon: int
    """Iterations that schedules are laid over; a run of other length stops early or goes on with the last values."""

    def build(self, setup: Setup) -> Algorithm:
        """The algorithm for the games of ``setup``, with the policy that its model names."""
        from algorithms.composed import Composed

        return Composed(self, setup)
