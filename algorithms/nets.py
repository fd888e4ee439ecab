"""What neural algorithms share: perceptrons, guarded gradient steps, and the agent that plays by a policy and a value network."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from marl_llm.agent import Decision, Immediate, Request, sampled
from marl_llm.checkpoint import load_json, load_tensors, save_json, save_tensors
from marl_llm.errors import UserError
from marl_llm.game import GameInfo, actions
from marl_llm.ragged import Ragged

torch.set_num_threads(1)  # these matrices are small: more threads cost more than they bring

ILLEGAL = -1e9
"""Logit of an illegal action: its probability is exactly 0 and every product with it stays finite."""
PATIENCE = 3
"""Steps in a row with a loss that is not finite, after which the last good weights come back."""


@dataclass(frozen=True)
class Sizes:
    """What a network is made for. ``seats`` is 0 where seats are exchangeable, else their number, and the seat is an input."""

    view: int
    seats: int
    actions: int
    hidden: tuple[int, ...]

    @staticmethod
    def of(info: GameInfo, hidden: tuple[int, ...]) -> Sizes:
        """For a game with a vector view and Discrete actions; TypeError for another."""
        if info.vector is None:
            raise TypeError(f"{info.name} has no vector view")
        return Sizes(int(np.prod(info.vector)), 0 if info.anonymous else info.seats, actions(info), tuple(hidden))


class Network(nn.Module):
    """Two multilayer perceptrons, so that the scale of the value loss leaves the policy alone."""

    def __init__(self, sizes: Sizes, generator: torch.Generator) -> None:
        super().__init__()
        self.sizes = sizes
        inputs = sizes.view + sizes.seats
        self.policy = perceptron([inputs, *sizes.hidden, sizes.actions], 0.01, generator)
        self.value = perceptron([inputs, *sizes.hidden, 1], 1.0, generator)

    def inputs(self, view: NDArray[np.float32], seat: NDArray[np.int64]) -> Tensor:
        """Views [rows, ...] and seats [rows] as one matrix [rows, view + seats]."""
        flat = torch.from_numpy(np.asarray(view, np.float32).reshape(len(seat), -1))
        if not self.sizes.seats:
            return flat
        return torch.cat([flat, nn.functional.one_hot(torch.from_numpy(seat), self.sizes.seats)], 1)

    def forward(self, x: Tensor, legal: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities [rows, actions] (``ILLEGAL`` or less where ``legal`` is False) and values [rows]."""
        logits = self.policy(x).masked_fill(~legal, ILLEGAL)
        return torch.log_softmax(logits, 1), self.value(x)[:, 0]


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

    def step(self, loss: Tensor) -> bool:
        """One step down ``loss``; whether it was taken."""
        self.adam.zero_grad()
        loss.backward()
        norms = [clip_grad_norm_(net.parameters(), self.max_norm) for net in self.networks.values()]
        if torch.isfinite(torch.stack([loss.detach(), *norms])).all():
            self.bad_steps = 0
            for name, net in self.networks.items():
                self.good[name].load_state_dict(net.state_dict())
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


class NeuralAgent(Immediate):
    """Plays by a network. Records ``turn.view`` [rows, view], ``turn.value``, ``legal.action`` and ``legal.logp`` (as sampled)."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network, self.version = network, 0

    def decide(self, request: Request) -> Decision:
        policy, logp, value, view = self._evaluate(request)
        record = {"turn.view": view, "turn.value": value, "legal.action": request.legal, "legal.logp": logp}
        return sampled(request, policy, version=self.version, record=record)

    def policy(self, request: Request) -> Ragged:
        return self._evaluate(request)[0]

    def _evaluate(self, request: Request) -> tuple[Ragged, Ragged, NDArray[np.float64], NDArray[np.float32]]:
        """Each information set is computed once."""
        self._check(request.views.game.info)
        first, place = distinct(request.views.keys(), request.seat)
        view = request.views.take(first).vectors().reshape(len(first), -1)
        legal = request.legal.take(first)
        with torch.no_grad():
            allowed = torch.from_numpy(mask(legal, self.network.sizes.actions))
            logp, value = self.network(self.network.inputs(view, request.seat[first]), allowed)
        flat = Ragged(logp.double().numpy()[legal.row_of(), legal.data], legal.starts).take(place)
        return Ragged(np.exp(flat.data), flat.starts), flat, value.double().numpy()[place], view[place]

    def _check(self, info: GameInfo) -> None:
        sizes = self.network.sizes
        if info.vector is None or Sizes.of(info, sizes.hidden) != sizes:
            raise UserError(
                f"a neural agent for views of {sizes.view} numbers, {sizes.actions} actions and {sizes.seats or 'any'} seats cannot play "
                f"{info.name} (vector {info.vector}, {info.action}, {info.seats} seats); train one on this game"
            )

    def save(self, folder: Path) -> None:
        """Weights and sizes, into an existing folder; ``load`` reads them."""
        save_json(folder / "agent.json", {"loader": "neural", "version": self.version, **asdict(self.network.sizes)})
        save_tensors(folder / "weights.safetensors", self.network.state_dict())


def load(folder: Path) -> NeuralAgent:
    """What ``NeuralAgent.save`` wrote."""
    about: Mapping[str, Any] = load_json(folder / "agent.json")
    sizes = Sizes(about["view"], about["seats"], about["actions"], tuple(about["hidden"]))
    agent = NeuralAgent(Network(sizes, torch.Generator()))
    agent.network.load_state_dict(load_tensors(folder / "weights.safetensors"))
    agent.version = about["version"]
    return agent
