"""PPO: clipped policy gradient with a learned value (Schulman et al. 2017, arXiv 1707.06347).

Every seat learns from its own views. With one set of weights for all seats and a critic that sees what the seat sees this is IPPO with
shared parameters (de Witt et al. 2020, arXiv 2011.09533); with a critic that sees the whole table it is MAPPO (Yu et al. 2022, arXiv
2103.01955). With rho = pi(a|I) / old(a|I) and A from generalised advantage estimation, the policy minimises, over the sampled turns,

    - min(rho A, clip(rho, 1 - clip, 1 + clip) A) - entropy H(pi) + alpha KL(pi || magnet) + proximal KL(pi || old)

and the value (V - (A + V_old))^2 / 2. Entropy and KLs are in closed form (see ``algorithms.heads``). Without the last two terms this
is plain PPO: quick where an action is simply best, but in self-play on games of hidden information it goes round in circles. With them
it is magnetic mirror descent (Sokota et al. 2023, arXiv 2206.05825), whose last iterate converges: ``proximal`` is its 1/eta, the
magnet is a slow copy of the policy (it moves, so alpha need not fall), and the entropy bonus is the same term with the uniform magnet.

With a memory the policy is a recurrent one, and learning replays every seat's match from its first turn. Shapes: B sampled turns;
S segments of T turns in a row, which are whole matches of a seat with a memory, and without it single information sets (T = 1);
I inputs; P numbers of a distribution.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from algorithms.heads import Head
from algorithms.nets import Descent, device_of, distinct, surrogate
from algorithms.neural import Network, NeuralAgent, Sizes, alone
from algorithms.parts import PLAYER, Sampler
from algorithms.returns import advantages, sampled
from algorithms.samplers import SelfPlay
from marl_llm.algorithm import Requires, Setup, Unsuitable
from marl_llm.checkpoint import load_json, load_tensors, save_json, save_tensors
from marl_llm.errors import UserError
from marl_llm.game import Box, Discrete, Factored
from marl_llm.matches import Match
from marl_llm.records import CUT, Batch
from marl_llm.seeding import fold, generator

WEIGHTS, SHUFFLE = 2, 3  # names of random streams
MIRROR = SelfPlay(matches=1024)


@dataclass(frozen=True, kw_only=True)
class PPO:
    """Settings. ``lr`` and ``entropy`` fall linearly to 0 over ``horizon`` iterations."""

    horizon: int = 500
    """Iterations that schedules are laid over; beyond them nothing is learned any more."""
    sampler: Sampler = MIRROR
    """Which matches are played; more of them give less noise and fewer updates a second."""
    hidden: tuple[int, ...] = (64, 64)
    """Widths of the hidden layers, of the policy and of the value each."""
    memory: int = 0
    """Numbers that a seat remembers of its match, by a gated recurrent unit; 0: it decides by its view alone."""
    shared: bool = True
    """One set of weights for all seats, which are told apart by an input; False: one for each seat."""
    critic: Literal["seat", "table"] = "seat"
    """What the value is a function of: what the seat sees, or with it the whole table. The policy never sees that."""
    device: str = "cpu"
    """Where networks are kept and computed: cpu or cuda."""
    epochs: int = 4
    """Passes over an iteration's turns; more learn faster from a batch and lean more on ``clip``."""
    minibatch: int = 1024
    """Turns a gradient step, about as many with a memory, where matches stay whole."""
    lr: float = 1e-3
    """Adam's step size."""
    gamma: float = 1.0
    """Discount an own turn; below 1 the agent prefers early reward."""
    lam: float = 0.95
    """GAE's lambda: 1 trusts returns only (no bias), 0 trusts the value of the next own turn (least noise)."""
    clip: float = 0.2
    """How far a step may move an action's probability ratio from 1 before its gain stops counting."""
    entropy: float = 0.01
    """Pull towards playing every legal action equally often; keeps exploring."""
    alpha: float = 0.5
    """Pull towards the magnet, a slow copy of the policy; with ``proximal`` it makes self-play converge. 0 for both is plain PPO."""
    magnet_rate: float = 0.05
    """Share of the way that the magnet's weights move to the policy's at each iteration."""
    proximal: float = 5.0
    """Pull towards the policy that sampled the batch; larger takes smaller steps."""
    normalise: bool = True
    """Divide advantages by their root mean square over the batch, so that the pulls mean the same in every game."""
    max_norm: float = 0.5
    """Longest gradient, of the policy and of the value each."""

    def __post_init__(self) -> None:
        for name in ("epochs", "minibatch"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}; expected at least 1")
        if self.memory < 0:
            raise UserError(f"memory is {self.memory}; expected the numbers that a seat remembers, or 0 for none")

    def build(self, setup: Setup) -> PPOAlgorithm:
        return PPOAlgorithm(self, setup)


@dataclass(frozen=True)
class Sample:
    """Sampled turns, as tensors on one device."""

    inputs_STI: Tensor
    central_STI: Tensor
    """What the critic sees."""
    seat_S: Tensor
    place_B: Tensor
    """Where each turn stands in S x T."""
    action_B: Tensor
    """As drawn: more than one number a turn where actions have several parts."""
    old_BP: Tensor
    """The distributions that they were drawn from."""
    magnet_BP: Tensor
    """What the magnet would draw them from."""
    advantage_B: Tensor
    target_B: Tensor

    @property
    def segment_B(self) -> Tensor:
        return self.place_B // self.inputs_STI.shape[1]

    def take(self, rows: NDArray[np.int64]) -> Sample:
        """The given turns, with their segments alone."""
        index, time = torch.from_numpy(rows).to(self.place_B.device), self.inputs_STI.shape[1]
        known, segment = torch.unique(self.segment_B[index], return_inverse=True)
        turns = (self.action_B, self.old_BP, self.magnet_BP, self.advantage_B, self.target_B)
        seen = (self.inputs_STI[known], self.central_STI[known], self.seat_S[known])
        return Sample(*seen, segment * time + self.place_B[index] % time, *(column[index] for column in turns))


def losses(pi_BP: Tensor, value_B: Tensor, sample: Sample, head: Head, settings: PPO, left: float) -> dict[str, Tensor]:
    """The loss to minimise, ``loss``, with its parts and diagnostics, each a mean over turns."""
    ratio_B = (head.logp(pi_BP, sample.action_B) - head.logp(sample.old_BP, sample.action_B)).exp()
    gain_B = surrogate(ratio_B, sample.advantage_B, settings.clip)
    parts = {
        "policy_loss": -gain_B.mean(),
        "value_loss": 0.5 * (value_B - sample.target_B).square().mean(),
        "entropy": head.entropy(pi_BP).mean(),
        "kl_old": head.kl(pi_BP, sample.old_BP).mean(),
        "kl_magnet": head.kl(pi_BP, sample.magnet_BP).mean(),
        "clip_fraction": ((ratio_B - 1).abs() > settings.clip).float().mean(),
    }
    regularised = parts["policy_loss"] - settings.entropy * left * parts["entropy"]
    regularised += settings.alpha * parts["kl_magnet"] + settings.proximal * parts["kl_old"]
    return {"loss": regularised + parts["value_loss"], **parts}


class PPOAlgorithm:
    """The algorithm at work on one game."""

    def __init__(self, settings: PPO, setup: Setup) -> None:
        if len(setup.games) != 1:
            raise Unsuitable(f"ppo learns one game at a time; got {', '.join(setup.games)}")
        self.settings, self.setup = settings, setup
        info = setup.load(setup.games[0]).info
        central = settings.critic == "table"
        self.requires = Requires(vector=True, table=central, action=(Discrete, Factored, Box))
        self.requires.check("ppo with critic=table" if central else "ppo", info)
        sizes = Sizes.of(info, settings.hidden, memory=settings.memory, table=central, shared=settings.shared)
        start = torch.Generator().manual_seed(fold(setup.seed, WEIGHTS) >> 1)
        self.network = Network(sizes, start).to(device_of(settings.device))
        self.magnet = copy.deepcopy(self.network.policy).requires_grad_(False)
        self.descent = Descent({"policy": self.network.policy, "value": self.network.value}, settings.lr, settings.max_norm)
        self.agent = NeuralAgent(self.network)
        self.agents = {PLAYER: self.agent}
        self.iteration = 0

    def plan(self, step: int) -> Sequence[Match]:
        planned = self.settings.sampler.plan(step, self.setup, {})
        if not planned:
            raise UserError(f"the sampler plans no matches: {self.settings.sampler}; give it more")
        return planned

    def learn(self, batch: Batch) -> Mapping[str, float]:
        settings = self.settings
        cut = (batch["match.end"] == CUT)[batch.up("seat", "match")]
        rows = np.flatnonzero(batch["turn.learn"] & sampled(batch.starts["turn"], cut))
        left = max(0.0, 1 - self.iteration / settings.horizon)
        self.descent.rate(settings.lr * left)
        self.iteration += 1
        if not len(rows):
            return {"learned_turns": 0.0}
        sample, about = self.sample(batch, cut, rows)
        logs = [self.step(sample.take(part), left) for epoch in range(settings.epochs) for part in self.minibatches(sample, epoch)]
        self.agent.version = self.iteration
        with torch.no_grad():
            for slow, fast in zip(self.magnet.parameters(), self.network.policy.parameters(), strict=True):
                slow.lerp_(fast, settings.magnet_rate)
        taken = [log for log in logs if log is not None]
        means = {name: float(np.mean([log[name] for log in taken])) for name in taken[0]} if taken else {}
        return {**means, **about, "skipped_steps": float(len(logs) - len(taken)), "lr": settings.lr * left}

    def minibatches(self, sample: Sample, epoch: int) -> Sequence[NDArray[np.int64]]:
        """Turns in random order, in parts; those of a seat's match stay together where it has a memory."""
        turns = len(sample.place_B)
        unit = sample.segment_B.cpu().numpy() if self.settings.memory else np.arange(turns)
        order = generator(self.setup.seed, SHUFFLE, self.iteration, epoch).permutation(int(unit.max()) + 1)
        parts = np.array_split(order, min(len(order), -(-turns // self.settings.minibatch)))
        return [np.flatnonzero(np.isin(unit, part)) for part in parts] if self.settings.memory else parts

    def step(self, sample: Sample, left: float) -> dict[str, float] | None:
        """One gradient step, or None where the loss or its gradient is not finite: then the weights stay."""
        network = self.network
        pi_BP = self.distributions(network.policy, sample.inputs_STI, sample.seat_S, sample.place_B, sample.old_BP)
        value_ST1, _ = network.value(sample.central_STI, sample.seat_S, network.fresh(len(sample.seat_S)))
        parts = losses(pi_BP, value_ST1.flatten()[sample.place_B], sample, network.head, self.settings, left)
        taken = self.descent.step(parts["loss"])
        return {name: value.item() for name, value in parts.items()} if taken else None

    def distributions(self, policy: nn.Module, inputs_STI: Tensor, seat_S: Tensor, place_B: Tensor, old_BP: Tensor) -> Tensor:
        """What a policy network would draw turns from, [B, P]."""
        out_STP, _ = policy(inputs_STI, seat_S, self.network.fresh(len(seat_S)))
        return self.network.head.distribution(out_STP.flatten(0, 1)[place_B], old_BP)

    def sample(self, batch: Batch, cut: NDArray[np.bool_], rows: NDArray[np.int64]) -> tuple[Sample, dict[str, float]]:
        """The given turns with advantages, and what there is to say about them. ``cut`` has one entry a (match, seat)."""
        settings, network = self.settings, self.network
        value = batch["turn.value"]
        advantage = advantages(batch["turn.reward"], value, batch.starts["turn"], cut, settings.gamma, settings.lam)[rows]
        target = advantage + value[rows]
        explained = 1 - advantage.var() / max(target.var(), 1e-12)
        if settings.normalise:
            advantage = advantage / (np.sqrt(np.square(advantage).mean()) + 1e-8)
        turns_ST, place = segments(batch, rows, network.sizes)
        flat, shape = turns_ST.ravel(), turns_ST.shape
        table = batch["turn.table"][flat] if network.sizes.table else None
        x, central, seat = network.inputs(batch["turn.view"][flat], batch["turn.seat"][flat], table)
        inputs_STI, seat_S = x.reshape(*shape, -1), seat.reshape(shape)[:, 0]
        gains = (torch.from_numpy(column.astype(np.float32)) for column in (advantage, target))
        turns = (torch.from_numpy(place), *network.head.recorded(batch, rows), *gains)
        place_B, action_B, old_BP, *gains_B = (column.to(network.device) for column in turns)
        with torch.no_grad():  # the magnet rests while an iteration learns
            magnet_BP = self.distributions(self.magnet, inputs_STI, seat_S, place_B, old_BP)
        sample = Sample(inputs_STI, central.reshape(*shape, -1), seat_S, place_B, action_B, old_BP, magnet_BP, *gains_B)
        return sample, {"explained_variance": float(explained), "learned_turns": float(len(rows))}

    def save(self, folder: Path) -> None:
        self.descent.save(folder)
        save_tensors(folder / "magnet.safetensors", self.magnet.state_dict())
        save_json(folder / "state.json", {"iteration": self.iteration})

    def load(self, folder: Path) -> None:
        self.descent.load(folder)
        self.magnet.load_state_dict(load_tensors(folder / "magnet.safetensors"))
        self.iteration = self.agent.version = load_json(folder / "state.json")["iteration"]

    def save_agent(self, player: str, folder: Path) -> None:
        self.agents[player].save(folder)

    def save_past(self, player: str, folder: Path) -> None:
        self.save_agent(player, folder)


def segments(batch: Batch, rows: NDArray[np.int64], sizes: Sizes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The turns to compute for the turns ``rows``, [S, T], and where in S x T each of ``rows`` is.

    With a memory these are all turns of their (match, seat) that the agent made itself, filled up with turns that count for nothing.
    """
    if not sizes.memory:
        seen = np.full(len(rows), -1) if alone(sizes) else batch["turn.key"][rows]
        first, place = distinct(seen, batch["turn.seat"][rows])
        return rows[first][:, None], place
    segment = batch.up("turn", "seat")
    replayed = np.flatnonzero(np.isin(segment, segment[rows]) & ~np.isnan(batch["turn.value"]))  # what is NaN another agent decided
    begins, which = np.unique(segment[replayed], return_index=True, return_inverse=True)[1:]
    time = np.arange(len(replayed)) - begins[which]
    turns_ST = np.repeat(replayed[begins][:, None], int(time.max()) + 1, 1)
    turns_ST[which, time] = replayed
    at = np.searchsorted(replayed, rows)
    return turns_ST, which[at] * turns_ST.shape[1] + time[at]
