"""A language model as a trainable policy: the batch's sampled tokens, each distinct context computed once.

A context is (prompt, reply so far, support, version of the weights that sampled). In small games a batch of ten thousand
tokens has a dozen contexts; in free text nearly every token has its own, and the same code computes plain rows.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from algorithms.parts import Choices
from marl_llm.agents.language import LanguageAgent
from marl_llm.checkpoint import load_json, load_tensors, save_json, save_tensors
from marl_llm.inference.forward import logits_at, support_log_probs
from marl_llm.ragged import Ragged, padded, segment_sum
from marl_llm.records import Batch
from marl_llm.seeding import fold


class LanguagePolicy:
    """The agent's model with all its parameters trained. A choice is a token that was not forced."""

    def __init__(self, agent: LanguageAgent) -> None:
        self.agent = agent

    def parameters(self) -> list[Tensor]:
        return list(self.agent.model.parameters())

    def choices(self, batch: Batch) -> Choices:
        tokens = _Tokens(batch)
        _, first, of = np.unique(tokens.context, return_index=True, return_inverse=True)
        self._rows, self._row, self._position = tokens.rows(first)
        support = batch.ragged("support.id").take(tokens.token)
        place = segment_sum(_before(support, batch["token.id"][tokens.token]), support.starts)
        distinct = tokens.token[first]
        self._support = padded(batch.ragged("support.id").take(distinct), -1)
        old = torch.from_numpy(padded(batch.ragged("support.logp").take(distinct), -np.inf)).float()
        return Choices.of(of, place, tokens.turn, old)

    def log_probs(self, contexts: NDArray[np.int64]) -> Tensor:
        rows, row = np.unique(self._row[contexts], return_inverse=True)
        logits = logits_at(self.agent.model, [self._rows[i] for i in rows.tolist()], row, self._position[contexts])
        return support_log_probs(logits, self._support[contexts])

    def updated(self) -> None:
        self.agent.updated()

    def save(self, folder: Path) -> None:
        save_tensors(folder / "policy.safetensors", dict(self.agent.model.named_parameters()))
        save_json(folder / "version.json", self.agent.version)

    def load(self, folder: Path) -> None:
        saved = load_tensors(folder / "policy.safetensors")
        with torch.no_grad():
            for name, value in self.agent.model.named_parameters():
                value.copy_(saved[name])
        self.agent.updated()
        self.agent.version = load_json(folder / "version.json")

    def save_agent(self, folder: Path) -> None:
        self.agent.save(folder)


class _Tokens:
    """The learned tokens of a batch: ``token`` and ``turn`` rows; 64-bit hashes of the tokens before each (``prefix``),
    and of its whole ``context``: those, its support, and the version that it was sampled by."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        turn_of = batch.up("token", "turn")
        ids = batch["token.id"].astype(np.int64)
        place = np.arange(len(ids)) - batch.starts["token"][:-1][turn_of]
        mixed = fold(ids, place)
        running = np.concatenate([np.zeros(1, np.uint64), np.cumsum(mixed, dtype=np.uint64)])  # wraps: sums modulo 2^64
        before = running[:-1] - running[batch.starts["token"][:-1]][turn_of]
        support = batch.ragged("support.id")
        support_hash = segment_sum(fold(support.data.astype(np.int64), 1), support.starts).astype(np.uint64)
        stream, end, version = (batch[f"turn.{name}"][turn_of] for name in ("stream", "prompt_end", "version"))
        learned = batch["token.learn"].astype(bool) & (batch["turn.learn"] & (batch["turn.fault"] == 0))[turn_of]
        self.token = np.flatnonzero(learned)
        self.turn, self.place = turn_of[self.token], place[self.token]
        self.prefix = fold(stream, end, before)[self.token]
        self.context = fold(self.prefix, support_hash[self.token], version[self.token])

    def rows(self, first: NDArray[np.int64]) -> tuple[list[NDArray[np.int32]], NDArray[np.int64], NDArray[np.int64]]:
        """Token rows that pass through the contexts of the tokens ``first``: rows, each context's row, and its position.

        A turn's row ends at its last learned token, so turns that differ only from there on share one.
        """
        last = np.ones(len(self.token), bool)
        last[:-1] = self.turn[1:] != self.turn[:-1]
        turns, ends = self.turn[last], self.place[last]
        _, chosen, of = np.unique(self.prefix[last], return_index=True, return_inverse=True)
        row_of_turn = np.full(self.batch.size("turn"), -1)
        row_of_turn[turns] = of
        streams: Ragged = self.batch.tables["stream"]
        prompt_end, stream = self.batch["turn.prompt_end"], self.batch["turn.stream"]
        replies = self.batch.ragged("token.id")
        rows = [
            np.concatenate([streams[int(stream[turn])][: int(prompt_end[turn])], replies[int(turn)][:end].astype(np.int32)])
            for turn, end in zip(turns[chosen].tolist(), ends[chosen].tolist(), strict=True)
        ]
        turn = self.turn[first]
        return rows, row_of_turn[turn], (prompt_end[turn] + self.place[first] - 1).astype(np.int64)


def _before(support: Ragged, sampled: NDArray[np.int32]) -> NDArray[np.int64]:
    """1 for every entry of a support that stands before the sampled token: their number is the token's place."""
    hit = support.data == np.repeat(sampled, support.lengths)
    running = np.cumsum(hit)
    start = np.concatenate([[0], running])[support.starts[:-1]]
    return (running - np.repeat(start, support.lengths) == 0).astype(np.int64)
