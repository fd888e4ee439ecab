"""The policy gradient whose ratios only decide which choices count (REC; Yao et al. 2025, arXiv 2509.24203)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from algorithms.losses import Mean, entropy, turn_mean, weights_of
from algorithms.parts import Choices, Loss, Minimised
from marl_llm.records import Batch


@dataclass(frozen=True, kw_only=True)
class Gated(Loss):
    """-gate(rho, A) A log pi + pull (log pi - log old)^2, where rho = pi / old is no function to be differentiated.

    With A > 0 the gate "one" is open where rho <= 1 + high, with A < 0 where rho >= 1 - low: where the clipped surrogate has a gradient.
    "two" is open inside both bounds. "ring" is also open far on the wrong side, where rho <= ``inner`` with A > 0, or rho >= ``outer`` with
    A < 0: choices that drifted there are pulled back.
    """

    gate: Literal["one", "two", "ring"] = "one"
    low: float = 0.2
    high: float = 0.2
    inner: float = 0.6
    outer: float = 2.0
    ratio: Literal["token", "turn"] = "token"
    """rho of each token, or of all tokens of a turn the exponential of their mean log-ratio."""
    importance: bool = False
    """Weigh every choice by rho, detached, as well."""
    pull: float = 0.0
    """Weight of the squared log-ratio."""
    mean: Mean = "token"
    constant: float = 1.0
    """What turns' sums are divided by, where ``mean`` is "constant"."""

    def weights(self, choices: Choices, batch: Batch) -> NDArray[np.float64]:
        return weights_of(self.mean, self.constant, choices, batch)

    def open(self, ratio: Tensor, advantage: Tensor) -> Tensor:
        """Which choices count; both [N]."""
        below, above = ratio <= 1 + self.high, ratio >= 1 - self.low
        if self.gate == "one":
            return torch.where(advantage > 0, below, above)
        inside = below & above
        if self.gate == "two":
            return inside
        return inside | torch.where(advantage > 0, ratio <= self.inner, ratio >= self.outer)

    def value(self, logp: Tensor, choices: Choices, advantage: Tensor, reference: Tensor | None, progress: float) -> Minimised:
        now = logp[choices.context, choices.place]
        change = now - choices.logp
        ratio = (change if self.ratio == "token" else turn_mean(change, choices.turn)).detach().exp()
        counts = self.open(ratio, advantage)
        factor = ratio * counts if self.importance else counts
        loss = (choices.weight * (self.pull * change.square() - factor * advantage * now)).sum()
        return loss, {"gated": (choices.weight * ~counts).sum(), "entropy": entropy(logp, choices)}
