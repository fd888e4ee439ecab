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
from marl_llm.checkpoint import load_json, save_json
from marl_llm.records import Batch
from marl_llm.seeding import fold, generator

WEIGHTS, TURNS = 12, 13  # names of random streams


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
    """Gradient steps an iteration."""
    minibatch: int = 4096
    """Turns a step: all of an iteration, or as many drawn anew for every step."""
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
        self.seed, self.steps = seed, 0

    def assign(self, batch: Batch, memory: Memory) -> Credited:
        tables, moves, turns = Tables(batch, self), Moves(batch), batch.size("turn")
        value = self.values(tables, moves)[0]
        target = torch.from_numpy(value + turn_advantages(batch, value, 1.0, self.settings.trace)).float()
        for _ in range(self.settings.updates):
            self.steps += 1
            rows = np.arange(turns)
            if turns > self.settings.minibatch:
                rows = generator(self.seed, TURNS, self.steps).permutation(turns)[: self.settings.minibatch]
            rows = rows[moves.known.numpy()[rows]]
            error = self.net(tables.of(rows))[torch.arange(len(rows)), moves.taken[rows]] - target[rows]
            self.descent.step(error.square().mean())
        gain = self.values(tables, moves)[1]
        return Credited(np.where(batch["turn.learn"].astype(bool), gain, 0.0))

    @torch.no_grad()
    def values(self, tables: Tables, moves: Moves) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Of every turn Q of its move, and that against its expectation."""
        chunks = np.split(np.arange(moves.turns), range(self.settings.minibatch, moves.turns, self.settings.minibatch))
        q = torch.cat([self.net(tables.of(rows)) for rows in chunks])
        at = torch.arange(moves.turns)
        return q[at, moves.taken].double().numpy(), moves.advantage(q, at).double().numpy()

    def save(self, folder: Path) -> None:
        (folder / "counterfactual").mkdir()
        self.descent.save(folder / "counterfactual")
        save_json(folder / "counterfactual" / "steps.json", self.steps)

    def load(self, folder: Path) -> None:
        self.descent.load(folder / "counterfactual")
        self.steps = load_json(folder / "counterfactual" / "steps.json")


class Tables:
    """What Q sees of a batch's turns."""

    def __init__(self, batch: Batch, credit: CounterfactualCredit) -> None:
        self.pairs, self.place = seen(batch, credit.seats, credit.settings.features)
        self.action, self.actions = batch["turn.action"], credit.actions
        self.latest = np.full((len(self.place), credit.seats), -1)
        """Of every turn and seat that seat's latest turn, [turns, seats]; -1 for none, and for the turn's own."""
        for seat in range(credit.seats):
            turn, latest = latest_of(batch, seat)
            self.latest[turn, seat] = latest

    def of(self, rows: NDArray[np.int64]) -> Tensor:
        """Inputs of some turns, [rows, inputs]."""
        at, seat = np.nonzero(self.latest[rows] >= 0)
        turn = self.latest[rows[at], seat]
        others = torch.zeros(len(rows), self.pairs.shape[1]).index_add(0, torch.from_numpy(at), self.pairs[self.place[turn]])
        moved = torch.zeros(len(rows), self.latest.shape[1], self.actions)
        moved[at, seat, self.action[turn]] = 1.0
        return torch.cat([self.pairs[self.place[rows]], others, moved.flatten(1)], 1)


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
