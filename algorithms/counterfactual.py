"""Counterfactual credit, after COMA (Foerster et al. 2018, arXiv 1705.08926): what a move was worth beside the seat's other moves there.

    A(t) = Q(s, u) - sum over legal b of pi(b | view) Q(s, (u_-i, b))

Q sees what the table knows: the seat's own view, and of every other seat the latest view and move; seats that move at once see each
other's moves. It is fitted to TD(lambda) returns of what was played, G(t) = r(t) + (1 - lambda) Q(t + 1) + lambda G(t + 1) over the
seat's own turns, Q being the critic before the iteration, in place of the paper's target network; views are hashed features (see
``team_critic``). The probabilities are those that the moves were drawn from, so no sample of another move is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from algorithms.gae import turn_advantages
from algorithms.nets import Descent, perceptron
from algorithms.parts import Credit, Credited, Crediting, Memory
from algorithms.team_critic import Moves, seen, team_of
from marl_llm.algorithm import Setup
from marl_llm.records import Batch
from marl_llm.seeding import fold

WEIGHTS = 12  # name of a random stream


@dataclass(frozen=True, kw_only=True)
class Counterfactual(Credit):
    """A learned critic for one team game."""

    trace: float = 0.8
    """lambda: 1 trusts what was earned, 0 the critic's value of the next own turn."""
    features: int = 256
    """Numbers that a view is hashed into."""
    hidden: int = 64
    """Width of the hidden layer."""
    updates: int = 20
    """Gradient steps an iteration, each on all of its turns."""
    lr: float = 3e-3
    """Adam's step size."""

    @property
    def reads(self) -> tuple[str, ...]:
        return "turn.game", "turn.format", "legal.action", "legal.logp"

    def start(self, setup: Setup) -> Crediting:
        info = team_of("counterfactual", setup)
        return CounterfactualCredit(self, info.seats, info.action.n, setup.seed)  # type: ignore[union-attr]


class CounterfactualCredit:
    """The critic at work."""

    def __init__(self, settings: Counterfactual, seats: int, actions: int, seed: int) -> None:
        self.settings, self.seats, self.actions = settings, seats, actions
        start, inputs = torch.Generator().manual_seed(fold(seed, WEIGHTS) >> 1), 2 * (settings.features + seats) + seats * actions
        self.net = perceptron([inputs, settings.hidden, actions], 0.1, start, nn.ReLU)
        self.descent = Descent({"critic": self.net}, settings.lr, max_norm=10.0)

    def assign(self, batch: Batch, memory: Memory) -> Credited:
        table, moves, at = self.tables(batch), Moves(batch), torch.arange(batch.size("turn"))
        with torch.no_grad():
            value = self.net(table)[at, moves.taken].double().numpy()
        target = torch.from_numpy(value + turn_advantages(batch, value, 1.0, self.settings.trace)).float()
        for _ in range(self.settings.updates):
            error = (self.net(table)[at, moves.taken] - target)[moves.known]
            self.descent.step(error.square().mean())
        with torch.no_grad():
            gain = moves.advantage(self.net(table), at).double().numpy()
        return Credited(np.where(batch["turn.learn"].astype(bool), gain, 0.0))

    def tables(self, batch: Batch) -> Tensor:
        """What Q sees of every turn, [turns, inputs]."""
        pairs, place = seen(batch, self.seats, self.settings.features)
        others, moved = torch.zeros(len(place), pairs.shape[1]), torch.zeros(len(place), self.seats, self.actions)
        for seat in range(self.seats):
            turn, latest = latest_of(batch, seat)
            others[turn] += pairs[place[latest]]
            moved[turn, seat, batch["turn.action"][latest]] = 1.0
        return torch.cat([pairs[place], others, moved.flatten(1)], 1)

    def save(self, folder: Path) -> None:
        (folder / "counterfactual").mkdir()
        self.descent.save(folder / "counterfactual")

    def load(self, folder: Path) -> None:
        self.descent.load(folder / "counterfactual")


def latest_of(batch: Batch, seat: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The turns of other seats before or at which ``seat`` has moved, and of each that seat's latest."""
    match, ply = batch.up("turn", "match"), batch["turn.ply"]
    time = match * (int(ply.max(initial=0)) + 1) + ply
    theirs = np.flatnonzero((batch["turn.seat"] == seat) & (batch["turn.action"] >= 0))
    before = np.searchsorted(time[theirs], time, side="right") - 1
    found = (before >= 0) & (batch["turn.seat"] != seat)
    turn = np.flatnonzero(found)
    latest = theirs[before[turn]]
    same = match[latest] == match[turn]
    return turn[same], latest[same]
