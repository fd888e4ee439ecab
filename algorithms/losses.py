"""What is minimised over the learned choices of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from algorithms.parts import Choices, Loss, Minimised
from marl_llm.records import Batch


@dataclass(frozen=True, kw_only=True)
class Anneal:
    """A setting that falls geometrically from ``start`` to ``end`` over a run; equal values keep it constant."""

    start: float
    end: float

    def at(self, progress: float) -> float:
        """The value at ``progress`` in [0, 1]."""
        return float(self.start * (self.end / self.start) ** min(max(progress, 0.0), 1.0)) if self.start > 0 else self.start


@dataclass(frozen=True, kw_only=True)
class MirrorDescent(Loss):
    """Magnetic mirror descent (Sokota et al., 2023, https://arxiv.org/abs/2206.05825) on sampled choices:

        -<pi, q>  +  alpha KL(pi || magnet)  +  (1 / eta) KL(pi || old)

    averaged over choices (see ``evenness``). <pi, q> is estimated by ratio x advantage with the ratio to the probability as sampled; both
    KL terms are exact over a known support (see ``divergence``). With alpha constant and a uniform magnet the last iterate
    tends to the regularised (quantal response) equilibrium; with alpha annealed to 0 to a Nash equilibrium of two-seat
    zero-sum games.
    """

    alpha: Anneal
    """Pull towards the magnet. The smaller, the nearer the fixed point to an equilibrium, and the slower and noisier."""
    eta: Anneal
    """Step size of an iteration; to converge it must fall with alpha."""
    magnet: Literal["uniform", "slow"] = "uniform"
    """Uniform over the support, or a slow copy of the policy. Where the support is a whole vocabulary nothing pulls to uniform,
    which would be noise."""
    slow_rate: float = 0.02
    """Share of the policy that the slow copy takes on an iteration."""
    evenness: float = 0.0
    """A choice counts 1 / (choices made in its context) to this power: at 0 contexts count as often as play comes there, at 1 all alike, so
    that what is seldom met is not forgotten."""

    @property
    def reference(self) -> float | None:
        return self.slow_rate if self.magnet == "slow" else None

    def settings(self, progress: float) -> dict[str, float]:
        return {"alpha": self.alpha.at(progress), "eta": self.eta.at(progress)}

    def weights(self, choices: Choices, batch: Batch) -> NDArray[np.float64]:
        context = choices.context.numpy()
        weight = np.bincount(context)[context] ** -self.evenness
        return weight / max(weight.sum(), 1e-300)

    def value(self, logp: Tensor, choices: Choices, advantage: Tensor, reference: Tensor | None, progress: float) -> Minimised:
        ratio = (logp[choices.context, choices.place] - choices.logp).exp()
        gain = (choices.weight * ratio * advantage).sum()
        inside = torch.isfinite(choices.old)
        magnet = -inside.sum(1, keepdim=True).to(logp.dtype).log() if reference is None else reference
        mass = choices.mass
        pulled = mass * ~choices.whole if reference is None else mass
        kl_magnet = (pulled * divergence(logp, magnet, choices)).sum()
        kl_old = (mass * divergence(logp, choices.old, choices)).sum()
        loss = -gain + self.alpha.at(progress) * kl_magnet + kl_old / self.eta.at(progress)
        return loss, {"kl_magnet": kl_magnet, "kl_old": kl_old, "entropy": entropy(logp, choices)}


@dataclass(frozen=True, kw_only=True)
class Clipped(Loss):
    """PPO's clipped surrogate (Schulman et al., 2017), -min(rho A, clip(rho, 1 - low, 1 + high) A), over tokens or whole turns."""

    low: float = 0.2
    high: float = 0.2
    dual: float | None = None
    """Where A is negative the term is at most ``dual`` x -A, so that one unlikely token cannot rule a step (dual clip)."""
    ratio: Literal["token", "turn"] = "token"
    """rho of each token, or of all tokens of a turn the exponential of their mean log-ratio."""
    mean: Mean = "token"
    constant: float = 1.0
    """What turns' sums are divided by, where ``mean`` is "constant"."""
    kl: float = 0.0
    """Weight of the penalty ``k3`` to the policy that training began with."""

    @property
    def reference(self) -> float | None:
        return 0.0 if self.kl else None

    def weights(self, choices: Choices, batch: Batch) -> NDArray[np.float64]:
        return weights_of(self.mean, self.constant, choices, batch)

    def value(self, logp: Tensor, choices: Choices, advantage: Tensor, reference: Tensor | None, progress: float) -> Minimised:
        now = logp[choices.context, choices.place]
        change = now - choices.logp
        ratio = (change if self.ratio == "token" else turn_mean(change, choices.turn)).exp()
        gain = torch.minimum(ratio * advantage, ratio.clamp(1 - self.low, 1 + self.high) * advantage)
        if self.dual is not None:
            gain = torch.where(advantage < 0, torch.maximum(gain, self.dual * advantage), gain)
        clipped = (choices.weight * ((ratio < 1 - self.low) | (ratio > 1 + self.high))).sum()
        figures = {"clipped": clipped, "kl_old": (choices.weight * (change.exp() - 1 - change)).sum(), "entropy": entropy(logp, choices)}
        loss = -(choices.weight * gain).sum()
        if reference is not None:
            figures["kl_reference"] = (choices.weight * k3(now, reference[choices.context, choices.place])).sum()
            loss = loss + self.kl * figures["kl_reference"]
        return loss, figures


@dataclass(frozen=True, kw_only=True)
class Reinforce(Loss):
    """The plain policy gradient, -A log pi (Williams, 1992): no ratio, so a batch is worth one step."""

    mean: Mean = "token"
    constant: float = 1.0
    """What turns' sums are divided by, where ``mean`` is "constant"."""

    def weights(self, choices: Choices, batch: Batch) -> NDArray[np.float64]:
        return weights_of(self.mean, self.constant, choices, batch)

    def value(self, logp: Tensor, choices: Choices, advantage: Tensor, reference: Tensor | None, progress: float) -> Minimised:
        loss = -(choices.weight * advantage * logp[choices.context, choices.place]).sum()
        return loss, {"entropy": entropy(logp, choices)}


Mean = Literal["token", "turn", "sequence", "constant"]
"""How tokens' losses become one number. ``token``: their mean. ``turn``: over seats, then a seat's trajectories, then a
trajectory's turns, the mean of the turn's token mean. ``sequence``: the mean over trajectories of the trajectory's token
mean. ``constant``: the mean over turns of the turn's token sum, divided by a constant."""

K3_LIMIT = 10.0
"""Bound of a token's log-ratio to the reference, and of its k3 estimate."""


def weights_of(mean: Mean, constant: float, choices: Choices, batch: Batch) -> NDArray[np.float64]:
    """Weights [N] under which a sum over choices is the given mean."""
    turn = choices.turn
    if mean == "token" or not len(turn):
        return np.full(len(turn), 1 / max(len(turn), 1))
    if mean == "constant":
        return np.full(len(turn), 1 / (constant * len(np.unique(turn))))
    trajectory = batch.up("turn", "seat")[turn]
    if mean == "sequence":
        return 1 / (len(np.unique(trajectory)) * _sizes(trajectory))
    first = np.unique(turn, return_index=True)[1]
    turns_of = np.bincount(trajectory[first], minlength=batch.size("seat"))
    seat = batch["seat.seat"][trajectory]
    at = np.unique(trajectory, return_index=True)[1]
    trajectories_of = np.bincount(seat[at])
    return 1 / (np.count_nonzero(trajectories_of) * trajectories_of[seat] * turns_of[trajectory] * _sizes(turn))


def k3(logp: Tensor, other: Tensor) -> Tensor:
    """exp(d) - 1 - d, d = log other - log pi at the sampled token: an estimate of KL(pi || other) that is never negative."""
    away = (other - logp).clamp(-K3_LIMIT, K3_LIMIT)
    return (away.exp() - 1 - away).clamp(max=K3_LIMIT)


def divergence(logp: Tensor, other: Tensor, choices: Choices) -> Tensor:
    """KL(pi || other) of every context, shape [C]: exact over its support.

    Of a whole vocabulary only the sampled token is known; there the estimate is (pi / old) (exp(d) - 1 - d) with
    d = log other - log pi at that token, whose expectation over the sampler is the KL, and which is never negative.
    """
    inside = torch.isfinite(choices.old)
    exact = (logp.exp() * (logp - other).masked_fill(~inside, 0.0)).masked_fill(~inside, 0.0).sum(1)
    if not choices.whole.any():
        return exact
    other = other.expand_as(logp)
    away = other[:, 0] - logp[:, 0]
    estimate = (logp[:, 0] - choices.old[:, 0]).exp() * (away.exp() - 1 - away)
    return torch.where(choices.whole, estimate, exact)


def entropy(logp: Tensor, choices: Choices) -> Tensor:
    """Mean entropy over choices, to log; of a whole vocabulary estimated by the sampled token."""
    logp = logp.detach()
    inside = torch.isfinite(choices.old)
    exact = -(logp.exp() * logp.masked_fill(~inside, 0.0)).masked_fill(~inside, 0.0).sum(1)
    return (choices.mass * torch.where(choices.whole, -logp[:, 0], exact)).sum()


def turn_mean(values: Tensor, turn: NDArray[np.int64]) -> Tensor:
    """Every choice's mean over the choices of its turn, shape [N]."""
    _, of = np.unique(turn, return_inverse=True)
    index = torch.from_numpy(of)
    total = torch.zeros(int(of.max(initial=-1)) + 1, dtype=values.dtype).index_add(0, index, values)
    return (total / torch.bincount(index).to(values.dtype))[index]


def _sizes(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """For every entry the number of entries in its group."""
    _, of, count = np.unique(groups, return_inverse=True, return_counts=True)
    return count[of]
