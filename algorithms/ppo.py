"""PPO: clipped policy gradient with a learned value (Schulman et al. 2017, arXiv 1707.06347), one set of weights for all seats.

Every seat learns from its own views as if alone, which is IPPO with shared parameters (de Witt et al. 2020, arXiv 2011.09533).
With rho = pi(a|I) / old(a|I) and A from generalised advantage estimation, the policy minimises, over the sampled turns,

    - min(rho A, clip(rho, 1 - clip, 1 + clip) A) - entropy H(pi) + alpha KL(pi || magnet) + proximal KL(pi || old)

and the value (V - (A + V_old))^2 / 2. Entropy and KLs are exact over the legal actions. Without the last two terms this is plain
PPO: quick where an action is simply best, but in self-play on games of hidden information it goes round in circles. With them it is
magnetic mirror descent (Sokota et al. 2023, arXiv 2206.05825), whose last iterate converges: ``proximal`` is its 1/eta, the magnet
is a slow copy of the policy (it moves, so alpha need not fall), and the entropy bonus is the same term with the uniform magnet.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from algorithms.nets import ILLEGAL, Descent, Network, NeuralAgent, Sizes, distinct, mask
from algorithms.parts import PLAYER
from algorithms.returns import advantages, sampled
from marl_llm.algorithm import Requires, Setup, Unsuitable
from marl_llm.checkpoint import load_json, load_tensors, save_json, save_tensors
from marl_llm.matches import Match, self_play
from marl_llm.records import CUT, Batch
from marl_llm.seeding import fold, generator

DEALS, WEIGHTS, SHUFFLE = 1, 2, 3  # names of random streams


@dataclass(frozen=True, kw_only=True)
class PPO:
    """Settings. ``lr`` and ``entropy`` fall linearly to 0 over ``horizon`` iterations."""

    horizon: int = 500
    """Iterations that schedules are laid over; beyond them nothing is learned any more."""
    matches: int = 1024
    """Matches an iteration; more give less noise and fewer updates a second."""
    hidden: tuple[int, ...] = (64, 64)
    """Widths of the hidden layers, of the policy and of the value each."""
    epochs: int = 4
    """Passes over an iteration's turns; more learn faster from a batch and lean more on ``clip``."""
    minibatch: int = 1024
    """Turns a gradient step."""
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

    def build(self, setup: Setup) -> PPOAlgorithm:
        return PPOAlgorithm(self, setup)


@dataclass(frozen=True)
class Sample:
    """Sampled turns as tensors. [B] turns, [U] distinct information sets, [A] actions."""

    inputs_UI: Tensor
    legal_UA: Tensor
    place_B: Tensor
    """Row of ``inputs_UI`` of each turn."""
    action_B: Tensor
    old_BA: Tensor
    """Log-probabilities as sampled."""
    advantage_B: Tensor
    target_B: Tensor

    def take(self, rows: NDArray[np.int64]) -> Sample:
        """The given turns, with their information sets alone."""
        index = torch.from_numpy(rows)
        known, place = torch.unique(self.place_B[index], return_inverse=True)
        turns = (self.action_B, self.old_BA, self.advantage_B, self.target_B)
        return Sample(self.inputs_UI[known], self.legal_UA[known], place, *(column[index] for column in turns))


def losses(logp_UA: Tensor, value_U: Tensor, magnet_UA: Tensor, sample: Sample, settings: PPO, left: float) -> dict[str, Tensor]:
    """The loss to minimise, ``loss``, with its parts and diagnostics, each a mean over turns."""
    logp_BA = logp_UA[sample.place_B]
    pi_BA = logp_BA.exp()
    taken = (torch.arange(len(logp_BA)), sample.action_B)
    ratio_B = (logp_BA[taken] - sample.old_BA[taken]).exp()
    gain_B = torch.minimum(ratio_B * sample.advantage_B, ratio_B.clamp(1 - settings.clip, 1 + settings.clip) * sample.advantage_B)
    parts = {
        "policy_loss": -gain_B.mean(),
        "value_loss": 0.5 * (value_U[sample.place_B] - sample.target_B).square().mean(),
        "entropy": -(pi_BA * logp_BA).sum(1).mean(),
        "kl_old": (pi_BA * (logp_BA - sample.old_BA)).sum(1).mean(),
        "kl_magnet": (pi_BA * (logp_BA - magnet_UA[sample.place_B])).sum(1).mean(),
        "clip_fraction": ((ratio_B - 1).abs() > settings.clip).float().mean(),
    }
    regularised = parts["policy_loss"] - settings.entropy * left * parts["entropy"]
    regularised += settings.alpha * parts["kl_magnet"] + settings.proximal * parts["kl_old"]
    return {"loss": regularised + parts["value_loss"], **parts}


class PPOAlgorithm:
    """The algorithm at work on one game."""

    requires = Requires(vector=True)

    def __init__(self, settings: PPO, setup: Setup) -> None:
        if len(setup.games) != 1:
            raise Unsuitable(f"ppo learns one game at a time; got {', '.join(setup.games)}")
        self.settings, self.seed, self.spec = settings, setup.seed, setup.games[0]
        self.game = setup.load(self.spec)
        self.requires.check("ppo", self.game.info)
        start = torch.Generator().manual_seed(fold(self.seed, WEIGHTS) >> 1)
        self.network = Network(Sizes.of(self.game.info, settings.hidden), start)
        self.magnet = copy.deepcopy(self.network).requires_grad_(False)
        self.descent = Descent({"policy": self.network.policy, "value": self.network.value}, settings.lr, settings.max_norm)
        self.agent = NeuralAgent(self.network)
        self.agents = {PLAYER: self.agent}
        self.iteration = 0

    def plan(self, step: int) -> Sequence[Match]:
        deals = fold(self.seed, DEALS, step)
        return list(self_play(self.spec, PLAYER, self.game.info.seats, self.settings.matches, deals))

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
        logs = []
        for epoch in range(settings.epochs):
            order = generator(self.seed, SHUFFLE, self.iteration, epoch).permutation(len(rows))
            logs += [self.step(sample.take(part), left) for part in np.array_split(order, -(-len(rows) // settings.minibatch))]
        self.agent.version = self.iteration
        with torch.no_grad():
            for slow, fast in zip(self.magnet.parameters(), self.network.parameters(), strict=True):
                slow.lerp_(fast, settings.magnet_rate)
        taken = [log for log in logs if log is not None]
        means = {name: float(np.mean([log[name] for log in taken])) for name in taken[0]} if taken else {}
        return {**means, **about, "skipped_steps": float(len(logs) - len(taken)), "lr": settings.lr * left}

    def step(self, sample: Sample, left: float) -> dict[str, float] | None:
        """One gradient step, or None where the loss or its gradient is not finite: then the weights stay."""
        logp_UA, value_U = self.network(sample.inputs_UI, sample.legal_UA)
        magnet_UA, _ = self.magnet(sample.inputs_UI, sample.legal_UA)
        parts = losses(logp_UA, value_U, magnet_UA, sample, self.settings, left)
        taken = self.descent.step(parts["loss"])
        return {name: value.item() for name, value in parts.items()} if taken else None

    def sample(self, batch: Batch, cut: NDArray[np.bool_], rows: NDArray[np.int64]) -> tuple[Sample, dict[str, float]]:
        """The given turns with advantages, and what there is to say about them. ``cut`` has one entry a (match, seat)."""
        settings, sizes = self.settings, self.network.sizes
        value = batch["turn.value"]
        advantage = advantages(batch["turn.reward"], value, batch.starts["turn"], cut, settings.gamma, settings.lam)[rows]
        target = advantage + value[rows]
        explained = 1 - advantage.var() / max(target.var(), 1e-12)
        if settings.normalise:
            advantage = advantage / (np.sqrt(np.square(advantage).mean()) + 1e-8)
        first, place = distinct(batch["turn.key"][rows], batch["turn.seat"][rows])
        legal, logp = batch.ragged("legal.action").take(rows), batch.ragged("legal.logp").take(rows)
        old_BA = np.full((len(rows), sizes.actions), ILLEGAL)
        old_BA[legal.row_of(), legal.data] = logp.data
        sample = Sample(
            self.network.inputs(batch["turn.view"][rows[first]], batch["turn.seat"][rows[first]]),
            torch.from_numpy(mask(legal.take(first), sizes.actions)),
            torch.from_numpy(place),
            torch.from_numpy(batch["turn.action"][rows]),
            *(torch.from_numpy(column.astype(np.float32)) for column in (old_BA, advantage, target)),
        )
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
