"""Gradient steps on a loss, with what keeps a long run alive: clipping, skipped steps, and a way back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from algorithms.losses import Anneal
from algorithms.parts import Choices, Credited, Learner, Loss, Policy
from marl_llm.checkpoint import load_json, load_tensors, save_json, save_tensors
from marl_llm.errors import within
from marl_llm.records import Batch
from marl_llm.seeding import generator

BAD_IN_A_ROW = 3
"""Steps with a loss or gradient that is not finite after which the last good parameters come back."""


@dataclass(frozen=True, kw_only=True)
class Adam(Learner):
    """Adam on minibatches of units (prompts with their legal replies, or free replies), with all the choices made in them."""

    rate: Anneal
    """Step size."""
    epochs: int = 4
    """Passes over the units of an iteration."""
    minibatch: int = 128
    """Units a step."""
    tokens: int = 16384
    """Tokens a pass holds at most; a larger minibatch is computed in several, whose gradients add up to the same step."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    critic: float = 0.5
    """Weight of the critic's squared error, where the credit has a critic."""

    def __post_init__(self) -> None:
        within("learner", self, 1, inf, "epochs", "minibatch", "tokens")
        within("learner", self, 0, inf, "clip", "critic")

    def start(self, policy: Policy, loss: Loss, horizon: int, seed: int) -> GradientLearner:
        return GradientLearner(self, policy, loss, horizon, seed)


class GradientLearner:
    """Adam's state, the copy of the policy that the loss compares to, and the last parameters that gave finite losses."""

    def __init__(self, settings: Adam, policy: Policy, loss: Loss, horizon: int, seed: int) -> None:
        self.settings, self.policy, self.loss, self.horizon, self.seed = settings, policy, loss, horizon, seed
        self.optimiser = torch.optim.Adam(policy.parameters(), lr=settings.rate.start)
        self.reference = self._copy() if loss.reference is not None else []
        self.good = self._copy()
        self.skipped = self.bad_in_a_row = 0

    def learn(self, batch: Batch, credited: Credited, step: int) -> Mapping[str, float]:
        progress = step / self.horizon
        rate = self.settings.rate.at(progress)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        choices = self.policy.choices(batch)
        choices = choices.weighted(self.loss.weights(choices, batch))
        row = choices.turn if len(credited.advantage) == batch.size("turn") else choices.token
        gain = torch.from_numpy(credited.advantage[row]).to(choices.old.dtype)
        target = None if credited.target is None else torch.from_numpy(credited.target[row]).to(choices.old.dtype)
        reference = None if self.loss.reference is None else self._reference_log_probs(choices)
        figures: dict[str, float] = {}
        for epoch in range(self.settings.epochs):
            compared: dict[str, float] = {}
            if self.loss.joint and len(choices.turn):
                there = None if reference is None else reference[choices.context, choices.place]
                now = self._log_probs(choices)[choices.context, choices.place]
                gain, told = self.loss.gains(now, choices, there, credited, batch)
                compared = {name: figure.item() for name, figure in told.items()}
            for contexts in self._minibatches(choices, step, epoch):
                found = self._step(choices, contexts, gain, target, reference, progress) | compared
                figures = {**found, "logp_gap": figures.get("logp_gap", found["logp_gap"])}
        if self.bad_in_a_row == 0:
            self.good = self._copy()
            self._follow()
        self.policy.updated()
        counts = {"choices": len(choices.turn), "contexts": len(choices.old), "skipped": self.skipped}
        return {**figures, **self.loss.settings(progress), "learning_rate": rate, **counts}

    def _minibatches(self, choices: Choices, step: int, epoch: int) -> list[NDArray[np.int64]]:
        """The contexts of all units in parts of nearly equal numbers of units; in an order of the step's own where they do not fit one. A
        joint loss has one part."""
        units = int(choices.unit.max(initial=-1)) + 1
        parts = min(units, 1) if self.loss.joint else -(-units // self.settings.minibatch)
        order = np.arange(units) if parts < 2 else generator(self.seed, step, epoch).permutation(units)
        part_of = np.zeros(units, np.int64)
        for number, chosen in enumerate(np.array_split(order, max(parts, 1))):
            part_of[chosen] = number
        return _groups(part_of[choices.unit])

    def _passes(self, choices: Choices, contexts: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """A minibatch in parts of whole units that fit one pass."""
        cost = np.bincount(choices.unit[contexts], choices.cost[contexts])
        if cost.sum() <= self.settings.tokens:
            return [contexts]
        before = np.cumsum(cost) - cost
        return _groups((before // self.settings.tokens).astype(np.int64)[choices.unit[contexts]], contexts)

    def _step(
        self,
        choices: Choices,
        contexts: NDArray[np.int64],
        gain: Tensor,
        target: Tensor | None,
        reference: Tensor | None,
        progress: float,
    ) -> dict[str, float]:
        """One step on the choices made in ``contexts``: the loss is as heavy as that of the whole batch."""
        self.optimiser.zero_grad()
        figures: dict[str, float] = {}
        mass = float(choices.mass[contexts].sum())
        scale, total = float(choices.weight.sum()) / mass if mass else 0.0, 0.0
        for some in self._passes(choices, contexts):
            part, mine = choices.take(some)
            logp, value = self.policy.forward(some)
            loss, found = self.loss.value(logp, part, gain[mine], None if reference is None else reference[some], progress)
            if target is not None and value is not None:
                found["critic"] = 0.5 * (part.weight * (value[part.context].to(target.dtype) - target[mine]).square()).sum()
                loss = loss + self.settings.critic * found["critic"]
            (scale * loss).backward()
            total += scale * loss.item()
            gap = (logp.detach()[part.context, part.place] - part.logp).abs().max().item() if len(mine) else 0.0
            figures["logp_gap"] = max(figures.get("logp_gap", 0.0), gap)
            for name, figure in found.items():
                figures[name] = figures.get(name, 0.0) + figure.item() / max(mass, 1e-300)
        norm = torch.nn.utils.clip_grad_norm_(self.policy.parameters(), self.settings.clip)
        if np.isfinite(total) and torch.isfinite(norm):
            self.optimiser.step()
            self.bad_in_a_row = 0
            return {**figures, "loss": total, "gradient": norm.item()}
        self._skip()
        return figures

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

    def referred(self, batch: Batch) -> Batch:
        choices = self.policy.choices(batch)
        logp = self._reference_log_probs(choices)[choices.context, choices.place].double().numpy()
        turns = batch.size("turn")
        total, count = np.bincount(choices.turn, logp, turns), np.bincount(choices.turn, minlength=turns)
        return batch.with_columns(**{"turn.reference": total / np.maximum(count, 1)})

    @torch.no_grad()
    def _log_probs(self, choices: Choices) -> Tensor:
        """Of all contexts now, [C, S]."""
        logp = torch.empty_like(choices.old)
        for some in self._passes(choices, np.arange(len(choices.old))):
            logp[some] = self.policy.forward(some)[0].to(logp.dtype)
        return logp

    def _reference_log_probs(self, choices: Choices) -> Tensor:
        """Of all contexts, [C, S]: the reference stays as it is during an iteration."""
        now = self._copy()
        self._put(self.reference)
        logp = self._log_probs(choices)
        self._put(now)
        return logp

    @torch.no_grad()
    def _follow(self) -> None:
        if rate := self.loss.reference:
            for slow, value in zip(self.reference, self.policy.parameters(), strict=True):
                slow.lerp_(value, rate)

    def save(self, folder: Path) -> None:
        tensors: dict[str, Tensor] = {f"reference.{i}": value for i, value in enumerate(self.reference)}
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
        self.reference = [saved[f"reference.{i}"] for i in range(len(self.reference))]
        self.good = self._copy()


def _groups(group: NDArray[np.int64], items: NDArray[np.int64] | None = None) -> list[NDArray[np.int64]]:
    """``items`` (or their places) of each group, in order of the groups' numbers; none for a number that has none."""
    order = np.argsort(group, kind="stable")
    parts = np.split(order if items is None else items[order], np.flatnonzero(np.diff(group[order])) + 1)
    return [part for part in parts if len(part)]
