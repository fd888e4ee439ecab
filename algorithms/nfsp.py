"""Neural fictitious self-play (Heinrich and Silver 2016, arXiv 1603.01121).

Each agent is two networks: Q, which learns a best response to what the others do, and pi, which learns what the agent's own best
responses have been on average. For every match and seat it is drawn which one plays: Q, epsilon-greedily, with the anticipatory
probability eta, else pi. With transitions (s, a, r, s') of all play in a circular memory, and the moves (s, a) of best responses
alone in a reservoir, which is at any time a uniform sample of all there have been,

    minimise  (r + max_a' Q'(s', a') - Q(s, a))^2      and      - log pi(a | s),

where Q' is an older copy of Q and the maximum is over legal actions, 0 at the end. In fictitious play it is the average that approaches
an equilibrium, so pi is the agent on offer. Different here: many matches are played at once between updates, seats share their
networks and see which one they are, and both losses are minimised by Adam.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from algorithms.nets import Descent, device_of, distinct, mask, perceptron
from algorithms.parts import PLAYER
from algorithms.returns import sampled as outcome_known
from algorithms.utilities import Sizes, epsilon_greedy
from marl_llm.agent import Decision, Immediate, Request, sampled
from marl_llm.algorithm import Requires, Setup, Unsuitable
from marl_llm.checkpoint import load_json, load_tensors, save_json, save_tensors
from marl_llm.errors import UserError
from marl_llm.game import Discrete
from marl_llm.matches import Match, self_play
from marl_llm.ragged import Ragged
from marl_llm.records import CUT, Batch
from marl_llm.seeding import fold, generator, uniform

LEARNER = "nfsp"
DEALS, WEIGHTS, PLACES, DRAWS, MODE = 1, 2, 3, 4, 5  # names of random streams
NEVER = -1e9
"""Logit, or value, of an illegal action."""


@dataclass(frozen=True, kw_only=True)
class NFSP:
    """Settings."""

    horizon: int = 1000
    """Iterations that schedules are laid over."""
    matches: int = 512
    """Matches an iteration, in which the learner holds every seat."""
    eta: float = 0.1
    """Anticipatory parameter: how often a best response plays instead of the average."""
    hidden: tuple[int, ...] = (64, 64)
    """Widths of the hidden layers, of Q and of pi each."""
    updates: int = 8
    """Gradient steps an iteration, of Q and of pi each."""
    minibatch: int = 256
    """Entries a gradient step."""
    q_lr: float = 1e-3
    """Adam's step size for Q."""
    pi_lr: float = 1e-3
    """Adam's step size for pi; falls linearly to a tenth, so that pi settles on the reservoir's mean."""
    replay: int = 10_000
    """Transitions kept for Q, the newest: what the others do now is what a best response answers."""
    reservoir: int = 500_000
    """Moves kept for pi, a uniform sample of all."""
    epsilon: float = 0.06
    """Share of random moves of a best response at first; falls to 0."""
    target_every: int = 100
    """Gradient steps from one copy of Q to the next."""
    max_norm: float = 1.0
    """Longest gradient, of Q and of pi each."""
    device: str = "cpu"
    """Where networks are kept and computed: cpu or cuda."""

    def build(self, setup: Setup) -> NFSPAlgorithm:
        return NFSPAlgorithm(self, setup)


def network(sizes: Sizes, draws: torch.Generator) -> nn.Sequential:
    """Of a view and the seat, where seats differ, to a number for every action."""
    return perceptron([sizes.view + sizes.seats, *sizes.hidden, sizes.actions], 0.01, draws)


class AverageAgent(Immediate):
    """Plays by pi."""

    def __init__(self, sizes: Sizes, pi: nn.Module) -> None:
        super().__init__()
        self.sizes, self.pi, self.version = sizes, pi, 0

    def seen(self, request: Request) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """What the networks see of each distinct information set, [distinct, inputs], and every row's place among those."""
        info = request.views.game.info
        if info.vector is None or not isinstance(info.action, Discrete) or Sizes.of(info, self.sizes.hidden) != self.sizes:
            raise UserError(
                f"an NFSP agent for views of {self.sizes.view} numbers, {self.sizes.actions} actions and {self.sizes.seats or 'any'} "
                f"seats cannot play {info.name}; train one on this game"
            )
        first, place = distinct(request.views.keys(), request.seat)
        seat = np.eye(info.seats, self.sizes.seats, dtype=np.float32)[request.seat[first]]
        return np.concatenate([request.views.take(first).vectors().reshape(len(first), -1), seat], 1), place

    def policy(self, request: Request) -> Ragged:
        seen, place = self.seen(request)
        return legal_softmax(self.pi, seen, place, request.legal)

    def decide(self, request: Request) -> Decision:
        return sampled(request, self.policy(request), version=self.version)

    def save(self, folder: Path) -> None:
        save_json(folder / "agent.json", {"loader": "nfsp", "version": self.version, **asdict(self.sizes)})
        save_tensors(folder / "weights.safetensors", self.pi.state_dict())


def outputs(network: nn.Module, seen: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a network makes of inputs, on the device that it is on."""
    with torch.no_grad():
        return network(torch.from_numpy(seen).to(next(network.parameters()).device)).cpu().numpy()


def legal_softmax(network: nn.Module, seen: NDArray[np.float32], place: NDArray[np.int64], legal: Ragged) -> Ragged:
    """Probabilities of legal actions, the softmax of their outputs."""
    logits = outputs(network, seen).astype(np.float64)
    raw = logits[place[legal.row_of()], legal.data]
    raw = np.exp(raw - np.maximum.reduceat(raw, legal.starts[:-1]).repeat(legal.lengths)) if len(raw) else raw
    return Ragged(raw / np.repeat(np.add.reduceat(raw, legal.starts[:-1]), legal.lengths) if len(raw) else raw, legal.starts)


class Learner(Immediate):
    """Plays by Q or by pi, as is drawn for each match and seat and remembered. Records ``turn.seen`` [rows, inputs], ``turn.best``,
    whether Q plays, and ``legal.action``."""

    def __init__(self, average: AverageAgent, q: nn.Module, eta: float) -> None:
        super().__init__()
        self.average, self.q, self.eta, self.epsilon = average, q, eta, 0.0

    def decide(self, request: Request) -> Decision:
        seen, place = self.average.seen(request)
        drawn = uniform(fold(request.seed, MODE)) < self.eta
        best = np.asarray([new if old is None else old for new, old in zip(drawn.tolist(), request.memory, strict=True)], bool)
        legal = request.legal
        pi = legal_softmax(self.average.pi, seen, place, legal)
        q_BA = outputs(self.q, seen)[place]
        response = epsilon_greedy(q_BA, legal, self.epsilon)
        policy = Ragged(np.where(best[legal.row_of()], response.data, pi.data), legal.starts)
        record = {"turn.seen": seen[place], "turn.best": best, "legal.action": legal}
        return sampled(request, policy, version=self.average.version, record=record, memory=best.tolist())


class Store:
    """Columns of ``capacity`` entries by name; ``added`` counts all that came."""

    def __init__(self, capacity: int) -> None:
        self.capacity, self.added = capacity, 0
        self.columns: dict[str, NDArray[Any]] = {}

    def __len__(self) -> int:
        return min(self.added, self.capacity)

    def put(self, places: NDArray[np.int64], columns: Mapping[str, NDArray[Any]]) -> None:
        """Entries to ``places``; those at ``capacity`` or beyond are let go."""
        kept = places < self.capacity
        for name, values in columns.items():
            if name not in self.columns:  # memory that nothing is written to costs nothing
                self.columns[name] = np.zeros((self.capacity, *values.shape[1:]), values.dtype)
            self.columns[name][places[kept]] = values[kept]
        self.added += len(places)

    def newest(self, columns: Mapping[str, NDArray[Any]], count: int) -> None:
        """``count`` entries in the places of the oldest."""
        self.put((self.added + np.arange(count)) % self.capacity, columns)

    def reservoir(self, columns: Mapping[str, NDArray[Any]], count: int, *keys: int) -> None:
        """``count`` entries so that what is kept stays a uniform sample of all that came (Vitter 1985, algorithm R)."""
        number = self.added + np.arange(count)
        drawn = (generator(*keys).random(count) * (number + 1)).astype(np.int64)
        self.put(np.where(number < self.capacity, number, drawn), columns)

    def draw(self, count: int, *keys: int) -> dict[str, Tensor]:
        """``count`` entries, with replacement."""
        rows = generator(*keys).integers(len(self), size=count)
        return {name: torch.from_numpy(values[rows]) for name, values in self.columns.items()}

    def save(self, file: Path) -> None:
        """What is kept; ``load`` reads it."""
        kept = {name: values[: len(self)] for name, values in self.columns.items()}
        save_tensors(file, {**kept, "added": np.asarray([self.added])})

    def load(self, file: Path) -> None:
        saved = load_tensors(file, "numpy")
        added, self.added, self.columns = int(saved.pop("added")[0]), 0, {}
        if saved:
            self.put(np.arange(min(added, self.capacity)), saved)
        self.added = added


def q_loss(q: nn.Module, older: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    """Mean squared error of Q over transitions."""
    with torch.no_grad():
        after = older(batch["next_seen"]).masked_fill(~batch["next_legal"], NEVER).max(1).values
        target = batch["reward"] + torch.where(batch["over"], 0.0, after)
    taken = q(batch["seen"]).gather(1, batch["action"][:, None])[:, 0]
    return (taken - target).square().mean()


def pi_loss(pi: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    """Mean negative log-likelihood of the moves of best responses."""
    logp = pi(batch["seen"]).masked_fill(~batch["legal"], NEVER).log_softmax(1)
    return -logp.gather(1, batch["action"][:, None]).mean()


class NFSPAlgorithm:
    """The algorithm at work on one game."""

    requires = Requires(vector=True)

    def __init__(self, settings: NFSP, setup: Setup) -> None:
        if len(setup.games) != 1:
            raise Unsuitable(f"nfsp learns one game at a time; got {', '.join(setup.games)}")
        if not 0 < settings.eta <= 1:
            raise UserError(f"--eta is {settings.eta}; expected a share above 0, and at most 1")
        self.settings, self.seed, self.spec = settings, setup.seed, setup.games[0]
        self.info = setup.load(self.spec).info
        self.requires.check("nfsp", self.info)
        sizes = Sizes.of(self.info, settings.hidden)
        draws = torch.Generator().manual_seed(fold(self.seed, WEIGHTS) >> 1)
        self.device = device_of(settings.device)
        self.q, self.pi = (network(sizes, draws).to(self.device) for _ in range(2))
        self.older = copy.deepcopy(self.q).requires_grad_(False)
        self.descents = {
            "q": Descent({"q": self.q}, settings.q_lr, settings.max_norm),
            "pi": Descent({"pi": self.pi}, settings.pi_lr, settings.max_norm),
        }
        self.replay, self.moves = Store(settings.replay), Store(settings.reservoir)
        self.average = AverageAgent(sizes, self.pi)
        self.learner = Learner(self.average, self.q, settings.eta)
        self.agents = {PLAYER: self.average, LEARNER: self.learner}
        self.iteration = 0
        self._schedule()

    def _schedule(self) -> None:
        left = max(0.0, 1 - self.iteration / self.settings.horizon)
        self.learner.epsilon = self.settings.epsilon * left
        self.descents["pi"].rate(self.settings.pi_lr * (0.1 + 0.9 * left))
        self.average.version = self.iteration

    def plan(self, step: int) -> Sequence[Match]:
        deals = fold(self.seed, DEALS, step)
        return list(self_play(self.spec, LEARNER, self.info.seats, self.settings.matches, deals))

    def learn(self, batch: Batch) -> Mapping[str, float]:
        settings = self.settings
        self.remember(batch)
        losses: dict[str, list[float]] = {"q": [], "pi": []}
        for update in range(self.iteration * settings.updates, (self.iteration + 1) * settings.updates):
            if update % settings.target_every == 0:
                self.older.load_state_dict(self.q.state_dict())
            for code, (name, store) in enumerate((("q", self.replay), ("pi", self.moves))):
                if not len(store):
                    continue
                drawn = {
                    name: kept.to(self.device) for name, kept in store.draw(settings.minibatch, self.seed, DRAWS, update, code).items()
                }
                loss = q_loss(self.q, self.older, drawn) if name == "q" else pi_loss(self.pi, drawn)
                if self.descents[name].step(loss):
                    losses[name].append(loss.item())
        self.iteration += 1
        self._schedule()
        figures = {f"{name}_loss": float(np.mean(values)) for name, values in losses.items() if values}
        return {**figures, "replay": float(len(self.replay)), "reservoir": float(len(self.moves)), "epsilon": self.learner.epsilon}

    def remember(self, batch: Batch) -> None:
        """Put an iteration's turns into both memories."""
        starts = batch.starts["turn"]
        cut = (batch["match.end"] == CUT)[batch.up("seat", "match")]
        rows = np.flatnonzero(batch["turn.learn"] & (batch["turn.fault"] == 0) & outcome_known(starts, cut))
        last = np.zeros(batch.size("turn"), bool)
        last[starts[1:][np.diff(starts) > 0] - 1] = True
        after = np.where(last[rows], rows, rows + 1)
        legal = mask(batch.ragged("legal.action"), self.average.sizes.actions)
        seen, action = batch["turn.seen"].astype(np.float32), batch["turn.action"].astype(np.int64)
        transitions: dict[str, NDArray[Any]] = {
            "seen": seen[rows],
            "action": action[rows],
            "reward": batch["turn.reward"][rows].astype(np.float32),
            "next_seen": seen[after],
            "next_legal": legal[after],
            "over": last[rows],
        }
        self.replay.newest(transitions, len(rows))
        best = rows[batch["turn.best"][rows]]
        moves = {"seen": seen[best], "legal": legal[best], "action": action[best]}
        self.moves.reservoir(moves, len(best), self.seed, PLACES, self.iteration)

    def save(self, folder: Path) -> None:
        for name, descent in self.descents.items():
            (folder / name).mkdir()
            descent.save(folder / name)
        save_tensors(folder / "older.safetensors", self.older.state_dict())
        self.replay.save(folder / "replay.safetensors")
        self.moves.save(folder / "reservoir.safetensors")
        save_json(folder / "state.json", {"iteration": self.iteration})

    def load(self, folder: Path) -> None:
        for name, descent in self.descents.items():
            descent.load(folder / name)
        self.older.load_state_dict(load_tensors(folder / "older.safetensors"))
        self.replay.load(folder / "replay.safetensors")
        self.moves.load(folder / "reservoir.safetensors")
        self.iteration = load_json(folder / "state.json")["iteration"]
        self._schedule()

    def save_agent(self, player: str, folder: Path) -> None:
        self.average.save(folder)

    def save_past(self, player: str, folder: Path) -> None:
        self.save_agent(player, folder)


def load(folder: Path) -> AverageAgent:
    """What ``AverageAgent.save`` wrote."""
    about = load_json(folder / "agent.json")
    sizes = Sizes(about["view"], about["seats"], about["actions"], tuple(about["hidden"]))
    agent = AverageAgent(sizes, network(sizes, torch.Generator()))
    agent.pi.load_state_dict(load_tensors(folder / "weights.safetensors"))
    agent.version = about["version"]
    return agent
