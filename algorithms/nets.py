"""What neural algorithms share: perceptrons, guarded gradient steps, devices, and rows that need be computed only once."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from marl_llm.checkpoint import load_json, load_tensors, save_json, save_tensors
from marl_llm.errors import UserError
from marl_llm.ragged import Ragged

torch.set_num_threads(1)  # these matrices are small: more threads cost more than they bring

PATIENCE = 3
"""Steps in a row with a loss that is not finite, after which the last good weights come back."""


def perceptron(widths: Sequence[int], gain: float, generator: torch.Generator, activation: type[nn.Module] = nn.Tanh) -> nn.Sequential:
    """Layers with orthogonal weights; a small ``gain`` of the last layer makes a policy start almost uniform."""
    layers: list[nn.Module] = []
    for i, (fan_in, fan_out) in enumerate(pairwise(widths)):
        linear = nn.utils.skip_init(nn.Linear, fan_in, fan_out)
        last = i == len(widths) - 2
        nn.init.orthogonal_(linear.weight, gain if last else 2**0.5, generator=generator)
        nn.init.zeros_(linear.bias)
        layers += [linear] if last else [linear, activation()]
    return nn.Sequential(*layers)


class Descent:
    """Adam on ``networks``, each with its gradient cut to length ``max_norm``.

    A step whose loss or gradient is not finite is not taken; ``PATIENCE`` of them in a row bring the last good weights back.
    """

    def __init__(self, networks: Mapping[str, nn.Module], lr: float, max_norm: float) -> None:
        self.networks, self.max_norm = dict(networks), max_norm
        self.adam = torch.optim.Adam([value for net in self.networks.values() for value in net.parameters()], lr=lr, eps=1e-5)
        self.bad_steps = 0
        self.good = {name: copy.deepcopy(net) for name, net in self.networks.items()}
        """The weights that last gave a finite loss."""
        both = ((self.good[name].state_dict(), net.state_dict()) for name, net in self.networks.items())
        self.pairs = [(kept[key], value) for kept, values in both for key, value in values.items()]

    def step(self, loss: Tensor) -> bool:
        """One step down ``loss``; whether it was taken."""
        self.adam.zero_grad()
        loss.backward()
        norms = [clip_grad_norm_(net.parameters(), self.max_norm) for net in self.networks.values()]
        if torch.isfinite(torch.stack([loss.detach(), *norms])).all():
            self.bad_steps = 0
            for kept, value in self.pairs:  # loading a state dictionary takes as long as a small step
                kept.copy_(value)
            self.adam.step()
            return True
        self.bad_steps += 1
        if self.bad_steps == PATIENCE:
            for name, net in self.networks.items():
                net.load_state_dict(self.good[name].state_dict())
            self.adam.state.clear()  # the moments led here
            self.bad_steps = 0
        return False

    def rate(self, lr: float) -> None:
        """The step size from now on."""
        self.adam.param_groups[0]["lr"] = lr

    def save(self, folder: Path) -> None:
        """Networks, moments and counts, into an existing folder."""
        networks = {"network": self.networks, "good": self.good}
        tensors = {
            f"{part}/{name}/{key}": value
            for part, nets in networks.items()
            for name, net in nets.items()
            for key, value in net.state_dict().items()
        }
        moments = self.adam.state_dict()["state"]
        tensors |= {f"adam/{i}/{key}": value for i, state in moments.items() for key, value in state.items()}
        save_tensors(folder / "descent.safetensors", tensors)
        save_json(folder / "descent.json", {"bad_steps": self.bad_steps})

    def load(self, folder: Path) -> None:
        """What ``save`` wrote."""
        self.bad_steps = load_json(folder / "descent.json")["bad_steps"]
        weights: dict[tuple[str, str], dict[str, Tensor]] = {}
        for path, value in load_tensors(folder / "descent.safetensors").items():
            part, name, key = path.split("/", 2)
            weights.setdefault((part, name), {})[key] = value
        for name, net in self.networks.items():
            net.load_state_dict(weights["network", name])
            self.good[name].load_state_dict(weights["good", name])
        moments = {int(name): state for (part, name), state in weights.items() if part == "adam"}
        self.adam.load_state_dict({**self.adam.state_dict(), "state": moments})


def device_of(name: str) -> torch.device:
    """The device of that name; UserError where torch has none."""
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device is {name!r}, which torch has none of here; expected cpu, or cuda where there is a GPU") from error
    return device


def surrogate(ratio: Tensor, advantage: Tensor, clip: float) -> Tensor:
    """PPO's gain of every sample, min(rho A, clip(rho, 1 - clip, 1 + clip) A) (Schulman et al. 2017, arXiv 1707.06347)."""
    return torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)


def mask(legal: Ragged, actions: int) -> NDArray[np.bool_]:
    """Legal actions as a matrix [rows, actions]."""
    matrix = np.zeros((len(legal), actions), bool)
    matrix[legal.row_of(), legal.data] = True
    return matrix


def distinct(key: NDArray[np.int64], seat: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """One row of every information set, and for every row its place among those. A negative key is equal to no other."""
    code = np.where(key < 0, -1 - np.arange(len(key)), key * (int(seat.max(initial=0)) + 1) + seat)
    _, first, place = np.unique(code, return_index=True, return_inverse=True)
    return first, place
