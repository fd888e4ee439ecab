"""The neural agent: it plays by a policy network and values what it sees by another, with or without a memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from algorithms.heads import Categoricals, head_of
from algorithms.nets import distinct, perceptron
from marl_llm.agent import Decision, Immediate, Request, answer
from marl_llm.checkpoint import load_json, load_tensors, save_json, save_tensors
from marl_llm.errors import UserError
from marl_llm.game import ActionKind, Box, Discrete, Factored, GameInfo
from marl_llm.ragged import Ragged

KINDS: dict[str, type[ActionKind]] = {kind.__name__: kind for kind in (Discrete, Factored, Box)}
FLOAT = 4  # bytes


@dataclass(frozen=True)
class Sizes:
    """What a network is made for. ``seats`` is 0 where seats are exchangeable, else their number, and the seat is an input."""

    view: int
    seats: int
    action: ActionKind
    hidden: tuple[int, ...]
    memory: int = 0
    """Numbers that the policy remembers, and as many that the critic does; 0: both are functions of the view."""
    table: int = 0
    """Numbers of the whole table that the critic sees beside the view; 0: it sees what the seat sees."""
    copies: int = 1
    """Sets of weights: one for all seats, or one for each."""

    @staticmethod
    def of(info: GameInfo, hidden: tuple[int, ...], *, memory: int = 0, table: bool = False, shared: bool = True) -> Sizes:
        """For a game with a vector view, and with a vector of the whole table where asked; TypeError for another."""
        if info.vector is None or (table and info.table is None):
            raise TypeError(f"{info.name} has no vector {'view' if info.vector is None else 'of the whole table'}")
        return Sizes(
            int(np.prod(info.vector)),
            0 if info.anonymous else info.seats,
            info.action,
            tuple(hidden),
            memory,
            int(np.prod(info.table)) if table and info.table else 0,
            1 if shared else info.seats,
        )


class Body(nn.Module):
    """A perceptron; with a memory one that ends in a gated recurrent unit (Cho et al. 2014, arXiv 1406.1078) and a linear layer.

    ``free`` further outputs are parameters: the same whatever is seen. Shapes: S segments of T turns in a row.
    """

    def __init__(self, inputs: int, sizes: Sizes, outputs: int, free: int, gain: float, generator: torch.Generator) -> None:
        super().__init__()
        self.gru: nn.GRU | None = None
        if sizes.memory:
            self.encode = nn.Sequential(perceptron([inputs, *sizes.hidden, sizes.memory], 2**0.5, generator), nn.Tanh())
            self.gru = nn.GRU(sizes.memory, sizes.memory, batch_first=True, device="meta").to_empty(device="cpu")
            for weight in self.gru.parameters():
                nn.init.orthogonal_(weight, generator=generator) if weight.ndim == 2 else nn.init.zeros_(weight)
            self.out = perceptron([sizes.memory, outputs], gain, generator)
        else:
            self.out = perceptron([inputs, *sizes.hidden, outputs], gain, generator)
        self.free = nn.Parameter(torch.zeros(free)) if free else None

    def forward(self, x_STI: Tensor, state_SM: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs [S, T, outputs + free], and the state after the last turn."""
        if self.gru is not None:
            x_STI, last = self.gru(self.encode(x_STI), state_SM[None])
            state_SM = last[0]
        y = self.out(x_STI)
        return (y if self.free is None else torch.cat([y, self.free.expand(*y.shape[:2], -1)], 2)), state_SM


class Seats(nn.Module):
    """One body for all seats, or one for each."""

    def __init__(self, inputs: int, sizes: Sizes, outputs: int, free: int, gain: float, generator: torch.Generator) -> None:
        super().__init__()
        self.outputs = outputs + free
        self.bodies = nn.ModuleList(Body(inputs, sizes, outputs, free, gain, generator) for _ in range(sizes.copies))

    def forward(self, x_STI: Tensor, seat_S: Tensor, state_SM: Tensor) -> tuple[Tensor, Tensor]:
        if len(self.bodies) == 1:
            return self.bodies[0](x_STI, state_SM)
        y, after = x_STI.new_zeros(*x_STI.shape[:2], self.outputs), torch.zeros_like(state_SM)
        for seat in torch.unique(seat_S).tolist():
            rows = torch.nonzero(seat_S == seat)[:, 0]
            y[rows], after[rows] = self.bodies[seat](x_STI[rows], state_SM[rows])
        return y, after


class Network(nn.Module):
    """A policy and a value apart, so that the scale of the value loss leaves the policy alone."""

    def __init__(self, sizes: Sizes, generator: torch.Generator) -> None:
        super().__init__()
        self.sizes, self.head = sizes, head_of(sizes.action)
        inputs = sizes.view + sizes.seats
        self.policy = Seats(inputs, sizes, self.head.outputs, self.head.free, 0.01, generator)
        self.value = Seats(inputs + sizes.table, sizes, 1, 0, 1.0, generator)

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def inputs(self, view: NDArray[Any], seat: NDArray[np.int64], table: NDArray[Any] | None) -> tuple[Tensor, Tensor, Tensor]:
        """Of rows with views [rows, ...], seats [rows] and, where the critic sees it, the whole table [rows, ...]: what the policy
        sees, what the critic sees, and the seats, as tensors on this network's device."""
        place = torch.from_numpy(seat)
        x = torch.from_numpy(np.asarray(view, np.float32).reshape(len(seat), self.sizes.view))
        if self.sizes.seats:
            x = torch.cat([x, nn.functional.one_hot(place, self.sizes.seats)], 1)
        central = x if table is None else torch.cat([x, torch.from_numpy(np.asarray(table, np.float32).reshape(len(seat), -1))], 1)
        return x.to(self.device), central.to(self.device), place.to(self.device)

    def fresh(self, segments: int) -> Tensor:
        """The memory of so many seats before their first turn."""
        return torch.zeros(segments, self.sizes.memory, device=self.device)


class NeuralAgent(Immediate):
    """Plays by a network.

    Records ``turn.view`` [rows, view], ``turn.value``, ``turn.table`` [rows, table] where the critic sees it, and what its head
    does: ``legal.action`` and ``legal.logp`` (as sampled), or ``turn.drawn`` and ``turn.distribution``.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network, self.version = network, 0

    def decide(self, request: Request) -> Decision:
        self._check(request.views.game.info)
        sizes, network = self.network.sizes, self.network
        first, place = self._distinct(request)
        view = request.views.take(first).vectors().reshape(len(first), -1)
        table = request.views.tables().reshape(len(request), -1) if sizes.table else None
        policy_SM, value_SM = self._states(request.memory)
        with torch.no_grad():
            x, central, seat = network.inputs(view, request.seat[first], table)
            out_STP, policy_SM = network.policy(x[:, None], seat, policy_SM[first])
            value_ST1, value_SM = network.value(central[:, None], seat, value_SM[first])
            action, drawn = network.head.draw(out_STP[torch.from_numpy(place), 0], request)
        record: dict[str, Any] = {"turn.view": view[place], "turn.value": value_ST1[:, 0, 0].double().cpu().numpy()[place], **drawn}
        if table is not None:
            record["turn.table"] = table
        memory = _packed(policy_SM, value_SM) if sizes.memory else [None] * len(request)
        return answer(request, action, version=self.version, record=record, memory=memory)

    def policy(self, request: Request) -> Ragged:
        """Where actions are Discrete and nothing is remembered; TypeError elsewhere."""
        self._check(request.views.game.info)
        network = self.network
        if network.sizes.memory:
            raise TypeError("this neural agent remembers its match, so it has no policy by the view alone that could be evaluated exactly")
        if not isinstance(network.head, Categoricals) or not isinstance(network.sizes.action, Discrete):
            raise TypeError(f"a policy over {type(network.sizes.action).__name__} actions has no list of probabilities")
        first, place = self._distinct(request)
        with torch.no_grad():
            x, _, seat = network.inputs(request.views.take(first).vectors(), request.seat[first], None)
            out_STP, _ = network.policy(x[:, None], seat, network.fresh(len(first)))
            logp = network.head.allowed(out_STP[torch.from_numpy(place), 0], 0, request.legal)
        return Ragged(np.exp(logp.data), logp.starts)

    def _distinct(self, request: Request) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows to compute, and for every row its place among them: each information set once, where all depends on it alone."""
        if alone(self.network.sizes):
            return np.arange(len(request)), np.arange(len(request))
        return distinct(request.views.keys(), request.seat)

    def _states(self, memory: Sequence[bytes | None]) -> tuple[Tensor, Tensor]:
        """The states of the policy and of the critic, [rows, memory] each."""
        size = self.network.sizes.memory
        if not size:
            return self.network.fresh(len(memory)), self.network.fresh(len(memory))
        blank = bytes(2 * size * FLOAT)
        packed = np.frombuffer(b"".join(blank if state is None else state for state in memory), np.float32)
        states = torch.from_numpy(packed.reshape(len(memory), 2, size).copy()).to(self.network.device)
        return states[:, 0].contiguous(), states[:, 1].contiguous()

    def _check(self, info: GameInfo) -> None:
        sizes = self.network.sizes
        view = 0 if info.vector is None else int(np.prod(info.vector))
        seats = 0 if info.anonymous else info.seats
        table = int(np.prod(info.table)) if info.table and sizes.table else 0
        known = (sizes.view, sizes.seats, sizes.action, sizes.table)
        if known != (view, seats, info.action, table) or sizes.copies not in (1, info.seats):
            raise UserError(
                f"a neural agent for views of {sizes.view} numbers, {_told(sizes.action)} and {sizes.seats or 'any'} seats cannot play "
                f"{info.name} (vector {info.vector}, {info.action}, {info.seats} seats); train one on this game"
            )

    def save(self, folder: Path) -> None:
        """Weights and sizes, into an existing folder; ``load`` reads them."""
        sizes = self.network.sizes
        about = {**asdict(sizes), "action": {"kind": type(sizes.action).__name__, **asdict(sizes.action)}}
        save_json(folder / "agent.json", {"loader": "neural", "version": self.version, "sizes": about})
        save_tensors(folder / "weights.safetensors", self.network.state_dict())


def alone(sizes: Sizes) -> bool:
    """Whether every turn is computed by itself: where more than the view's key matters, or there is none."""
    return bool(sizes.memory or sizes.table or isinstance(sizes.action, Box))


def load(folder: Path) -> NeuralAgent:
    """What ``NeuralAgent.save`` wrote."""
    about: Mapping[str, Any] = load_json(folder / "agent.json")
    sizes = {name: _tuples(value) for name, value in about["sizes"].items()}
    action = {name: _tuples(value) for name, value in sizes.pop("action").items()}
    agent = NeuralAgent(Network(Sizes(action=KINDS[action.pop("kind")](**action), **sizes), torch.Generator()))
    agent.network.load_state_dict(load_tensors(folder / "weights.safetensors"))
    agent.version = about["version"]
    return agent


def _packed(policy_SM: Tensor, value_SM: Tensor) -> list[bytes]:
    """Both states of every row as bytes."""
    return [row.tobytes() for row in torch.stack([policy_SM, value_SM], 1).cpu().numpy()]


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _told(action: ActionKind) -> str:
    return f"{action.n} actions" if isinstance(action, Discrete) else f"actions {action}"
