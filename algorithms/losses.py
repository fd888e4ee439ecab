"""What is minimised over the learned choices of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from algorithms.parts import Choices, Loss


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

    averaged over choices. <pi, q> is estimated by ratio x advantage with the ratio to the probability as sampled; both
    KL terms are exact over each choice's support. With alpha constant and a uniform magnet the last iterate tends to the
    regularised (quantal response) equilibrium; with alpha annealed to 0 to a Nash equilibrium of two-seat zero-sum games.
    """

    alpha: Anneal
    """Pull towards the magnet. The smaller, the nearer the fixed point to an equilibrium, and the slower and noisier."""
    eta: Anneal
    """Step size of an iteration; to converge it must fall with alpha."""
    magnet: Literal["uniform", "slow"] = "uniform"
    """Uniform over the support, or a slow copy of the policy."""

    def value(
        self, logp: Tensor, choices: Choices, advantage: Tensor, magnet: Tensor | None, progress: float
    ) -> tuple[Tensor, dict[str, float]]:
        total = choices.count.sum()
        ratio = (logp[choices.context, choices.place] - choices.logp).exp()
        gain = (ratio * advantage).mean()
        inside = torch.isfinite(choices.old)
        pi = logp.exp()
        uniform = -inside.sum(1, keepdim=True).to(logp.dtype).log()
        to_magnet = _expected(pi, logp - (uniform if magnet is None else magnet), inside)
        to_old = _expected(pi, logp - choices.old, inside)
        alpha, eta = self.alpha.at(progress), self.eta.at(progress)
        kl_magnet, kl_old = (choices.count * to_magnet).sum() / total, (choices.count * to_old).sum() / total
        entropy = -(choices.count * _expected(pi, logp, inside)).sum() / total
        figures = {"kl_magnet": kl_magnet.item(), "kl_old": kl_old.item(), "entropy": entropy.item(), "ratio_max": ratio.max().item()}
        return -gain + alpha * kl_magnet + kl_old / eta, {"alpha": alpha, "eta": eta, **figures}


def _expected(pi: Tensor, values: Tensor, inside: Tensor) -> Tensor:
    return (pi * values.masked_fill(~inside, 0.0)).masked_fill(~inside, 0.0).sum(1)
