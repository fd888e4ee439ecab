"""Action distributions: what the numbers that a policy network gives mean, by the kind of a game's actions.

A distribution is a row of P numbers: log-probabilities (``Categoricals``), or a mean and its log standard deviation
(``Gaussian``). Shapes: B turns, P numbers, K factors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from algorithms.nets import mask
from marl_llm.agent import Request, draw
from marl_llm.game import ActionKind, Box, Discrete, Factored
from marl_llm.ragged import Ragged, starts_of
from marl_llm.records import Batch
from marl_llm.seeding import gaussian

ILLEGAL = -1e9
"""Logit of an illegal action: its probability is exactly 0 and every product with it stays finite."""
START = -0.5
"""Log standard deviation of an untrained Gaussian, in halves of the box's width."""

Drawn = tuple[NDArray[Any], Mapping[str, NDArray[Any] | Ragged]]
"""Actions for the game, and columns to record."""


class Head(Protocol):
    """A kind of distributions. Of the P numbers a network gives ``outputs`` by what it sees, and ``free`` everywhere alike."""

    outputs: int
    free: int

    def draw(self, out_BP: Tensor, request: Request) -> Drawn:
        """An action for every row of ``request``, each by its own stream."""
        ...

    def recorded(self, batch: Batch, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """The actions of some turns as they were drawn, [B, ...], and the distributions that they were drawn from, [B, P]."""
        ...

    def distribution(self, out_BP: Tensor, old_BP: Tensor) -> Tensor:
        """The distributions that a network's numbers stand for, over what was legal when ``old_BP`` was recorded."""
        ...

    def logp(self, p_BP: Tensor, action: Tensor) -> Tensor:
        """Log-probability, or log-density, of recorded actions, [B]."""
        ...

    def entropy(self, p_BP: Tensor) -> Tensor: ...

    def kl(self, p_BP: Tensor, q_BP: Tensor) -> Tensor:
        """KL(p || q), [B]."""
        ...


def head_of(action: ActionKind) -> Head:
    """The distribution for a kind of actions; TypeError for Text."""
    match action:
        case Discrete(n):
            return Categoricals((n,))
        case Factored(sizes):
            return Categoricals(sizes)
        case Box():
            return Gaussian(action)
    raise TypeError(f"there is no distribution over {type(action).__name__} actions here")


class Categoricals:
    """One categorical distribution a factor, given the view alone; P lists their log-probabilities one after the other.

    Factors are drawn in turn, each among what may follow those before: so the factors' log-probabilities sum to the action's.
    Entropy and KL are exact for one factor; for several they are those of each factor given the ones drawn before, of which
    the expectation over draws is the action's entropy or KL.
    """

    free = 0

    def __init__(self, sizes: tuple[int, ...]) -> None:
        self.sizes, self.outputs = sizes, sum(sizes)
        self.first = starts_of(np.asarray(sizes))[:-1]

    def allowed(self, out_BP: Tensor, k: int, values: Ragged) -> Ragged:
        """Log-probabilities of the values that factor ``k`` may take."""
        first, size = int(self.first[k]), self.sizes[k]
        legal = torch.from_numpy(mask(values, size)).to(out_BP.device)
        logp = torch.log_softmax(out_BP[:, first : first + size].masked_fill(~legal, ILLEGAL), 1)
        return Ragged(logp.double().cpu().numpy()[values.row_of(), values.data], values.starts)

    def draw(self, out_BP: Tensor, request: Request) -> Drawn:
        listed = isinstance(request.views.game.info.action, Discrete)
        chosen, places, logps = np.zeros((len(request), 0), np.int64), [], []
        for k in range(len(self.sizes)):
            values = request.legal if listed else request.views.next_legal(chosen)
            logp = self.allowed(out_BP, k, values)
            place = draw(Ragged(np.exp(logp.data), logp.starts), request.seed, k)
            chosen = np.column_stack([chosen, values.at(place)])
            places.append(Ragged(values.data + self.first[k], values.starts))
            logps.append(logp)
        return chosen[:, 0] if listed else chosen, {"legal.action": beside(places), "legal.logp": beside(logps)}

    def recorded(self, batch: Batch, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        legal, logp = batch.ragged("legal.action").take(rows), batch.ragged("legal.logp").take(rows)
        old_BP = np.full((len(rows), self.outputs), ILLEGAL, np.float32)
        old_BP[legal.row_of(), legal.data] = logp.data
        action_BK = batch["turn.action"][rows].reshape(len(rows), len(self.sizes)) + self.first
        return torch.from_numpy(action_BK), torch.from_numpy(old_BP)

    def distribution(self, out_BP: Tensor, old_BP: Tensor) -> Tensor:
        logits = out_BP.masked_fill(old_BP <= ILLEGAL / 2, ILLEGAL)
        return torch.cat([torch.log_softmax(part, 1) for part in logits.split(list(self.sizes), 1)], 1)

    def logp(self, p_BP: Tensor, action: Tensor) -> Tensor:
        return p_BP.gather(1, action).sum(1)

    def entropy(self, p_BP: Tensor) -> Tensor:
        return -(p_BP.exp() * p_BP).sum(1)

    def kl(self, p_BP: Tensor, q_BP: Tensor) -> Tensor:
        return (p_BP.exp() * (p_BP - q_BP)).sum(1)


class Gaussian:
    """Independent normal distributions; -1 and 1 are the ends of the box, and P is the means and then the log deviations.

    The deviations do not depend on what is seen. A draw outside the box is clipped for the game alone: what is learned from is
    the draw itself.
    """

    def __init__(self, box: Box) -> None:
        self.box = box
        self.outputs = self.free = int(np.prod(box.shape))

    def _parts(self, p_BP: Tensor) -> tuple[Tensor, Tensor]:
        return p_BP[:, : self.outputs], p_BP[:, self.outputs :]

    def draw(self, out_BP: Tensor, request: Request) -> Drawn:
        p_BP = self.distribution(out_BP, out_BP).cpu()
        mean, deviation = (part.numpy() for part in self._parts(p_BP))
        noise = gaussian(request.seed[:, None], np.arange(self.outputs)[None])
        drawn = (mean + np.exp(deviation) * noise).astype(np.float32)
        middle, half = (self.box.high + self.box.low) / 2, (self.box.high - self.box.low) / 2
        action = np.clip(middle + half * drawn, self.box.low, self.box.high).astype(np.float32)
        return action.reshape(len(request), *self.box.shape), {"turn.drawn": drawn, "turn.distribution": p_BP.numpy()}

    def recorded(self, batch: Batch, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        drawn, old = (batch[name][rows].astype(np.float32) for name in ("turn.drawn", "turn.distribution"))
        return torch.from_numpy(drawn), torch.from_numpy(old)

    def distribution(self, out_BP: Tensor, old_BP: Tensor) -> Tensor:
        mean, deviation = self._parts(out_BP)
        return torch.cat([mean, deviation + START], 1)

    def logp(self, p_BP: Tensor, action: Tensor) -> Tensor:
        mean, deviation = self._parts(p_BP)
        return (-0.5 * ((action - mean) / deviation.exp()).square() - deviation - 0.5 * math.log(2 * math.pi)).sum(1)

    def entropy(self, p_BP: Tensor) -> Tensor:
        return (self._parts(p_BP)[1] + 0.5 * math.log(2 * math.pi * math.e)).sum(1)

    def kl(self, p_BP: Tensor, q_BP: Tensor) -> Tensor:
        (mean, deviation), (of, its) = self._parts(p_BP), self._parts(q_BP)
        spread = (2 * (deviation - its)).exp() + ((mean - of) / its.exp()).square()
        return (its - deviation + 0.5 * spread - 0.5).sum(1)


def beside(parts: list[Ragged]) -> Ragged:
    """Rows of several ragged columns, one behind the other: row i is row i of each of ``parts``."""
    if len(parts) == 1:
        return parts[0]
    order = np.argsort(np.concatenate([part.row_of() for part in parts]), kind="stable")
    lengths = np.sum([part.lengths for part in parts], axis=0)
    return Ragged(np.concatenate([part.data for part in parts])[order], starts_of(lengths))
