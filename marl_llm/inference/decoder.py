"""Free text from a causal language model, requests joining and leaving at every step.

A request holds a row of the running batch only while it speaks; short replies make room for those that wait. Prompts that
are equal are read once, and the tokens that all prompts of an intake begin with are read once for all. Every token is drawn
from the model's whole distribution, or as the request's ``Sampling`` says, by the request's own random stream: f(seed, place in
the reply), so what a request says does not depend on which others run beside it (but for the rounding of batched arithmetic).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers.cache_utils import DynamicCache, DynamicLayer

from marl_llm.inference.forward import MIN_SHARED, cache_argument, common_prefix, logits_of
from marl_llm.inference.sampling import PLAIN, Sampling, log_probs
from marl_llm.seeding import uniform

SLACK = 8
"""Requests are let in when one row in so many is free: an intake costs about as much as a step, however few it reads."""
FREE = 2
"""Free columns are one in so many of those in use, when room is made."""


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
    sampling: Sampling


class _Read(NamedTuple):
    """Prompts that the model has read: keys and values of every layer [rows, heads, columns, width], ``seen`` [rows, columns]
    which columns are a prompt's own, ``hidden`` [rows, hidden] the state that its first token is drawn from."""

    layers: list[tuple[Tensor, Tensor]]
    seen: Tensor
    hidden: Tensor


class Decoder:
    """``model`` is a causal language model of transformers; ``end`` its tokens that end a reply; ``rows`` speak at once."""

    def __init__(self, model: Any, end: tuple[int, ...], *, rows: int = 128, share: bool = True) -> None:
        self.model, self.end, self.rows, self.share = model, np.asarray(end), rows, share
        self.cache = cache_argument(model.get_decoder())
        self.queue: deque[_Waiting] = deque()
        self.batch = _Batch()

    def __len__(self) -> int:
        """Requests that are not finished."""
        return len(self.queue) + len(self.batch.requests)

    def submit(self, id: int, prompt: NDArray[np.int32], seed: int, max_new: int, sampling: Sampling = PLAIN) -> None:
        """Ask for a reply of at most ``max_new`` tokens to ``prompt``."""
        self.queue.append(_Waiting(id, prompt, seed, max_new, sampling))

    @torch.no_grad()
    def step(self) -> list[Spoken]:
        """Draw one token for every speaking row; the replies that this finished."""
        speaking = len(self.batch.requests)
        room = self.rows - speaking
        if self.queue and (room >= max(1, self.rows // SLACK) or not speaking):
            wanted = min(self.rows, len(self))
            taken = [self.queue.popleft() for _ in range(min(room, len(self.queue)))]
            self.batch.join(taken, self._read(taken), wanted)
        if not self.batch.requests:
            return []
        done = self.batch.draw(self.model, self.end)
        if self.batch.requests:
            self.batch.advance(self._run)
        else:
            self.batch = _Batch()  # gives its memory back
        return done

    def _run(self, cache: DynamicCache, tokens: Tensor, seen: Tensor, position: Tensor) -> Tensor:
        """Last hidden states at ``tokens`` [rows, new columns], which ``cache`` takes in; ``seen`` covers all columns."""
        read = {"input_ids": tokens, "attention_mask": seen, "position_ids": position}
        on_device = {name: value.to(self.model.device) for name, value in read.items()}
        decoder = self.model.get_decoder()  # asked for each time: another player may have put its adapters there in between
        return decoder(**on_device, use_cache=True, **{self.cache: cache}).last_hidden_state

    def _read(self, taken: list[_Waiting]) -> _Read:
        """Run the model over new prompts: each distinct one once, behind their common beginning."""
        known: dict[Any, int] = {}
        told = [request.prompt.tobytes() if self.share else i for i, request in enumerate(taken)]
        of = [known.setdefault(prompt, len(known)) for prompt in told]
        prompts = [torch.from_numpy(taken[of.index(k)].prompt.astype(np.int64)) for k in range(len(known))]
        # padding stands between what is shared and a row's own; a sliding window would count it as tokens
        share = self.share and len(prompts) > 1 and not getattr(self.model.config, "sliding_window", None)
        shared = common_prefix([prompt.numpy() for prompt in prompts]) if share else 0
        shared = shared if shared >= MIN_SHARED else 0
        cache = DynamicCache()  # without the model's windows, which its masks know: every layer keeps the same columns
        if shared:
            head = prompts[0][None, :shared]
            self._run(cache, head, torch.ones_like(head, dtype=torch.bool), torch.arange(shared)[None])
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
        states = self._run(cache, tokens, seen, position)
        rows = torch.tensor(of)
        return _Read([(layer.keys[rows], layer.values[rows]) for layer in _layers(cache)], seen[rows], states[rows, -1])


class _Batch:
    """Replies under way, one row each, and room for more.

    What is read and said stands in columns that all rows share: a request joins with its prompt in the last of the ``used``
    ones, and every step fills the next. So nothing is copied when a request joins; when one leaves, the last row takes its
    place. ``layers`` have room for [rows, heads, columns, width]; ``seen`` (which columns are a row's own), ``tokens`` and
    ``logp`` are [rows, columns]; a row begins at column ``start`` and has ``said`` tokens of its reply.
    """

    def __init__(self) -> None:
        self.requests: list[_Waiting] = []
        self.start, self.said = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self.used = 0
        self.layers: list[_Columns] = []
        self.seen, self.tokens, self.logp = (torch.zeros(0, 0, dtype=kind) for kind in (torch.bool, torch.int64, torch.float32))
        self.hidden = torch.zeros(0)

    def join(self, requests: list[_Waiting], read: _Read, wanted: int) -> None:
        """Let requests in; so many rows will be ``wanted`` as far as is known."""
        before, length = len(self.requests), read.seen.shape[1]
        if not self.layers:
            self.layers = [_Columns(keys[:0, :, :0], values[:0, :, :0]) for keys, values in read.layers]
        if before + len(requests) > len(self.seen) or length > self.used:
            self._arrange(wanted, length)
        rows, columns = slice(before, before + len(requests)), slice(self.used - length, self.used)
        for layer, states in zip(self.layers, read.layers, strict=True):
            for room, new in zip(layer.room, states, strict=True):
                room[rows, :, columns] = new
        self.seen[rows] = False
        self.seen[rows, columns] = read.seen
        self.hidden = torch.cat([self.hidden, read.hidden]) if before else read.hidden
        self.requests += requests
        self.start = np.append(self.start, np.full(len(requests), columns.start))
        self.said = np.append(self.said, np.zeros(len(requests), np.int64))

    def draw(self, model: Any, end: NDArray[np.int64]) -> list[Spoken]:
        """One token for every row; the replies that are now complete."""
        if self.used == self.seen.shape[1]:
            self._arrange(len(self.requests), 0)
        ways = [request.sampling for request in self.requests]
        logp = log_probs(logits_of(model, self.hidden), ways, [self._past(row) for row in range(len(ways))])
        seeds = np.asarray([request.seed for request in self.requests], np.uint64)
        point = torch.from_numpy(uniform(seeds, self.said)).to(logp.device)[:, None]
        cumulative = logp.exp().cumsum(1, dtype=torch.float64)
        token = torch.searchsorted(cumulative, point * cumulative[:, -1:], right=True).clamp(max=logp.shape[1] - 1)
        rows, column = slice(len(self.requests)), self.used
        self.tokens[rows, column], self.logp[rows, column] = token[:, 0], logp.gather(1, token)[:, 0]
        self.seen[rows, column] = True
        self.used += 1
        self.said += 1
        ended = (self.tokens[rows, column].numpy()[:, None] == end).any(1)
        done = np.flatnonzero(ended | (self.said >= [request.max_new for request in self.requests])).tolist()
        spoken = [self._spoken(row, bool(ended[row])) for row in done]
        self._leave(done)
        return spoken

    def _reply(self, row: int) -> slice:
        """Where the tokens of a row's reply stand."""
        return slice(self.used - int(self.said[row]), self.used)

    def _past(self, row: int) -> NDArray[np.int64]:
        """All tokens before the next one that a row draws; none where it does not matter which they are."""
        request = self.requests[row]
        if request.sampling.repetition == 1:
            return np.zeros(0, np.int64)
        return np.concatenate([request.prompt, self.tokens[row, self._reply(row)].numpy()])

    def _spoken(self, row: int, ended: bool) -> Spoken:
        reply = self._reply(row)
        tokens, logp = self.tokens[row, reply].numpy().astype(np.int32), self.logp[row, reply].numpy().copy()
        return Spoken(self.requests[row].id, tokens, logp, ended)

    def _leave(self, done: list[int]) -> None:
        """Take replies out; the last rows move into the places of those that leave."""
        left = len(self.requests) - len(done)
        into = [row for row in done if row < left]
        last = [row for row in range(left, len(self.requests)) if row not in done]
        columns: list[Any] = [self.start, self.said, self.seen, self.tokens, self.logp]
        columns += [room for layer in self.layers for room in layer.room]
        for to, row in zip(into, last, strict=True):
            self.requests[to] = self.requests[row]
            for held in columns:
                held[to] = held[row]
        del self.requests[left:]
        self.start, self.said = self.start[:left], self.said[:left]

    def advance(self, run: Callable[[DynamicCache, Tensor, Tensor, Tensor], Tensor]) -> None:
        """Read the tokens just drawn."""
        rows = slice(len(self.requests))
        first, last = int(self.start.min()), self.used - 1
        cache = DynamicCache()
        cache.layers = [layer.shown(len(self.requests), first, last) for layer in self.layers]
        position = torch.tensor([len(request.prompt) for request in self.requests]) + torch.from_numpy(self.said - 1)
        tokens, seen = self.tokens[rows, last : self.used], self.seen[rows, first : self.used]
        self.hidden = run(cache, tokens, seen, position[:, None])[:, -1]

    def _arrange(self, rows: int, length: int) -> None:
        """Make room for so many rows, with at least ``length`` columns filled and some free. Columns that no row needs go."""
        count, first = len(self.requests), int(self.start.min(initial=self.used))
        kept = self.used - first
        used = max(kept, length)
        free = max(used // FREE, 16)

        def moved(held: Tensor, dim: int) -> Tensor:
            rest = held[:count].narrow(dim, first, kept).clone()
            if rows > len(held) or used + free // 2 > held.shape[dim]:
                shape = [max(rows, len(held)), *held.shape[1:]]
                shape[dim] = used + free
                held = held.new_zeros(shape)
            held[:count].narrow(dim, used - kept, kept).copy_(rest)
            return held

        self.seen, self.tokens, self.logp = (moved(held, 1) for held in (self.seen, self.tokens, self.logp))
        for layer in self.layers:
            layer.room = [moved(held, 2) for held in layer.room]
        self.seen[:count, : used - kept] = False  # where the rows stood before, if they moved to the right
        self.start = self.start + (used - kept - first)
        self.used = used


class _Columns(DynamicLayer):
    """A cache layer that writes new columns into room that is there, instead of being copied at every token."""

    keys: Tensor
    values: Tensor

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()
        self.lazy_initialization(keys, values)
        self.room = [keys, values]

    def shown(self, rows: int, first: int, last: int) -> _Columns:
        """This layer as so many rows of the columns from ``first`` to before ``last``."""
        self.rows, self.first, self.last = rows, first, last
        self.keys, self.values = (room[:rows, :, first:last] for room in self.room)
        return self

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        for room, new in zip(self.room, (key_states, value_states), strict=True):
            room[: self.rows, :, self.last : self.last + new.shape[2]] = new
        self.shown(self.rows, self.first, self.last + key_states.shape[2])
        return self.keys, self.values


def _layers(cache: DynamicCache) -> list[Any]:
    return list(cache.layers)
