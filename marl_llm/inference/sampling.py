"""Other distributions than the model's own that a reply can be drawn from, and what they make of a token's log-probability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Sampling(NamedTuple):
    """How the tokens of a reply are drawn; by default from the model's whole distribution. In this order:

    The logits of tokens in the prompt or the reply so far are divided by ``repetition`` where positive and multiplied where negative
    (Keskar et al., 2019, arXiv 1909.05858), all are divided by ``temperature``, the ``top_k`` largest stay (0: all), and of these the
    fewest whose probabilities reach ``top_p`` (Holtzman et al., 2020, arXiv 1904.09751).
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    repetition: float = 1.0


PLAIN = Sampling()


def log_probs(logits: Tensor, ways: Sequence[Sampling], past: Sequence[NDArray[Any]]) -> Tensor:
    """Log-probabilities that tokens are drawn with, [rows, vocabulary], -inf for those that are left out. ``past`` has the tokens of
    each row's prompt and reply so far; it is read only where its row's ``repetition`` is not 1."""
    logits = logits.float()
    if all(way == PLAIN for way in ways):
        return logits.log_softmax(1)
    logits = logits.clone()
    for row, (way, tokens) in enumerate(zip(ways, past, strict=True)):
        if way.repetition != 1:
            met = torch.from_numpy(np.unique(tokens).astype(np.int64)).to(logits.device)
            found = logits[row, met]
            logits[row, met] = torch.where(found > 0, found / way.repetition, found * way.repetition)
    temperature, top_p = (torch.tensor(column, device=logits.device)[:, None] for column in list(zip(*ways, strict=True))[:2])
    most = np.asarray([way.top_k or logits.shape[1] for way in ways])
    best, token = (logits / temperature).topk(min(int(most.max()), logits.shape[1]))
    out = torch.arange(best.shape[1], device=logits.device)[None] >= torch.from_numpy(most).to(logits.device)[:, None]
    best = best.masked_fill(out, -torch.inf)
    share = best.softmax(1)
    best = best.masked_fill(share.cumsum(1) - share >= top_p, -torch.inf)
    return torch.full_like(logits, -torch.inf).scatter(1, token, best.log_softmax(1))
