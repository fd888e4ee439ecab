"""A policy that is a table of logits, one row a key: the yardstick a language model is held against on the same recipe."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from algorithms.parts import Choices
from marl_llm.agent import Decision, Immediate, Request, draw
from marl_llm.agent import answer as answered
from marl_llm.checkpoint import load_json, load_tensors, save_json, save_tensors
from marl_llm.errors import UserError
from marl_llm.game import Discrete, GameInfo
from marl_llm.ragged import Ragged, padded
from marl_llm.records import Batch

KEYS = 1 << 15
"""Rows of a table: it is made whole, so that an optimiser can hold on to it."""


class Table(Immediate):
    """Plays by its table; a key not met yet is played uniformly. The last column is a critic's value of each key."""

    def __init__(self, actions: int) -> None:
        super().__init__()
        self.row: dict[str, int] = {}
        self.logits = torch.zeros(KEYS, actions + 1, dtype=torch.float64, requires_grad=True)
        self.version = 0

    def rows(self, keys: Sequence[str]) -> list[int]:
        """Rows of the table for ``keys``; new keys get new rows."""
        rows = [self.row.setdefault(key, len(self.row)) for key in keys]
        if len(self.row) > KEYS:
            raise UserError(f"model 'tabular' holds {KEYS} keys and this game has more; use --model tiny")
        return rows

    def log_policy(self, request: Request) -> Ragged:
        codes, first, of = np.unique(request.views.keys(), return_index=True, return_inverse=True)
        legal = request.legal.take(first)
        actions = self.logits.shape[1] - 1
        if legal.data.max(initial=0) >= actions:
            raise UserError(f"a table for {actions} actions cannot play {request.views.game.info.name}; train one on this game")
        rows = np.asarray([self.row.get(request.views.codes[code], -1) for code in codes.tolist()])
        table = self.logits.detach().numpy()
        logits = np.where(rows[legal.row_of()] < 0, 0.0, table[rows[legal.row_of()], legal.data])
        logp = torch.from_numpy(padded(Ragged(logits, legal.starts), -np.inf)).log_softmax(1).numpy()
        return Ragged(logp[np.isfinite(logp)], legal.starts).take(of)

    def policy(self, request: Request) -> Ragged:
        logp = self.log_policy(request)
        return Ragged(np.exp(logp.data), logp.starts)

    def decide(self, request: Request) -> Decision:
        logp = self.log_policy(request)
        choice = draw(Ragged(np.exp(logp.data), logp.starts), request.seed)
        record = {"legal.action": request.legal, "legal.logp": logp}
        return answered(request, request.legal.at(choice), version=self.version, record=record)


class TabularPolicy:
    """The table as a trainable policy. A choice is a whole move, a context a key with its legal actions and who played
    there."""

    def __init__(self, info: GameInfo) -> None:
        assert isinstance(info.action, Discrete)
        self.agent = Table(info.action.n)

    def parameters(self) -> list[Tensor]:
        return [self.agent.logits]

    def choices(self, batch: Batch) -> Choices:
        turns = np.flatnonzero(batch["turn.learn"] & (batch["turn.fault"] == 0))
        players = len(batch.tables["player"])  # those of past policies drew from their own distributions
        codes = batch["turn.key"][turns] * players + batch["seat.player"][batch.up("turn", "seat")[turns]]
        codes, first, of = np.unique(codes, return_index=True, return_inverse=True)
        action, logp = (batch.ragged(f"legal.{name}").take(turns[first]) for name in ("action", "logp"))
        self._row = np.asarray(self.agent.rows([batch.tables["key"][code // players] for code in codes.tolist()]))
        self._support = padded(action, -1).astype(np.int64)
        place = (self._support[of] == batch["turn.action"][turns, None]).argmax(1)
        old = torch.from_numpy(padded(logp, -np.inf))
        return Choices.of(of, place, turns, old)

    def forward(self, contexts: NDArray[np.int64]) -> tuple[Tensor, Tensor | None]:
        support = torch.from_numpy(self._support[contexts])
        rows = self.agent.logits[torch.from_numpy(self._row[contexts])]
        return rows.gather(1, support.clamp(min=0)).masked_fill(support < 0, -torch.inf).log_softmax(1), rows[:, -1]

    def values(self, batch: Batch) -> Batch:
        codes, of = np.unique(batch["turn.key"], return_inverse=True)
        rows = self.agent.rows([batch.tables["key"][code] if code >= 0 else "" for code in codes.tolist()])
        return batch.with_columns(**{"turn.value": self.agent.logits.detach().numpy()[rows, -1][of]})

    def updated(self) -> None:
        self.agent.version += 1

    def save(self, folder: Path) -> None:
        save_tensors(folder / "policy.safetensors", {"logits": self.agent.logits})
        save_json(folder / "rows.json", self.agent.row)

    def load(self, folder: Path) -> None:
        self.agent.logits = load_tensors(folder / "policy.safetensors")["logits"].requires_grad_()
        self.agent.row = load_json(folder / "rows.json")

    def save_agent(self, folder: Path) -> None:
        save_json(
            folder / "agent.json",
            {
                "loader": "tabular",
                "actions": self.agent.logits.shape[1] - 1,
                "rows": self.agent.row,
                "logits": self.agent.logits[: len(self.agent.row)].tolist(),
            },
        )

    def save_past(self, folder: Path) -> None:
        self.save_agent(folder)


def load(folder: Path) -> Table:
    """A saved table as a player."""
    saved = load_json(folder / "agent.json")
    table = Table(saved["actions"])
    table.row = saved["rows"]
    with torch.no_grad():
        table.logits[: len(table.row)] = torch.tensor(saved["logits"], dtype=torch.float64).reshape(-1, saved["actions"] + 1)
    return table
