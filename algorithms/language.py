"""A language model as a trainable policy: the batch's sampled tokens, each distinct context computed once.

In small games a batch of ten thousand tokens has a dozen contexts; in free text nearly every token has its own, and the
same code computes plain rows.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from algorithms.parts import Choices
from marl_llm.agents import adapters
from marl_llm.agents.free import FreeAgent
from marl_llm.agents.language import LanguageAgent
from marl_llm.agents.talking import TalkingAgent
from marl_llm.checkpoint import load_json, load_tensors, save_json, save_tensors
from marl_llm.inference.forward import hidden_at, logits_of, support_log_probs, token_log_probs
from marl_llm.ragged import Ragged, padded, segment_sum, spans
from marl_llm.records import Batch
from marl_llm.seeding import fold

ROWS = 256
"""Rows of a pass without gradients."""


class LanguagePolicy:
    """The agent's model, trained in the parameters that ask for gradients, with a linear critic on its last hidden state. A
    choice is a token that was not forced."""

    def __init__(self, agent: LanguageAgent | FreeAgent | TalkingAgent, adapted: Any = None, base: Path | None = None) -> None:
        """``adapted`` is PEFT's wrapper of the agent's model, where adapters alone are trained, and ``base`` the model's folder."""
        self.agent, self.adapted, self.base = agent, adapted, base
        self.critic = torch.nn.utils.skip_init(torch.nn.Linear, agent.model.config.hidden_size, 1)
        torch.nn.init.zeros_(self.critic.weight)
        torch.nn.init.zeros_(self.critic.bias)

    def named_parameters(self) -> dict[str, Tensor]:
        """What is trained, by name."""
        own = {name: value for name, value in self.agent.model.named_parameters() if value.requires_grad}
        return own | {f"critic.{name}": value for name, value in self.critic.named_parameters()}

    def parameters(self) -> list[Tensor]:
        return list(self.named_parameters().values())

    def choices(self, batch: Batch) -> Choices:
        tokens = _Tokens(batch)
        _, first, of = np.unique(tokens.context, return_index=True, return_inverse=True)
        self._rows, self._row, self._position = tokens.rows(first)
        support = batch.ragged("support.id").take(tokens.token)
        sampled = batch["token.id"][tokens.token]
        place = segment_sum(_before(support, sampled), support.starts)
        allowed = padded(support.take(first), -1)
        allowed = allowed if allowed.shape[1] else np.full((len(first), 1), -1)
        old = padded(batch.ragged("support.logp").take(tokens.token[first]), -np.inf)
        old = old if old.shape[1] else np.full((len(first), 1), -np.inf)
        whole = tokens.whole[first]
        allowed[whole, 0], old[whole, 0] = sampled[first][whole], batch["token.logp"][tokens.token[first]][whole]
        self._support, self._whole = allowed, whole
        _, unit = np.unique(tokens.unit[first], return_inverse=True)
        lengths = np.asarray([len(row) for row in self._rows], np.int64)
        return Choices.of(
            of,
            np.where(tokens.whole, 0, place),
            tokens.turn,
            torch.from_numpy(old).float(),
            token=tokens.token,
            whole=whole,
            unit=unit,
            cost=np.maximum(lengths[self._row] // np.maximum(np.bincount(self._row)[self._row], 1), 1),
        )

    def forward(self, contexts: NDArray[np.int64]) -> tuple[Tensor, Tensor | None]:
        rows, row = np.unique(self._row[contexts], return_inverse=True)
        hidden = hidden_at(self.agent.model, [self._rows[i] for i in rows.tolist()], row, self._position[contexts])
        return self._log_probs(hidden, contexts), self.critic(hidden.float())[:, 0]

    def _log_probs(self, hidden: Tensor, contexts: NDArray[np.int64]) -> Tensor:
        logits = logits_of(self.agent.model, hidden)
        support, whole = self._support[contexts], self._whole[contexts]
        if not whole.any():
            return support_log_probs(logits, support)
        free, known = (torch.from_numpy(np.flatnonzero(rows)) for rows in (whole, ~whole))
        sampled = token_log_probs(logits[free], support[whole, 0])
        logp = torch.full(support.shape, -torch.inf, dtype=sampled.dtype, device=logits.device)
        logp[free, 0] = sampled
        if len(known):
            logp[known] = support_log_probs(logits[known], support[~whole])
        return logp

    @torch.no_grad()
    def values(self, batch: Batch) -> Batch:
        """Before every token of the learning seats, computed once a distinct (prompt, reply)."""
        streams, replies = batch.tables["stream"], batch.ragged("token.id")
        turns = np.flatnonzero(batch["seat.learn"].astype(bool)[batch.up("turn", "seat")] & (batch["turn.stream"] >= 0))
        stream, end = batch["turn.stream"][turns], batch["turn.prompt_end"][turns]
        _, first, of = np.unique(fold(stream, end, _reply_hash(replies)[turns]), return_index=True, return_inverse=True)
        ends = end[first].tolist()
        rows = [np.concatenate([streams[stream[i]][: end[i]], replies[turns[i]]])[:-1] for i in first.tolist()]
        found: list[NDArray[np.float64]] = []
        for start in range(0, len(rows), ROWS):
            found += self._row_values(rows[start : start + ROWS], ends[start : start + ROWS])
        of_turns, of_tokens = np.zeros(batch.size("turn")), np.zeros(batch.size("token"))
        of_turns[turns] = [found[k][0] for k in of.tolist()]
        of_tokens[spans(replies.starts, turns)[0]] = np.concatenate([found[k] for k in of.tolist()] or [np.zeros(0)])
        return batch.with_columns(**{"turn.value": of_turns, "token.value": of_tokens})

    def _row_values(self, rows: list[NDArray[np.int32]], ends: list[int]) -> list[NDArray[np.float64]]:
        """For every row its values from the end of its prompt on."""
        positions = [np.arange(end - 1, len(row)) for row, end in zip(rows, ends, strict=True)]
        row = np.repeat(np.arange(len(rows)), [len(position) for position in positions])
        hidden = hidden_at(self.agent.model, rows, row, np.concatenate(positions))
        value = self.critic(hidden.float())[:, 0].double().numpy()
        return np.split(value, np.cumsum([len(position) for position in positions])[:-1])

    def updated(self) -> None:
        self.agent.updated()

    def save(self, folder: Path) -> None:
        save_tensors(folder / "policy.safetensors", self.named_parameters())
        save_json(folder / "version.json", self.agent.version)

    def load(self, folder: Path) -> None:
        saved = load_tensors(folder / "policy.safetensors")
        with torch.no_grad():
            for name, value in self.named_parameters().items():
                value.copy_(saved[name])
        self.agent.updated()
        self.agent.version = load_json(folder / "version.json")

    def save_agent(self, folder: Path) -> None:
        """A plain model; adapters are merged into its weights in float32, where no step of theirs is rounded away."""
        self.agent.save(folder, self.agent.model if self.adapted is None else copy.deepcopy(self.adapted).float().merge_and_unload())

    def save_past(self, folder: Path) -> None:
        """Adapters alone where these alone are trained: all pasts of a run then share one base."""
        if self.adapted is None or self.base is None:
            self.save_agent(folder)
        else:
            adapters.save(folder, self.adapted, self.base, self.agent.speech)


class _Tokens:
    """The learned tokens of a batch: ``token`` and ``turn`` rows; 64-bit hashes of the tokens before each (``prefix``), of its
    whole ``context``: those, its support, the player and version that it was sampled by; and of the ``unit`` it is learned in.

    A token sampled from the ``whole`` vocabulary has none but its own probability: its context is its place in that reply.
    Faulty attempts are learned from where their tokens were free; a legal reply cannot be faulty.
    """

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        turn_of = batch.up("token", "turn")
        starts = batch.starts["token"]
        place = np.arange(len(turn_of)) - starts[:-1][turn_of]
        running = _running_hash(batch.ragged("token.id"))
        before = running[:-1] - running[starts[:-1]][turn_of]
        reply = _reply_hash(batch.ragged("token.id"))[turn_of]
        support = batch.ragged("support.id")
        support_hash = segment_sum(fold(support.data.astype(np.int64), 1), support.starts).astype(np.uint64)
        stream, end, version = (batch[f"turn.{name}"][turn_of] for name in ("stream", "prompt_end", "version"))
        self.token = np.flatnonzero(batch["token.learn"].astype(bool) & batch["turn.learn"][turn_of])
        self.turn, self.place = turn_of[self.token], place[self.token]
        self.whole = (support.lengths == 0)[self.token]
        prompt = fold(stream, end)
        self.prefix = fold(prompt, before)[self.token]
        self.unit = np.where(self.whole, fold(prompt, reply, 1)[self.token], prompt[self.token])
        told = np.where(self.whole, fold(reply, place)[self.token], support_hash[self.token])
        self.context = fold(self.prefix, told, version[self.token])
        player = batch["seat.player"][batch.up("turn", "seat")][self.turn]
        if len(player) and (player != player[0]).any():  # past policies count their versions anew
            self.context = fold(self.context, player)

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


def _running_hash(replies: Ragged) -> NDArray[np.uint64]:
    """Hashes of tokens at their places in their replies, summed up modulo 2^64 over all that stand before; one more than tokens."""
    place = np.arange(len(replies.data)) - np.repeat(replies.starts[:-1], replies.lengths)
    return np.concatenate([np.zeros(1, np.uint64), np.cumsum(fold(replies.data.astype(np.int64), place), dtype=np.uint64)])


def _reply_hash(replies: Ragged) -> NDArray[np.uint64]:
    """64 bits for every reply."""
    running = _running_hash(replies)
    return running[replies.starts[1:]] - running[replies.starts[:-1]]
