"""Utilities: the network of Q_i(view, action) that value-based team learners share, and the agent that plays by it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from algorithms.nets import mask, perceptron
from marl_llm.agent import Decision, Immediate, Request, sampled
from marl_llm.checkpoint import load_json, load_tensors, save_json, save_tensors
from marl_llm.errors import UserError
from marl_llm.game import Discrete, GameInfo, actions
from marl_llm.ragged import Ragged


@dataclass(frozen=True)
class Sizes:
    """What utilities are made for. ``seats`` is 0 where seats are exchangeable, else their number, and the seat is an input."""

    view: int
    seats: int
    actions: int
    hidden: tuple[int, ...]

    @staticmethod
    def of(info: GameInfo, hidden: tuple[int, ...]) -> Sizes:
        """For a game with a vector view and Discrete actions."""
        return Sizes(int(np.prod(info.vector or ())), 0 if info.anonymous else info.seats, actions(info), tuple(hidden))


class Utilities(nn.Module):
    """Q_i(view, action) of every seat, one perceptron that is told the seat."""

    def __init__(self, sizes: Sizes, generator: torch.Generator) -> None:
        super().__init__()
        self.sizes = sizes
        self.net: nn.Module = perceptron([sizes.view + sizes.seats, *sizes.hidden, sizes.actions], 0.1, generator, nn.ReLU)

    def of(self, view: NDArray[np.float32], seat: NDArray[np.int64]) -> NDArray[np.float32]:
        """Values [rows, actions] of views [rows, view] and seats [rows]."""
        device = next(self.parameters()).device
        with torch.no_grad():
            return self(torch.from_numpy(view).to(device), torch.from_numpy(seat).to(device)).cpu().numpy()

    def forward(self, view: Tensor, seat: Tensor) -> Tensor:
        """Views [..., view] and seats [...] to values [..., actions]."""
        if not self.sizes.seats:
            return self.net(view)
        return self.net(torch.cat([view, nn.functional.one_hot(seat, self.sizes.seats).float()], -1))


def epsilon_greedy(q: NDArray[np.float32], legal: Ragged, epsilon: float) -> Ragged:
    """Over the legal actions: one at random with probability ``epsilon``, else the best; q [rows, actions]."""
    best = np.where(mask(legal, q.shape[1]), q, -np.inf).argmax(1)
    row = legal.row_of()
    return Ragged(epsilon / legal.lengths[row] + (1 - epsilon) * (legal.data == best[row]), legal.starts)


class ValueAgent(Immediate):
    """Plays the best action by its utilities, with ``epsilon`` at random. Records ``turn.view``, ``legal.action`` and, for a mixture
    that needs it, ``turn.table``."""

    def __init__(self, utilities: Utilities, *, table: bool = False) -> None:
        super().__init__()
        self.utilities, self.table, self.epsilon, self.version = utilities, table, 0.0, 0

    def decide(self, request: Request) -> Decision:
        view = self._views(request)
        record = {"turn.view": view, "legal.action": request.legal}
        if self.table:
            record["turn.table"] = request.views.tables().reshape(len(request), -1)
        return sampled(request, self._policy(view, request), version=self.version, record=record)

    def policy(self, request: Request) -> Ragged:
        return self._policy(self._views(request), request)

    def _policy(self, view: NDArray[np.float32], request: Request) -> Ragged:
        return epsilon_greedy(self.utilities.of(view, request.seat), request.legal, self.epsilon)

    def _views(self, request: Request) -> NDArray[np.float32]:
        info, sizes = request.views.game.info, self.utilities.sizes
        if info.vector is None or not isinstance(info.action, Discrete) or Sizes.of(info, sizes.hidden) != sizes:
            raise UserError(
                f"utilities for views of {sizes.view} numbers, {sizes.actions} actions and {sizes.seats or 'any'} seats cannot play "
                f"{info.name} (vector {info.vector}, {info.action}, {info.seats} seats); train some on this game"
            )
        return request.views.vectors().reshape(len(request), -1)

    def save(self, folder: Path) -> None:
        """Weights and sizes, into an existing folder; ``load`` reads them, and what it gives plays without ``epsilon``."""
        save_json(folder / "agent.json", {"loader": "utilities", "version": self.version, **asdict(self.utilities.sizes)})
        save_tensors(folder / "weights.safetensors", self.utilities.state_dict())


def load(folder: Path) -> ValueAgent:
    """What ``ValueAgent.save`` wrote."""
    about = load_json(folder / "agent.json")
    sizes = Sizes(about["view"], about["seats"], about["actions"], tuple(about["hidden"]))
    agent = ValueAgent(Utilities(sizes, torch.Generator()))
    agent.utilities.load_state_dict(load_tensors(folder / "weights.safetensors"))
    agent.version = about["version"]
    return agent
