"""Advantages from a critic: generalised advantage estimation over turns, and over turns and then tokens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from algorithms.parts import Credit, Credited, Memory
from algorithms.returns import advantages
from marl_llm.records import CUT, Batch


@dataclass(frozen=True, kw_only=True)
class TurnGAE(Credit):
    """GAE (Schulman et al., 2016) over a seat's own turns; V(turn) is the critic's before the turn's first token."""

    discount: float = 1.0
    trace: float = 0.95
    """lambda: 1 trusts returns only (no bias), 0 trusts the value of the next own turn (least noise)."""
    normalise: bool = True
    """Whiten the advantages over the learned turns."""

    @property
    def reads(self) -> tuple[str, ...]:
        return "turn.game", "turn.format", "turn.value"

    def assign(self, batch: Batch, memory: Memory) -> Credited:
        advantage = turn_advantages(batch, batch["turn.value"], self.discount, self.trace)
        target = advantage + batch["turn.value"]
        return Credited(whitened(advantage, batch["turn.learn"].astype(bool)) if self.normalise else advantage, target)


@dataclass(frozen=True, kw_only=True)
class BiLevelGAE(Credit):
    """Bi-level GAE (RAGEN, 2025): GAE over turns with the values at their last tokens, then inside each turn GAE over its
    tokens, whose one reward is the turn's advantage + value at the last token. Whitened over the learned tokens.

    Turn ends are where turns end, also where their reward is 0.
    """

    discount: float = 0.95
    """From a turn to the next own turn."""
    token_discount: float = 1.0
    trace: float = 1.0

    @property
    def reads(self) -> tuple[str, ...]:
        return "turn.game", "turn.format", "turn.value"

    def assign(self, batch: Batch, memory: Memory) -> Credited:
        if "token.value" not in batch:  # a move is one token
            return TurnGAE(discount=self.discount, trace=self.trace).assign(batch, memory)
        value, starts = batch["token.value"], batch.starts["token"]
        spoken = np.diff(starts) > 0
        last = np.where(spoken, starts[1:] - 1, 0)
        of_turn = turn_advantages(batch, np.where(spoken, value[last], 0.0), self.discount, self.trace)
        rewards = np.zeros(len(value))
        rewards[last[spoken]] = of_turn[spoken] + value[last[spoken]]
        advantage = advantages(rewards, value, starts, np.zeros(len(last), bool), self.token_discount, self.trace)
        learned = batch["token.learn"].astype(bool) & batch["turn.learn"][batch.up("token", "turn")]
        return Credited(whitened(advantage, learned), advantage + value)


def turn_advantages(batch: Batch, value: NDArray[np.float64], discount: float, trace: float) -> NDArray[np.float64]:
    """GAE over each seat's turns; shape [turns]. A match that was cut is bootstrapped from the seat's last turn, which is itself no
    sample. A turn without tokens (the random move after a fault) is no decision: what it earns is the turn's before it."""
    reward, number = batch["turn.game"] + batch["turn.format"], np.arange(len(value))
    decided = np.diff(batch.starts["token"]) > 0 if "token" in batch.starts else np.ones(len(value), bool)
    seat, earner = batch.up("turn", "seat"), np.maximum.accumulate(np.where(decided, number, -1))
    own = (earner >= 0) & (seat[earner] == seat)
    earned = np.bincount(earner[own], reward[own], len(value)).astype(np.float64)
    starts = np.concatenate([[0], np.cumsum(decided)])[batch.starts["turn"]]
    cut = (batch["match.end"] == CUT)[batch.up("seat", "match")]
    advantage = np.zeros(len(value))
    advantage[decided] = advantages(earned[decided], value[decided], starts, cut, discount, trace)
    return advantage


def whitened(values: NDArray[np.float64], counted: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(values - mean) / sqrt(variance + 1e-8) over the counted rows, with n - 1 in the variance; 0 elsewhere."""
    chosen = values[counted]
    spread = np.sqrt(chosen.var(ddof=1) + 1e-8) if len(chosen) > 1 else 1.0
    return np.where(counted, (values - chosen.mean()) / spread, 0.0) if len(chosen) else np.zeros(len(values))
