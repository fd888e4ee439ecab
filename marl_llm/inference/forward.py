"""One forward pass for many token rows: their common prefix is computed once, and logits only where they are wanted.

Used alike for sampling and, with gradients through the prefix, for learning; the gradients equal those of plain rows.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import DynamicCache

HEAD = 12
"""Rows that agree in so many tokens are taken to be of one game and seat."""
FEW = 4
"""Groups with fewer rows on average are not worth a pass of their own either."""
MIN_SHARED = 4
"""Common prefixes shorter than this are not worth a pass of their own."""


def common_prefix(rows: Sequence[NDArray[Any]]) -> int:
    """Length of the longest prefix that all rows share, at least one token short of the shortest row."""
    limit = min(len(row) for row in rows) - 1
    shared = np.ones(limit, bool)
    for row in rows[1:]:
        shared &= row[:limit] == rows[0][:limit]
    return limit if shared.all() else int(shared.argmin())


def hidden_at(
    model: Any, rows: Sequence[NDArray[Any]], row: NDArray[np.int64], position: NDArray[np.int64], *, share: bool = True
) -> Tensor:
    """Last hidden states at ``position[i]`` of ``rows[row[i]]``, shape [len(row), hidden].

    ``model`` is a causal language model of transformers. Rows of different games begin differently: those with equal heads
    run together, if there are many, behind the prefix that they share, which ends before the first wanted position.
    """
    group = np.unique([tokens[:HEAD].tobytes() for tokens in rows], return_inverse=True)[1] if share else np.zeros(len(rows), np.int64)
    if not group.any() or (int(group.max()) + 1) * FEW > len(rows):
        return _hidden(model, rows, row, position, share)
    states, wanted = [], []
    for k in range(int(group.max()) + 1):
        mine, some = np.flatnonzero(group == k), np.flatnonzero(group[row] == k)
        place = np.full(len(rows), -1)
        place[mine] = np.arange(len(mine))
        states.append(_hidden(model, [rows[i] for i in mine.tolist()], place[row[some]], position[some], share))
        wanted.append(some)
    return torch.cat(states)[torch.from_numpy(np.argsort(np.concatenate(wanted))).to(states[0].device)]


def _hidden(model: Any, rows: Sequence[NDArray[Any]], row: NDArray[np.int64], position: NDArray[np.int64], share: bool) -> Tensor:
    """The same for rows that may share a prefix. Rows are padded on the right, where earlier tokens never look."""
    prefix = min(common_prefix(rows), int(position.min())) if share and len(rows) > 1 else 0
    prefix = prefix if prefix >= MIN_SHARED else 0
    tails = [torch.from_numpy(np.ascontiguousarray(tokens[prefix:], np.int64)) for tokens in rows]
    tokens = torch.nn.utils.rnn.pad_sequence(tails, batch_first=True).to(model.device)
    positions = torch.arange(prefix, prefix + tokens.shape[1], device=model.device)[None]
    decoder, cached = model.get_decoder(), {}
    if prefix:
        head = torch.from_numpy(np.ascontiguousarray(rows[0][:prefix], np.int64))[None].to(model.device)
        cache = DynamicCache(config=model.config)
        cached = {cache_argument(decoder): cache}
        decoder(input_ids=head, use_cache=True, **cached)
        cache.batch_repeat_interleave(len(rows))
    hidden = decoder(input_ids=tokens, position_ids=positions, use_cache=bool(prefix), **cached).last_hidden_state
    wanted = torch.from_numpy(row * hidden.shape[1] + position - prefix).to(hidden.device)
    return hidden.reshape(-1, hidden.shape[-1])[wanted]


def cache_argument(decoder: Any) -> str:
    """What ``decoder`` calls its cache: transformers renamed it in 5.2x, and both names are in the range this project installs with."""
    return "cache" if "cache" in inspect.signature(decoder.forward).parameters else "past_key_values"


def logits_at(
    model: Any, rows: Sequence[NDArray[Any]], row: NDArray[np.int64], position: NDArray[np.int64], *, share: bool = True
) -> Tensor:
    """Next-token logits after ``rows[row[i]][: position[i] + 1]``, shape [len(row), vocabulary]."""
    return logits_of(model, hidden_at(model, rows, row, position, share=share))


def logits_of(model: Any, hidden: Tensor) -> Tensor:
    """The model's logits at last hidden states, shape [..., vocabulary]; some models (Gemma 2) bound them smoothly."""
    logits = model.get_output_embeddings()(hidden)
    bound = getattr(model.config, "final_logit_softcapping", None)
    return logits if bound is None else bound * torch.tanh(logits / bound)


def support_log_probs(logits: Tensor, support: NDArray[Any]) -> Tensor:
    """Log-softmax over each row's support, shape [rows, width]. ``support`` holds token ids, -1 where a row has fewer."""
    ids = torch.from_numpy(support.astype(np.int64)).to(logits.device)
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return wide.gather(1, ids.clamp(min=0)).masked_fill(ids < 0, -torch.inf).log_softmax(1)


def token_log_probs(logits: Tensor, token: NDArray[Any]) -> Tensor:
    """Log-probability of each row's ``token`` under the whole vocabulary, shape [rows], float32 at least."""
    wide = torch.promote_types(logits.dtype, torch.float32)
    chosen = torch.from_numpy(token.astype(np.int64)).to(logits.device)
    return -torch.nn.functional.cross_entropy(logits.to(wide), chosen, reduction="none")
