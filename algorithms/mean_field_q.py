"""MF-Q and MF-AC: each seat learns what an action is worth beside the mean of its neighbours' actions (Yang et al. 2018, arXiv 1802.05438).

With abar_i the mean of the neighbours' actions, one-hot, a seat's value is Q(a_i, abar_i), one function for all seats. Equations from
memory of the paper:

    MF-Q   pi(a | abar) = softmax(Q(a, abar) / temperature), and Q is regressed on r + gamma v
    MF-AC  the same Q, and an actor pi(a | abar) that climbs sum_a pi(a | abar_-) Q(a, abar)   (here exactly over a, not by samples)

To MF-AC's objective temperature times the entropy of pi is added, a choice made here: so both have the same fixed points, and no action
is given up before its worth is known.

Games here are repeated stage games: what is done in a round changes nothing that a later one pays, so gamma is 0 and v is left out. The
game must offer the neighbours' mean action of the round before, abar_-, as its view (squeeze, ising); the one that goes with a turn's
own action is then in the view of the seat's next turn, so the last turn of a match is no sample.

A policy answers to abar and makes it, so the two are iterated to a fixed point. Rounds do that by themselves: all act on what they saw,
and see what came of it. Where all seats are each other's neighbours that overshoots, for all correct the same error at once; there
``iterations`` > 0 lets every seat iterate by itself before it acts, abar <- abar + (pi(. | abar) - abar) / (k + 2) for k = 0, 1, ...,
on the assumption that its neighbours see what it sees.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from algorithms.nets import Descent, device_of, perceptron
from algorithms.parts import PLAYER
from marl_llm.agent import Decision, Immediate, Request, sampled
from marl_llm.algorithm import Requires, Setup, Unsuitable
from marl_llm.checkpoint import load_json, load_tensors, save_json, save_tensors
from marl_llm.errors import UserError
from marl_llm.game import Discrete, GameInfo
from marl_llm.matches import Match, deal_seed
from marl_llm.ragged import Ragged
from marl_llm.records import Batch
from marl_llm.seeding import fold, generator

DEALS, WEIGHTS, SHUFFLE = 1, 2, 3  # names of random streams
RECORDED = 64
"""Seats of a match that are learned from; they are all alike."""


@dataclass(frozen=True, kw_only=True)
class MeanFieldQ:
    """Settings. ``lr`` falls linearly to 0 over ``horizon`` iterations."""

    horizon: int = 60
    """Iterations that the schedule is laid over; beyond them nothing is learned any more."""
    matches: int = 32
    """Matches an iteration."""
    actor: bool = False
    """An actor in place of the softmax of Q: MF-AC."""
    temperature: float = 1.0
    """Of the softmax of Q at the end, or the weight of the actor's entropy, in the game's own pay: near 0 the best action is certain."""
    hot: float = 10.0
    """How many times hotter play is at first; falls geometrically to 1 over ``horizon``, for errors of Q larger than the temperature
    end in actions that nobody tries."""
    iterations: int = 0
    """Fixed-point iterations of abar and the policy before a seat acts."""
    hidden: tuple[int, ...] = (32, 32)
    """Widths of the hidden layers."""
    epochs: int = 4
    """Passes over an iteration's turns."""
    minibatch: int = 256
    """Turns a gradient step."""
    lr: float = 3e-3
    """Adam's step size."""
    max_norm: float = 1.0
    """Longest gradient, of Q and of the actor each."""
    device: str = "cpu"
    """Where networks learn and are asked: cpu or cuda."""

    def build(self, setup: Setup) -> MeanFieldQAlgorithm:
        return MeanFieldQAlgorithm(self, setup)


@dataclass(frozen=True)
class Sizes:
    """What networks are made for, and how they are played: ``unit`` is the pay that Q counts in."""

    actions: int
    hidden: tuple[int, ...]
    unit: float
    actor: bool
    temperature: float
    iterations: int


class Networks(nn.Module):
    """Q of all actions and logits of the actor, both [B, actions] from mean actions [B, actions]."""

    def __init__(self, sizes: Sizes, generator: torch.Generator) -> None:
        super().__init__()
        widths = [sizes.actions, *sizes.hidden, sizes.actions]
        self.sizes = sizes
        self.register_buffer("heat", torch.tensor(1.0))  # times the temperature
        self.q = perceptron(widths, 0.01, generator)
        self.actor = perceptron(widths, 0.01, generator)

    @property
    def temperature(self) -> Tensor:
        """Of play now."""
        return self.sizes.temperature * self.get_buffer("heat")

    def logits(self, abar_BA: Tensor) -> Tensor:
        """The policy's, [B, actions]."""
        if self.sizes.actor:
            return self.actor(abar_BA)
        return self.q(abar_BA) * self.sizes.unit / self.temperature

    def policy(self, abar_BA: Tensor) -> Tensor:
        """Probabilities [B, actions] after the fixed-point iterations."""
        for k in range(self.sizes.iterations):
            abar_BA = abar_BA + (self.logits(abar_BA).softmax(1) - abar_BA) / (k + 2)
        return self.logits(abar_BA).softmax(1)


def losses(networks: Networks, before_BA: Tensor, action_B: Tensor, reward_B: Tensor, abar_BA: Tensor) -> dict[str, Tensor]:
    """The loss to minimise, ``loss``, with its parts. ``before`` are the mean actions that were answered, ``abar`` those that were met,
    ``reward`` is in units."""
    q_BA = networks.q(abar_BA)
    parts = {"q_loss": 0.5 * (q_BA[torch.arange(len(q_BA)), action_B] - reward_B).square().mean()}
    loss = parts["q_loss"]
    if networks.sizes.actor:
        advantage_BA = (q_BA - q_BA.mean(1, keepdim=True)).detach() * networks.sizes.unit
        logp_BA = networks.actor(before_BA).log_softmax(1)
        parts["gain"] = (logp_BA.exp() * advantage_BA).sum(1).mean()
        parts["entropy"] = -(logp_BA.exp() * logp_BA).sum(1).mean()
        loss = loss - parts["gain"] - networks.temperature * parts["entropy"]
    return {"loss": loss, **parts}


class MeanFieldAgent(Immediate):
    """Answers to the mean action that it sees. Records ``turn.view``."""

    def __init__(self, networks: Networks, device: torch.device) -> None:
        super().__init__()
        self.networks, self.device, self.version = networks, device, 0

    def policy(self, request: Request) -> Ragged:
        self._check(request.views.game.info)
        abar, place = np.unique(request.views.vectors(), axis=0, return_inverse=True)
        with torch.no_grad():
            pi = self.networks.policy(torch.from_numpy(abar).to(self.device)).double().cpu().numpy()[place.reshape(-1)]
        flat = pi[request.legal.row_of(), request.legal.data]
        return Ragged(flat / np.repeat(Ragged(flat, request.legal.starts).sum(), request.legal.lengths), request.legal.starts)

    def decide(self, request: Request) -> Decision:
        return sampled(request, self.policy(request), version=self.version, record={"turn.view": request.views.vectors()})

    def _check(self, info: GameInfo) -> None:
        actions = self.networks.sizes.actions
        if info.action != Discrete(actions) or info.vector != (actions,):
            raise UserError(
                f"a mean-field agent for {actions} actions cannot play {info.name} ({info.action}, vector {info.vector}); "
                "train one on this game"
            )

    def save(self, folder: Path) -> None:
        """Weights and sizes, into an existing folder; ``load`` reads them."""
        save_json(folder / "agent.json", {"loader": "mean-field-q", "version": self.version, **asdict(self.networks.sizes)})
        save_tensors(folder / "weights.safetensors", self.networks.state_dict())


def load(folder: Path) -> MeanFieldAgent:
    """What ``MeanFieldAgent.save`` wrote."""
    about = load_json(folder / "agent.json")
    own = {name: about[name] for name in ("actions", "unit", "actor", "temperature", "iterations")}
    agent = MeanFieldAgent(Networks(Sizes(hidden=tuple(about["hidden"]), **own), torch.Generator()), torch.device("cpu"))
    agent.networks.load_state_dict(load_tensors(folder / "weights.safetensors"))
    agent.version = about["version"]
    return agent


class MeanFieldQAlgorithm:
    """The algorithm at work on one population."""

    requires = Requires(action=(Discrete,), vector=True)

    def __init__(self, settings: MeanFieldQ, setup: Setup) -> None:
        name = "mf-ac" if settings.actor else "mf-q"
        if len(setup.games) != 1:
            raise Unsuitable(f"{name} learns one game at a time; got {', '.join(setup.games)}")
        self.settings, self.seed, self.spec = settings, setup.seed, setup.games[0]
        self.info = info = setup.load(self.spec).info
        self.requires.check(name, info)
        assert isinstance(info.action, Discrete)
        if not info.anonymous or not info.simultaneous or info.vector != (info.action.n,):
            raise Unsuitable(
                f"{name} needs a population whose seats move at once and see the mean of their neighbours' last actions, one-hot; "
                f"{info.name} is none"
            )
        if settings.temperature <= 0:
            raise UserError(f"temperature is {settings.temperature}; expected a number above 0, such as 1")
        rounds = info.max_decisions // info.seats
        if rounds < 2:
            raise Unsuitable(f"{name} sees what neighbours did at a seat's next turn, and a match of {info.name} has one round")
        unit = (info.returns[1] - info.returns[0]) / rounds
        sizes = Sizes(info.action.n, tuple(settings.hidden), unit, settings.actor, settings.temperature, settings.iterations)
        self.device = device_of(settings.device)
        self.networks = Networks(sizes, torch.Generator().manual_seed(fold(self.seed, WEIGHTS) >> 1)).to(self.device)
        self.descent = Descent({"q": self.networks.q, "actor": self.networks.actor}, settings.lr, settings.max_norm)
        self.agent = MeanFieldAgent(self.networks, self.device)
        self.agents = {PLAYER: self.agent}
        self._cool(0)

    def _cool(self, iteration: int) -> None:
        """After so many iterations."""
        self.iteration = self.agent.version = iteration
        left = max(0.0, 1 - iteration / self.settings.horizon)
        self.networks.get_buffer("heat").fill_(self.settings.hot**left)

    def plan(self, step: int) -> Sequence[Match]:
        deals = deal_seed(fold(self.seed, DEALS, step), np.arange(self.settings.matches)).tolist()
        players, learn = (PLAYER,) * self.info.seats, frozenset(range(min(RECORDED, self.info.seats)))
        return [Match(game=self.spec, seed=deal, players=players, learn=learn) for deal in deals]

    def learn(self, batch: Batch) -> Mapping[str, float]:
        settings = self.settings
        self.descent.rate(settings.lr * max(0.0, 1 - self.iteration / settings.horizon))
        columns = [column.to(self.device) for column in samples(batch, self.networks.sizes.unit)]
        count = len(columns[0])
        if not count:
            self._cool(self.iteration + 1)
            return {"learned_turns": 0.0}
        logs = []
        for epoch in range(settings.epochs):
            order = generator(self.seed, SHUFFLE, self.iteration, epoch).permutation(count)
            for part in np.array_split(order, -(-count // settings.minibatch)):
                rows = torch.from_numpy(part).to(self.device)
                parts = losses(self.networks, *(column[rows] for column in columns))
                if self.descent.step(parts["loss"]):
                    logs.append({name: value.item() for name, value in parts.items()})
        self._cool(self.iteration + 1)
        means = {name: float(np.mean([log[name] for log in logs])) for name in logs[0]} if logs else {}
        return {**means, "learned_turns": float(count)}

    def save(self, folder: Path) -> None:
        self.descent.save(folder)
        save_json(folder / "state.json", {"iteration": self.iteration})

    def load(self, folder: Path) -> None:
        self.descent.load(folder)
        self._cool(load_json(folder / "state.json")["iteration"])

    def save_agent(self, player: str, folder: Path) -> None:
        self.agents[player].save(folder)

    def save_past(self, player: str, folder: Path) -> None:
        self.save_agent(player, folder)


def samples(batch: Batch, unit: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of every turn but the last of a seat: the mean action that it answered, its action, its reward in units, and the mean action met."""
    last = np.zeros(batch.size("turn"), bool)
    starts = batch.starts["turn"]
    last[starts[1:][np.diff(starts) > 0] - 1] = True
    rows = np.flatnonzero(batch["turn.learn"] & ~last)
    view, reward = batch["turn.view"], (batch["turn.reward"][rows] / unit).astype(np.float32)
    action = batch["turn.action"][rows]
    return torch.from_numpy(view[rows]), torch.from_numpy(action), torch.from_numpy(reward), torch.from_numpy(view[rows + 1])
