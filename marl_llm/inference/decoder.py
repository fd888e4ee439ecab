"""Free text from a causal language model, requests joining and leaving at every step.

A request holds a row of the running batch only while it speaks; short replies make room for those that wait. Prompts that
are equal are read once, and the tokens that all prompts of an intake begin with are read once for all. Every token is drawn
from the model's whole distribution, at temperature 1, by the request's own random stream: f(seed, place in the reply), so
what a request says does not depend on which others run beside it (but for the rounding of batched arithmetic).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from transformers.cache_utils import DynamicCache, DynamicLayer

from marl_llm.inference.forward import MIN_SHARED, cache_argument, common_prefix, logits_of
from marl_llm.seeding import uniform

SLACK = 8
"""Rows are let in, and spent ones dropped, when one in so many is free: each change copies the cache once."""


@dataclass(frozen=True)
class Spoken:
    """A finished reply: token ids with the end token if it came, each one's log-probability as drawn, and whether it ended itself."""

    id: int
    tokens: NDArray[np.int32]
    logp: NDArray[np.float32]
    ended: bool


class _Waiting(NamedTuple):
    id: int
    prompt: NDArray[np.int32]
    seed: int
    max_new: int


class Decoder:
    """``model`` is a causal language model of transformers; ``end`` its tokens that end a reply; ``rows`` speak at once."""

    def __init__(self, model: Any, end: tuple[int, ...], *, rows: int = 128, share: bool = True) -> None:
        self.model, self.end, self.rows, self.share = model, torch.tensor(end), rows, share
        self.queue: deque[_Waiting] = deque()
        self.batch: _Batch | None = None

    def __len__(self) -> int:
        """Requests that are not finished."""
        return len(self.queue) + (0 if self.batch is None else int(self.batch.live.sum()))

    def submit(self, id: int, prompt: NDArray[np.int32], seed: int, max_new: int) -> None:
        """Ask for a reply of at most ``max_new`` tokens to ``prompt``."""
        self.queue.append(_Waiting(id, prompt, seed, max_new))

    @torch.no_grad()
    def step(self) -> list[Spoken]:
        """Draw one token for every speaking row; the replies that this finished."""
        live = 0 if self.batch is None else int(self.batch.live.sum())
        spent = 0 if self.batch is None else len(self.batch.live) - live
        room = self.rows - live
        joining = self.queue and (room >= max(1, self.rows // SLACK) or not live)
        if self.batch is not None and (joining or not live or spent >= max(1, self.rows // SLACK)):
            self.batch = self.batch.only_live() if live else None
        if joining:
            taken = [self.queue.popleft() for _ in range(min(room, len(self.queue)))]
            fresh = self._read(taken)
            self.batch = fresh if self.batch is None else self.batch.joined(fresh)
        if self.batch is None:
            return []
        done = self.batch.draw(self.model, self.end)
        if self.batch.live.any():
            self.batch.advance(self.model)
        return done

    def _read(self, taken: list[_Waiting]) -> _Batch:
        """Run the model over new prompts: each distinct one once, behind their common beginning."""
        known: dict[Any, int] = {}
        told = [request.prompt.tobytes() if self.share else i for i, request in enumerate(taken)]
        of = [known.setdefault(prompt, len(known)) for prompt in told]
        prompts = [torch.from_numpy(taken[of.index(k)].prompt.astype(np.int64)) for k in range(len(known))]
        # padding stands between what is shared and a row's own; a sliding window would count it as tokens
        share = self.share and len(prompts) > 1 and not getattr(self.model.config, "sliding_window", None)
        shared = common_prefix([prompt.numpy() for prompt in prompts]) if share else 0
        shared = shared if shared >= MIN_SHARED else 0
        decoder, device = self.model.get_decoder(), self.model.device
        cache = DynamicCache()  # without the model's windows, which its masks know: every layer keeps the same columns
        held: dict[str, Any] = {"use_cache": True, cache_argument(decoder): cache}
        if shared:
            decoder(input_ids=prompts[0][None, :shared].to(device), **held)
            cache.batch_repeat_interleave(len(prompts))
        longest = max(len(prompt) for prompt in prompts) - shared
        tokens = torch.zeros(len(prompts), longest, dtype=torch.int64)
        seen = torch.zeros(len(prompts), shared + longest, dtype=torch.bool)
        seen[:, :shared] = True
        for i, prompt in enumerate(prompts):
            own = len(prompt) - shared
            tokens[i, longest - own :] = prompt[shared:]
            seen[i, shared + longest - own :] = True
        position = (seen.long().cumsum(1) - 1).clamp(min=0)[:, shared:]
        states = decoder(
            input_ids=tokens.to(device), attention_mask=seen.long().to(device), position_ids=position.to(device), **held
        ).last_hidden_state
        rows = torch.tensor(of)
        layers = [_Growing(keys[rows], values[rows]) for keys, values in ((layer.keys, layer.values) for layer in _layers(cache))]
        return _Batch(taken, layers, seen[rows], states[rows, -1], torch.tensor([len(request.prompt) for request in taken]))


class _Batch:
    """Rows that speak. ``layers`` hold keys and values [rows, heads, columns, width], ``seen`` [rows, columns] which columns
    are a row's own, ``hidden`` [rows, hidden] the state that the next token is drawn from, ``position`` [rows] of that token."""

    def __init__(self, requests: list[_Waiting], layers: list[_Growing], seen: Tensor, hidden: Tensor, position: Tensor) -> None:
        self.requests, self.layers, self.seen, self.hidden, self.position = requests, layers, seen, hidden, position
        count, longest = len(requests), max(request.max_new for request in requests)
        self.live = np.ones(count, bool)
        self.said = np.zeros(count, np.int64)
        self.tokens, self.logp = np.zeros((count, longest), np.int32), np.zeros((count, longest), np.float32)
        self.seeds = np.asarray([request.seed for request in requests], np.uint64)
        self.limit = np.asarray([request.max_new for request in requests])

    def draw(self, model: Any, end: Tensor) -> list[Spoken]:
        """One token for every live row; the replies that are now complete."""
        logp = logits_of(model, self.hidden).float().log_softmax(1)
        point = torch.from_numpy(uniform(self.seeds, self.said)).to(logp.device)[:, None]
        cumulative = logp.exp().cumsum(1, dtype=torch.float64)
        self.next = torch.searchsorted(cumulative, point * cumulative[:, -1:], right=True)[:, 0].clamp(max=logp.shape[1] - 1)
        chosen = logp.gather(1, self.next[:, None])[:, 0].cpu().numpy()
        ids = self.next.cpu().numpy()
        live = np.flatnonzero(self.live)
        self.tokens[live, self.said[live]], self.logp[live, self.said[live]] = ids[live], chosen[live]
        self.said[live] += 1
        ended = np.isin(ids, end.numpy())
        done = np.flatnonzero(self.live & (ended | (self.said >= self.limit)))
        self.live[done] = False
        return [
            Spoken(self.requests[i].id, self.tokens[i, : self.said[i]], self.logp[i, : self.said[i]], bool(ended[i])) for i in done.tolist()
        ]

    def advance(self, model: Any) -> None:
        """Read the tokens just drawn."""
        decoder = model.get_decoder()
        cache = DynamicCache()
        cache.layers = [*self.layers]
        self.seen = torch.cat([self.seen, torch.ones(len(self.seen), 1, dtype=torch.bool)], 1)
        out = decoder(
            input_ids=self.next[:, None],
            attention_mask=self.seen.long().to(self.next.device),
            position_ids=self.position[:, None].to(self.next.device),
            use_cache=True,
            **{cache_argument(decoder): cache},
        )
        self.hidden = out.last_hidden_state[:, -1]
        self.position = self.position + 1

    def only_live(self) -> _Batch:
        """The rows that still speak, without the columns that none of them needs."""
        rows = np.flatnonzero(self.live)
        index = torch.from_numpy(rows)
        seen = self.seen[index]
        columns = seen.any(0).nonzero()[:, 0]
        dense = len(columns) == seen.shape[1]
        layers = [layer.part(index, None if dense else columns) for layer in self.layers]
        part = _Batch([self.requests[i] for i in rows.tolist()], layers, seen[:, columns], self.hidden[index], self.position[index])
        width = part.tokens.shape[1]
        part.said, part.tokens, part.logp = self.said[rows], self.tokens[rows, :width], self.logp[rows, :width]
        return part

    def joined(self, other: _Batch) -> _Batch:
        """Both batches' rows in one; the shorter is padded on the left."""
        columns = max(self.seen.shape[1], other.seen.shape[1])
        layers = [a.joined(b, columns) for a, b in zip(self.layers, other.layers, strict=True)]
        seen = torch.cat([functional.pad(x.seen, (columns - x.seen.shape[1], 0)) for x in (self, other)])
        hidden, position = torch.cat([self.hidden, other.hidden]), torch.cat([self.position, other.position])
        both = _Batch([*self.requests, *other.requests], layers, seen, hidden, position)
        both.said = np.concatenate([self.said, other.said])
        for now, before in ((both.tokens, self.tokens), (both.logp, self.logp)):
            now[: len(before), : before.shape[1]] = before
        return both


class _Growing(DynamicLayer):
    """A cache layer that grows in place, by an eighth at a time, instead of being copied at every token."""

    keys: Tensor
    values: Tensor

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()
        self.lazy_initialization(keys, values)
        self.keys, self.values = keys, values
        self.room = [keys, values]

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        used = self.keys.shape[2]
        total = used + key_states.shape[2]
        if total > self.room[0].shape[2]:
            more = max(total // SLACK, 16)
            self.room = [functional.pad(x, (0, 0, 0, total + more - used)) for x in (self.keys, self.values)]
        for room, new in zip(self.room, (key_states, value_states), strict=True):
            room[:, :, used:total] = new
        self.keys, self.values = (room[:, :, :total] for room in self.room)
        return self.keys, self.values

    def part(self, rows: Tensor, columns: Tensor | None) -> _Growing:
        """The given rows, and of them the given columns."""
        kept = [x[rows] if columns is None else x[rows][:, :, columns] for x in (self.keys, self.values)]
        return _Growing(*kept)

    def joined(self, other: _Growing, columns: int) -> _Growing:
        """The rows of both, padded on the left to so many columns."""
        pairs = ((self.keys, other.keys), (self.values, other.values))
        return _Growing(*(torch.cat([functional.pad(x, (0, 0, columns - x.shape[2], 0)) for x in pair]) for pair in pairs))


def _layers(cache: DynamicCache) -> list[Any]:
    return list(cache.layers)
