"""The agent of two levels: one chooses a subgoal and holds it, the other acts towards the one that is held."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from algorithms.nets import mask, perceptron
from algorithms.utilities import Sizes, Utilities, epsilon_greedy
from marl_llm.agent import Decision, Immediate, Request, answer, draw
from marl_llm.checkpoint import load_json, load_tensors, save_json, save_tensors
from marl_llm.errors import UserError
from marl_llm.game import Subgoals
from marl_llm.ragged import Ragged
from marl_llm.seeding import fold

CHOICE = 1  # name of a random stream
ILLEGAL = -1e9


class Lower(nn.Module):
    """A policy and a value of the view, the subgoal that is held and how long it has been. ``sizes.actions`` are the game's."""

    def __init__(self, sizes: Sizes, goals: int, generator: torch.Generator) -> None:
        super().__init__()
        self.sizes, self.goals = sizes, goals
        inputs = sizes.view + sizes.seats + goals + 1
        self.policy = perceptron([inputs, *sizes.hidden, sizes.actions], 0.01, generator)
        self.value = perceptron([inputs, *sizes.hidden, 1], 1.0, generator)

    def inputs(self, view: NDArray[np.float32], seat: NDArray[np.int64], goal: NDArray[np.int64], share: NDArray[np.float64]) -> Tensor:
        """Views [rows, view], seats, subgoals and the share of patience that is used up, [rows] each, as [rows, inputs]."""
        known = [np.eye(self.goals)[goal], share[:, None]] + ([np.eye(self.sizes.seats)[seat]] if self.sizes.seats else [])
        return torch.from_numpy(np.column_stack([view, *known]).astype(np.float32)).to(next(self.parameters()).device)

    def forward(self, x: Tensor, legal: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities [rows, actions] and values [rows]."""
        return torch.log_softmax(self.policy(x).masked_fill(~legal, ILLEGAL), 1), self.value(x)[:, 0]


class HierarchicalAgent(Immediate):
    """Chooses a subgoal when the last one is reached or ``patience`` turns old, with ``epsilon`` at random, and acts by ``lower``.

    Memory is the subgoal, its age and the last view. Records ``turn.view``, ``turn.goal``, ``turn.age``, ``turn.chose`` (a subgoal
    was chosen here), ``turn.fired`` (the one before was reached), ``turn.logp``, ``turn.value``, ``legal.action`` and, for a
    mixture that needs it, ``turn.table``. It has no policy by view: what it does depends on what it holds.
    """

    def __init__(self, upper: Utilities, lower: Lower, patience: int, *, table: bool = False) -> None:
        super().__init__()
        self.upper, self.lower, self.patience, self.table = upper, lower, patience, table
        self.epsilon, self.version = 0.0, 0

    def decide(self, request: Request) -> Decision:
        view = self._views(request)
        goal, age, chose, fired = self._goals(request, view)
        with torch.no_grad():
            x = self.lower.inputs(view, request.seat, goal, age / self.patience)
            allowed = torch.from_numpy(mask(request.legal, self.lower.sizes.actions)).to(x.device)
            logp_BA, value_B = (out.double().cpu().numpy() for out in self.lower(x, allowed))
        policy = Ragged(np.exp(logp_BA[request.legal.row_of(), request.legal.data]), request.legal.starts)
        action = request.legal.at(draw(policy, request.seed))
        record = {
            "turn.view": view,
            "turn.goal": goal,
            "turn.age": age,
            "turn.chose": chose,
            "turn.fired": fired,
            "turn.logp": logp_BA[np.arange(len(action)), action],
            "turn.value": value_B,
            "legal.action": request.legal,
        }
        if self.table:
            record["turn.table"] = request.views.tables().reshape(len(request), -1)
        memory = list(zip(goal.tolist(), (age + 1).tolist(), view, strict=True))
        return answer(request, action, memory=memory, version=self.version, record=record)

    def _goals(self, request: Request, view: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray, NDArray]:
        """Of every row the subgoal from now on, its age, whether it was chosen now, and whether the last one was reached."""
        game, n = request.views.game, len(request)
        if not isinstance(game, Subgoals) or len(game.subgoals) != self.lower.goals:
            raise UserError(f"a hierarchical agent of {self.lower.goals} subgoals cannot play {game.info.name}; train one on this game")
        held = np.asarray([-1 if own is None else own[0] for own in request.memory])
        age = np.asarray([0 if own is None else own[1] for own in request.memory])
        fired, going = np.zeros(n, bool), np.flatnonzero(held >= 0)
        if len(going):
            before = np.stack([request.memory[i][2] for i in going.tolist()])
            shape = game.info.vector or ()
            done = game.reached(before.reshape(-1, *shape), view[going].reshape(-1, *shape))
            fired[going] = done[np.arange(len(going)), held[going]]
        chose = (held < 0) | fired | (age >= self.patience)
        q = self.upper.of(view, request.seat)
        every = Ragged(np.tile(np.arange(self.lower.goals), n), np.arange(n + 1) * self.lower.goals)
        fresh = draw(epsilon_greedy(q, every, self.epsilon), fold(request.seed, CHOICE))
        return np.where(chose, fresh, held), np.where(chose, 0, age), chose, fired

    def _views(self, request: Request) -> NDArray[np.float32]:
        info, sizes = request.views.game.info, self.lower.sizes
        if info.vector is None or Sizes.of(info, sizes.hidden) != sizes:
            raise UserError(
                f"a hierarchical agent for views of {sizes.view} numbers, {sizes.actions} actions and {sizes.seats or 'any'} seats cannot "
                f"play {info.name} (vector {info.vector}, {info.action}, {info.seats} seats); train one on this game"
            )
        return request.views.vectors().reshape(len(request), -1)

    def save(self, folder: Path) -> None:
        """Weights and sizes, into an existing folder; ``load`` reads them, and what it gives plays without ``epsilon``."""
        about = {"upper": asdict(self.upper.sizes), "lower": asdict(self.lower.sizes), "patience": self.patience}
        save_json(folder / "agent.json", {"loader": "hierarchical", "version": self.version, **about})
        save_tensors(folder / "upper.safetensors", self.upper.state_dict())
        save_tensors(folder / "lower.safetensors", self.lower.state_dict())


def load(folder: Path) -> HierarchicalAgent:
    """What ``HierarchicalAgent.save`` wrote."""
    about = load_json(folder / "agent.json")
    upper, lower = (Sizes(**{**about[level], "hidden": tuple(about[level]["hidden"])}) for level in ("upper", "lower"))
    agent = HierarchicalAgent(Utilities(upper, torch.Generator()), Lower(lower, upper.actions, torch.Generator()), about["patience"])
    agent.upper.load_state_dict(load_tensors(folder / "upper.safetensors"))
    agent.lower.load_state_dict(load_tensors(folder / "lower.safetensors"))
    agent.version = about["version"]
    return agent
