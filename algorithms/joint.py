"""Losses that compare whole trajectories of a group: a regression on their log-ratios, and preferences between pairs of them.

Write one as ``objective``, a function of every choice's log-probability. Its derivative there stands for the advantage, so that the
policy is differentiated as in any other loss, however many passes that takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import logsigmoid

from algorithms.losses import entropy, k3
from algorithms.parts import Choices, Credited, Loss, Minimised
from marl_llm.algorithm import Unsuitable
from marl_llm.ragged import starts_of
from marl_llm.records import Batch


@dataclass(frozen=True)
class Trajectories:
    """``of`` [N] the trajectory of every choice; ``group`` and ``score`` [T], what the credit says of each."""

    of: Tensor
    group: NDArray[np.int64]
    score: NDArray[np.float64]

    def total(self, values: Tensor) -> Tensor:
        """Sums over every trajectory's choices, [T]."""
        return torch.zeros(len(self.group), dtype=values.dtype).index_add(0, self.of, values)

    def mean(self, values: Tensor) -> Tensor:
        """Means over every trajectory's choices, [T]."""
        return self.total(values) / self.total(torch.ones_like(values))


@dataclass(frozen=True, kw_only=True)
class Joint(Loss):
    """A loss of whole groups, and a k3 penalty (see ``algorithms.losses``), averaged over choices."""

    joint: ClassVar[bool] = True
    kl: float = 0.0
    """Weight of the penalty."""

    def objective(self, logp: Tensor, base: Tensor, rows: Trajectories) -> Tensor:
        """From every choice's log-probability and what it is compared to, both [N]."""
        raise NotImplementedError

    def base(self, choices: Choices, reference: Tensor | None) -> Tensor:
        """What log-ratios are taken to, [N]: the policy that sampled."""
        return choices.logp

    def gains(self, logp: Tensor, choices: Choices, reference: Tensor | None, credited: Credited, batch: Batch) -> Minimised:
        now = logp.double().detach().requires_grad_()
        found = self.objective(now, self.base(choices, reference).double(), trajectories(choices, credited, batch))
        (slope,) = torch.autograd.grad(found, now)
        return -slope.to(logp.dtype), {"compared": found.detach()}

    def value(self, logp: Tensor, choices: Choices, advantage: Tensor, reference: Tensor | None, progress: float) -> Minimised:
        now = logp[choices.context, choices.place]
        other = choices.logp if reference is None else reference[choices.context, choices.place]
        away = (choices.weight * k3(now, other)).sum()
        return self.kl * away - (advantage * now).sum(), {"kl": away, "entropy": entropy(logp, choices)}


@dataclass(frozen=True, kw_only=True)
class Regression(Joint):
    """Reg-GRPO (DeepVideo-R1; Park et al. 2025, arXiv 2506.07464): the mean over trajectories of (A - x)^2, where x is the log-ratio of the
    whole trajectory, standardised in its group. No ratio is clipped. The penalty is to the policy that training began with."""

    eps: float = 0.01
    """Floor of the deviation of log-ratios, which is 0 at the first step of an iteration."""

    @property
    def reference(self) -> float | None:
        return 0.0 if self.kl else None

    def objective(self, logp: Tensor, base: Tensor, rows: Trajectories) -> Tensor:
        ratio, group = rows.total(logp - base), torch.from_numpy(np.unique(rows.group, return_inverse=True)[1])
        size = torch.bincount(group)
        away = ratio - (torch.zeros(len(size), dtype=ratio.dtype).index_add(0, group, ratio) / size)[group]
        variance = torch.zeros(len(size), dtype=ratio.dtype).index_add(0, group, away.square()) / size
        predicted = away / (variance + self.eps**2).sqrt()[group]
        return (torch.from_numpy(rows.score) - predicted).square().mean()


@dataclass(frozen=True, kw_only=True)
class Pairs(Joint):
    """Logistic preferences, the mean over pairs of -log sigmoid(beta (D_w - D_l)): w is of a higher level than l in the same group, and D
    the log-ratio of a trajectory. DPO (Rafailov et al. 2023, arXiv 2305.18290) and TRPA (2025, arXiv 2504.04524).

    The credit's advantage is the level, see ``algorithms.levels``.
    """

    beta: float = 0.1
    ratio: Literal["sum", "mean"] = "sum"
    """D over a trajectory's choices."""
    against: Literal["initial", "sampler"] = "sampler"
    """What D is a ratio to: the policy that training began with, or the one that sampled, which is the previous iterate."""
    best: float = 3.0
    """The highest level."""
    emphasis: float = 1.0
    """Factor of beta where the winner is of the highest level."""
    alone: Literal["nothing", "absolute"] = "nothing"
    """Where the whole batch has no pair: 0, or the mean of -log sigmoid(+-D), + for the highest level."""

    @property
    def reference(self) -> float | None:
        return 0.0 if self.against == "initial" else None

    def base(self, choices: Choices, reference: Tensor | None) -> Tensor:
        return choices.logp if reference is None else reference

    def value(self, logp: Tensor, choices: Choices, advantage: Tensor, reference: Tensor | None, progress: float) -> Minimised:
        return super().value(logp, choices, advantage, None, progress)  # the penalty is to the policy that sampled

    def objective(self, logp: Tensor, base: Tensor, rows: Trajectories) -> Tensor:
        away = (rows.total if self.ratio == "sum" else rows.mean)(logp - base)
        winner, loser = pairs_of(rows.group, rows.score)
        if len(winner):
            beta = torch.from_numpy(np.where(rows.score[winner] >= self.best, self.emphasis * self.beta, self.beta))
            return -logsigmoid(beta * (away[winner] - away[loser])).mean()
        if self.alone == "nothing":
            return 0.0 * away.sum()
        return -logsigmoid(torch.from_numpy(np.where(rows.score >= self.best, 1.0, -1.0)) * away).mean()


def trajectories(choices: Choices, credited: Credited, batch: Batch) -> Trajectories:
    """Those with a learned choice; ``Unsuitable`` where the credit names no groups, or tells the turns of a trajectory apart."""
    if credited.group is None or len(credited.advantage) != batch.size("turn"):
        raise Unsuitable("this loss compares trajectories of a group, and the credit names no groups of them; use Terms or Levels")
    _, first, of = np.unique(batch.up("turn", "seat")[choices.turn], return_index=True, return_inverse=True)
    turn = choices.turn[first]
    if not np.allclose(credited.advantage[choices.turn], credited.advantage[turn][of]):
        raise Unsuitable(
            "this loss compares whole trajectories, and the credit tells their turns apart; use terms whose value is an outcome"
        )
    return Trajectories(torch.from_numpy(of), credited.group[turn], credited.advantage[turn].astype(np.float64))


def pairs_of(group: NDArray[np.int64], level: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All ordered pairs of one group whose first is of the higher level: their places."""
    order = np.argsort(group, kind="stable")
    _, begin, size = np.unique(group[order], return_index=True, return_counts=True)
    each = np.repeat(size, size)  # so many partners has everyone, in order
    one = np.repeat(np.arange(len(order)), each)
    other = np.arange(len(one)) - starts_of(each)[:-1][one] + np.repeat(begin, size)[one]
    better = level[order[one]] > level[order[other]]
    return order[one[better]], order[other[better]]
