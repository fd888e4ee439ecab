"""Neural agents: a policy and a value network over vector views, playing with all seats on one set of weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from marl_llm.agent import Decision, Immediate, Request, sampled
from marl_llm.checkpoint import load_json, load_tensors, save_json, save_tensors
from marl_llm.errors import UserError
from marl_llm.game import GameInfo, actions
from marl_llm.ragged import Ragged

torch.set_num_threads(1)  # these matrices are small: more threads cost more than they bring

ILLEGAL = -1e9
"""Logit of an illegal action: its probability is exactly 0 and every product with it stays finite."""


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
        self.policy = _perceptron(sizes, sizes.actions, 0.01, generator)
        self.value = _perceptron(sizes, 1, 1.0, generator)

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


def _perceptron(sizes: Sizes, outputs: int, gain: float, generator: torch.Generator) -> nn.Sequential:
    """Tanh layers with orthogonal weights; the small ``gain`` of a policy's last layer makes it start almost uniform."""
    widths = [sizes.view + sizes.seats, *sizes.hidden, outputs]
    layers: list[nn.Module] = []
    for i, (fan_in, fan_out) in enumerate(pairwise(widths)):
        linear = nn.utils.skip_init(nn.Linear, fan_in, fan_out)
        last = i == len(widths) - 2
        nn.init.orthogonal_(linear.weight, gain if last else 2**0.5, generator=generator)
        nn.init.zeros_(linear.bias)
        layers += [linear] if last else [linear, nn.Tanh()]
    return nn.Sequential(*layers)


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
