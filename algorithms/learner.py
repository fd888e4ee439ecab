"""Gradient steps on a loss, with what keeps a long run alive: clipping, skipped steps, and a way back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from algorithms.losses import Anneal, MirrorDescent
from algorithms.parts import Learner, Loss, Policy
from marl_llm.checkpoint import load_json, load_tensors, save_json, save_tensors
from marl_llm.records import Batch
from marl_llm.seeding import generator

BAD_IN_A_ROW = 3
"""Steps with a loss or gradient that is not finite after which the last good parameters come back."""


@dataclass(frozen=True, kw_only=True)
class Adam(Learner):
    """Adam on minibatches of contexts, each with all the choices that were made in it."""

    rate: Anneal
    """Step size."""
    epochs: int = 4
    """Passes over the contexts of an iteration."""
    minibatch: int = 128
    """Contexts a step."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    slow_rate: float = 0.02
    """Share of the policy that the slow copy takes on an iteration, where the loss has one as its magnet."""

    def start(self, policy: Policy, loss: Loss, horizon: int, seed: int) -> GradientLearner:
        return GradientLearner(self, policy, loss, horizon, seed)


class GradientLearner:
    """Adam's state, the slow copy, and the last parameters that gave finite losses."""

    def __init__(self, settings: Adam, policy: Policy, loss: Loss, horizon: int, seed: int) -> None:
        self.settings, self.policy, self.loss, self.horizon, self.seed = settings, policy, loss, horizon, seed
        self.optimiser = torch.optim.Adam(policy.parameters(), lr=settings.rate.start)
        self.has_slow = isinstance(loss, MirrorDescent) and loss.magnet == "slow"
        self.slow = self._copy() if self.has_slow else []
        self.good = self._copy()
        self.skipped = self.bad_in_a_row = 0

    def learn(self, batch: Batch, advantage: NDArray[np.float64], step: int) -> Mapping[str, float]:
        progress = step / self.horizon
        rate = self.settings.rate.at(progress)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        choices = self.policy.choices(batch)
        gain = torch.from_numpy(advantage[choices.turn]).to(choices.logp.dtype)
        figures: dict[str, float] = {}
        for epoch in range(self.settings.epochs):
            for contexts in self._minibatches(len(choices.old), step, epoch):
                part, mine = choices.take(contexts)
                magnet = self._slow_log_probs(contexts) if self.has_slow else None
                loss, figures = self.loss.value(self.policy.log_probs(contexts), part, gain[mine], magnet, progress)
                figures |= self._step(loss)
        if self.bad_in_a_row == 0:
            self.good = self._copy()
            self._follow()
        self.policy.updated()
        return {**figures, "learning_rate": rate, "choices": len(choices.turn), "contexts": len(choices.old), "skipped": self.skipped}

    def _minibatches(self, contexts: int, step: int, epoch: int) -> list[NDArray[np.int64]]:
        """All contexts in parts of nearly equal size; in an order of the step's own where they do not fit one."""
        parts = -(-contexts // self.settings.minibatch)
        order = np.arange(contexts) if parts < 2 else generator(self.seed, step, epoch).permutation(contexts)
        return np.array_split(order, parts) if contexts else []

    def _step(self, loss: Tensor) -> dict[str, float]:
        self.optimiser.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.policy.parameters(), self.settings.clip)
        if torch.isfinite(loss) and torch.isfinite(norm):
            self.optimiser.step()
            self.bad_in_a_row = 0
            return {"loss": loss.item(), "gradient": norm.item()}
        self._skip()
        return {}

    def _skip(self) -> None:
        """Count a step that was not taken; several in a row mean that the parameters are lost, so take the last good ones."""
        self.skipped += 1
        self.bad_in_a_row += 1
        if self.bad_in_a_row >= BAD_IN_A_ROW:
            self._put(self.good)
            self.optimiser.state.clear()
            self.bad_in_a_row = 0

    def _copy(self) -> list[Tensor]:
        return [value.detach().clone() for value in self.policy.parameters()]

    @torch.no_grad()
    def _put(self, values: list[Tensor]) -> None:
        for parameter, value in zip(self.policy.parameters(), values, strict=True):
            parameter.copy_(value)

    @torch.no_grad()
    def _slow_log_probs(self, contexts: NDArray[np.int64]) -> Tensor:
        now = self._copy()
        self._put(self.slow)
        logp = self.policy.log_probs(contexts)
        self._put(now)
        return logp

    @torch.no_grad()
    def _follow(self) -> None:
        for slow, value in zip(self.slow, self.policy.parameters() if self.has_slow else [], strict=True):
            slow.lerp_(value, self.settings.slow_rate)

    def save(self, folder: Path) -> None:
        tensors: dict[str, Tensor] = {f"slow.{i}": value for i, value in enumerate(self.slow)}
        counts: dict[str, Any] = {"skipped": self.skipped, "bad_in_a_row": self.bad_in_a_row}
        for i, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"adam.{i}.{name}": value for name, value in state.items()}
        save_tensors(folder / "learner.safetensors", tensors)
        save_json(folder / "learner.json", counts)

    def load(self, folder: Path) -> None:
        saved, counts = load_tensors(folder / "learner.safetensors"), load_json(folder / "learner.json")
        self.skipped, self.bad_in_a_row = counts["skipped"], counts["bad_in_a_row"]
        self.optimiser = torch.optim.Adam(self.policy.parameters(), lr=self.settings.rate.start)
        states: dict[int, dict[str, Tensor]] = {}
        for name, value in saved.items():
            kind, i, *rest = name.split(".")
            if kind == "adam":
                states.setdefault(int(i), {})[rest[0]] = value
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": states})
        self.slow = [saved[f"slow.{i}"] for i in range(len(self.slow))]
        self.good = self._copy()
