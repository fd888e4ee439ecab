"""Dec-POMFPPO: PPO for a team of any size whose seats see little (Cui et al. 2024, arXiv 2307.06175).

In the limit of many seats the state of a team is its mean field mu, and the ACTION of the whole team at one step is a decision rule
that maps what a seat sees, y, to a distribution over what it does, u. An upper policy pi(xi | mu) draws the rule's parameters xi, once
a step for all, and is trained by plain PPO, one sample a step and not one a seat: with rho = pi(xi | mu) / old(xi | mu) and A from
generalised advantage estimation on the critic V(mu), it minimises

    - min(rho A, clip(rho, 1 - clip, 1 + clip) A) + kl KL(old || pi) + (V - (A + V_old))^2 / 2

(The equations are given from memory of the paper; KL(old || pi) is estimated by rho - 1 - log rho.) ``rule`` "rbf" is a kernel rule:
with k_b = exp(-|y - y_b|^2 / 2 sigma^2) for centres y_b on a grid, a seat draws u from the Gaussian whose mean and standard deviation
are sum_b k_b p_b / sum_b k_b, p_b = (mean, std) of centre b. The paper's form, from memory, mixes the centres' distributions where
this averages their parameters; that is a choice made here. ``rule`` "histogram" gives a seat the p_b of the cell it sees itself in.
p_b = (middle + half tanh xi_b1, half (tanh xi_b2 + 1) / 2) with half the width of the action box, after the authors' sibling code.

Training is central: the critic, and with ``sees`` "table" the upper policy too, see the whole table, a histogram of the swarm.
Playing is decentralised. To act, a seat needs the weights, its own view, the seed that the team shares (``Request.shared``) and, with
``sees`` "time", nothing but its own clock; with "table" it must be told the mean field. Nothing in the weights knows the number of
seats: a rule that was trained at one plays at any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from algorithms.nets import Descent, device_of, perceptron, surrogate
from algorithms.parts import PLAYER
from algorithms.returns import advantages, sampled
from marl_llm.agent import Decision, Immediate, Request, answer
from marl_llm.algorithm import Requires, Setup, Unsuitable
from marl_llm.checkpoint import load_json, load_tensors, save_json, save_tensors
from marl_llm.errors import UserError
from marl_llm.game import Box, GameInfo
from marl_llm.matches import Match, deal_seed
from marl_llm.records import CUT, Batch
from marl_llm.seeding import fold, gaussian, generator

DEALS, WEIGHTS, SHUFFLE = 1, 2, 3  # names of random streams


@dataclass(frozen=True, kw_only=True)
class MeanFieldPPO:
    """Settings. ``lr`` falls linearly to 0 over ``horizon`` iterations."""

    horizon: int = 250
    """Iterations that the schedule is laid over; beyond them nothing is learned any more."""
    matches: int = 8
    """Matches an iteration; every step of one is a sample."""
    rule: Literal["rbf", "histogram"] = "rbf"
    """Form of the decision rule; equal ``bins`` give both the same number of parameters."""
    bins: int = 5
    """Centres or cells in each dimension of a view."""
    sigma: float = 0.7
    """Width of the kernel in distances between centres: wider rules are smoother."""
    circle: bool = False
    """Views are places on a circle, where -1 is 1, as the angles of vicsek and kuramoto are."""
    sees: Literal["table", "time"] = "time"
    """What the upper policy sees: the whole table, as the paper has it, or only how much time has passed."""
    hidden: tuple[int, ...] = (64, 64)
    """Widths of the hidden layers, of the upper policy and of the critic each."""
    std: float = 2.0
    """Standard deviation of a rule's parameters at the start; it falls geometrically to ``last_std`` over ``horizon``."""
    last_std: float = 0.3
    """Standard deviation of a rule's parameters at the end."""
    epochs: int = 5
    """Passes over an iteration's steps."""
    minibatch: int = 400
    """Steps of matches in a gradient step."""
    lr: float = 3e-3
    """Adam's step size."""
    gamma: float = 0.99
    """Discount a step."""
    lam: float = 0.9
    """GAE's lambda."""
    clip: float = 0.3
    """How far a step may move a rule's probability ratio from 1 before its gain stops counting."""
    kl: float = 0.03
    """Pull towards the policy that sampled the batch."""
    max_norm: float = 1.0
    """Longest gradient, of the upper policy and of the critic each."""
    device: str = "cpu"
    """Where networks learn and are asked: cpu or cuda."""

    def build(self, setup: Setup) -> MeanFieldPPOAlgorithm:
        return MeanFieldPPOAlgorithm(self, setup)


@dataclass(frozen=True)
class Sizes:
    """What a rule is made for: numbers in a view, in the table and in an action, and the action box; then the rule's own settings."""

    view: int
    table: int
    action: int
    low: float
    high: float
    rule: str
    bins: int
    sigma: float
    circle: bool
    sees: str
    hidden: tuple[int, ...]

    @staticmethod
    def of(info: GameInfo, settings: MeanFieldPPO | Sizes) -> Sizes:
        """For a population with views and a table as numbers, and Box actions."""
        assert isinstance(info.action, Box)
        view, table, action = (int(np.prod(shape or ())) for shape in (info.vector, info.table, info.action.shape))
        own = (getattr(settings, name) for name in ("rule", "bins", "sigma", "circle", "sees", "hidden"))
        return Sizes(view, table, action, info.action.low, info.action.high, *own)

    @property
    def centres(self) -> int:
        return self.bins**self.view

    @property
    def parameters(self) -> int:
        """Of a rule: of every centre the means and the standard deviations of an action's numbers."""
        return self.centres * 2 * self.action


class Rule:
    """The decision rules of a game, of which xi [rules, parameters] names some. Views are expected between -1 and 1."""

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        self.gap = 2 / sizes.bins if sizes.circle or sizes.rule == "histogram" else 2 / max(1, sizes.bins - 1)
        axis = self.gap * np.arange(sizes.bins) - 1 + (self.gap / 2 if sizes.rule == "histogram" else 0)
        self.grid_MV = np.stack(np.meshgrid(*[axis] * sizes.view, indexing="ij"), -1).reshape(-1, sizes.view).astype(np.float32)

    def weights(self, view_RV: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of every view the weights of the centres, [rows, centres], which sum to 1."""
        if self.sizes.rule == "histogram":
            cell_RV = ((view_RV + 1) / self.gap).astype(np.int64).clip(0, self.sizes.bins - 1)
            cell_R = np.ravel_multi_index(tuple(cell_RV.T), (self.sizes.bins,) * self.sizes.view)
            return np.eye(self.sizes.centres, dtype=np.float32)[cell_R]
        off_RMV = view_RV[:, None] - self.grid_MV
        if self.sizes.circle:
            off_RMV = (off_RMV + 1) % 2 - 1
        log_RM = -np.square(off_RMV).sum(2) / (2 * (self.sizes.sigma * self.gap) ** 2)
        kernel_RM = np.exp(log_RM - log_RM.max(1, keepdims=True))  # far from all centres the nearest counts
        return kernel_RM / kernel_RM.sum(1, keepdims=True)

    def gaussians(self, xi_NK: NDArray[np.float32]) -> NDArray[np.float32]:
        """Means and standard deviations of every centre, [rules, centres, 2, action]."""
        middle, half = (self.sizes.high + self.sizes.low) / 2, (self.sizes.high - self.sizes.low) / 2
        squashed = np.tanh(xi_NK).reshape(len(xi_NK), self.sizes.centres, 2, self.sizes.action)
        return np.stack([middle + half * squashed[:, :, 0], half * (squashed[:, :, 1] + 1) / 2], 2)

    def act(self, xi_NK: Any, place_R: NDArray[np.int64], view_RV: Any, noise_RA: NDArray[np.float64]) -> NDArray[np.float32]:
        """Actions [rows, action] of seats with the rules ``place_R`` by their own views and noise, inside the box."""
        mixed_R2A = np.einsum("rm,rmia->ria", self.weights(view_RV), self.gaussians(xi_NK)[place_R])
        return (mixed_R2A[:, 0] + mixed_R2A[:, 1] * noise_RA).clip(self.sizes.low, self.sizes.high).astype(np.float32)


class Network(nn.Module):
    """The upper policy, a Gaussian with one standard deviation for all parameters, and the critic."""

    def __init__(self, sizes: Sizes, std: float, generator: torch.Generator) -> None:
        super().__init__()
        self.sizes = sizes
        self.upper = nn.ModuleDict({"mean": perceptron([self.told, *sizes.hidden, sizes.parameters], 0.01, generator)})
        self.upper.register_buffer("std", torch.tensor(std))
        self.value = perceptron([sizes.table + 1, *sizes.hidden, 1], 1.0, generator)

    @property
    def told(self) -> int:
        return 1 if self.sizes.sees == "time" else self.sizes.table + 1

    def forward(self, seen_BT: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Means [B, parameters] and the standard deviation of xi, and values [B]. ``seen_BT`` is time, then table."""
        return self.upper["mean"](seen_BT[:, : self.told]), self.upper.get_buffer("std"), self.value(seen_BT)[:, 0]


def density(xi_BK: Tensor, mean_BK: Tensor, std: Tensor) -> Tensor:
    """Log-densities [B] of parameters under the upper policy."""
    z_BK = (xi_BK - mean_BK) / std
    return -(0.5 * z_BK.square() + std.log() + 0.5 * float(np.log(2 * np.pi))).sum(1)


@dataclass(frozen=True)
class Sample:
    """Steps of matches as tensors, [B] each."""

    seen_BT: Tensor
    xi_BK: Tensor
    old_B: Tensor
    """Log-densities as sampled."""
    advantage_B: Tensor
    target_B: Tensor

    def take(self, rows: NDArray[np.int64]) -> Sample:
        index = torch.from_numpy(rows).to(self.xi_BK.device)
        return Sample(*(column[index] for column in (self.seen_BT, self.xi_BK, self.old_B, self.advantage_B, self.target_B)))


def losses(mean_BK: Tensor, std: Tensor, value_B: Tensor, sample: Sample, settings: MeanFieldPPO) -> dict[str, Tensor]:
    """The loss to minimise, ``loss``, with its parts and diagnostics, each a mean over steps."""
    log_B = density(sample.xi_BK, mean_BK, std) - sample.old_B
    ratio_B = log_B.exp()
    gain_B = surrogate(ratio_B, sample.advantage_B, settings.clip)
    parts = {
        "policy_loss": -gain_B.mean(),
        "value_loss": 0.5 * (value_B - sample.target_B).square().mean(),
        "kl_old": (ratio_B - 1 - log_B).mean(),
        "clip_fraction": ((ratio_B - 1).abs() > settings.clip).float().mean(),
    }
    return {"loss": parts["policy_loss"] + settings.kl * parts["kl_old"] + parts["value_loss"], **parts}


class RuleAgent(Immediate):
    """Plays by rules drawn from the upper policy. Records ``turn.seen``, ``turn.xi``, ``turn.logp`` and ``turn.value``, the same for
    all seats of a step."""

    def __init__(self, network: Network, device: torch.device) -> None:
        super().__init__()
        self.network, self.device, self.rule, self.version = network, device, Rule(network.sizes), 0

    def decide(self, request: Request) -> Decision:
        info, sizes = request.views.game.info, self.network.sizes
        self._check(info)
        assert request.shared is not None
        _, first, place = np.unique(request.shared, return_index=True, return_inverse=True)
        time = request.turn[first] * info.seats / info.max_decisions
        table = request.views.take(first).tables().reshape(len(first), -1)
        seen = np.column_stack([time, table]).astype(np.float32)
        with torch.no_grad():
            mean, std, value = self.network(torch.from_numpy(seen).to(self.device))
            noise = gaussian(request.shared[first][:, None], np.arange(sizes.parameters)).astype(np.float32)
            drawn = mean + std * torch.from_numpy(noise).to(self.device)
            logp = density(drawn, mean, std)
        xi = drawn.cpu().numpy()
        view = request.views.vectors().reshape(len(request), -1)
        action = self.rule.act(xi, place, view, gaussian(request.seed[:, None], np.arange(sizes.action)))
        columns = {"turn.seen": seen, "turn.xi": xi, "turn.logp": logp.double().cpu().numpy(), "turn.value": value.double().cpu().numpy()}
        shape = info.action.shape if isinstance(info.action, Box) else ()
        record = {name: column[place] for name, column in columns.items()}
        return answer(request, action.reshape(len(request), *shape), version=self.version, record=record)

    def _check(self, info: GameInfo) -> None:
        sizes = self.network.sizes
        if not isinstance(info.action, Box) or Sizes.of(info, sizes) != sizes:
            raise UserError(
                f"a swarm's rule for views of {sizes.view} numbers, tables of {sizes.table} and actions of {sizes.action} from "
                f"{sizes.low:g} to {sizes.high:g} cannot play {info.name} (vector {info.vector}, table {info.table}, {info.action}); "
                "train one on this game"
            )

    def save(self, folder: Path) -> None:
        """Weights and sizes, into an existing folder; ``load`` reads them."""
        save_json(folder / "agent.json", {"loader": "mean-field", "version": self.version, **asdict(self.network.sizes)})
        save_tensors(folder / "weights.safetensors", self.network.state_dict())


def load(folder: Path) -> RuleAgent:
    """What ``RuleAgent.save`` wrote."""
    about = load_json(folder / "agent.json")
    version = about.pop("version")
    sizes = Sizes(**{**{name: value for name, value in about.items() if name != "loader"}, "hidden": tuple(about["hidden"])})
    agent = RuleAgent(Network(sizes, 1.0, torch.Generator()), torch.device("cpu"))
    agent.network.load_state_dict(load_tensors(folder / "weights.safetensors"))
    agent.version = version
    return agent


class MeanFieldPPOAlgorithm:
    """The algorithm at work on one population."""

    requires = Requires(utility=("team",), action=(Box,), vector=True, table=True)

    def __init__(self, settings: MeanFieldPPO, setup: Setup) -> None:
        if len(setup.games) != 1:
            raise Unsuitable(f"dec-pomfppo learns one game at a time; got {', '.join(setup.games)}")
        self.settings, self.seed, self.spec = settings, setup.seed, setup.games[0]
        self.game = setup.load(self.spec)
        info = self.game.info
        self.requires.check("dec-pomfppo", info)
        if not info.anonymous or not info.simultaneous:
            raise Unsuitable(f"dec-pomfppo needs a population of exchangeable seats that move at once; {info.name} is none")
        start = torch.Generator().manual_seed(fold(self.seed, WEIGHTS) >> 1)
        self.device = device_of(settings.device)
        self.network = Network(Sizes.of(info, settings), settings.std, start).to(self.device)
        self.descent = Descent({"upper": self.network.upper, "value": self.network.value}, settings.lr, settings.max_norm)
        self.agent = RuleAgent(self.network, self.device)
        self.agents = {PLAYER: self.agent}
        self.unit = (info.returns[1] - info.returns[0]) / 10
        """Rewards are counted in it, so that values are numbers that a network starts near."""
        self.iteration = 0

    def plan(self, step: int) -> Sequence[Match]:
        """Of every match seat 0 is recorded: all seats share the rule, so one row a step tells all."""
        deals = deal_seed(fold(self.seed, DEALS, step), np.arange(self.settings.matches)).tolist()
        players = (PLAYER,) * self.game.info.seats
        return [Match(game=self.spec, seed=deal, players=players, learn=frozenset({0})) for deal in deals]

    def learn(self, batch: Batch) -> Mapping[str, float]:
        settings = self.settings
        cut = (batch["match.end"] == CUT)[batch.up("seat", "match")]
        rows = np.flatnonzero(batch["turn.learn"] & sampled(batch.starts["turn"], cut))
        left = max(0.0, 1 - self.iteration / settings.horizon)
        self.descent.rate(settings.lr * left)
        self.iteration += 1
        if not len(rows):
            return {"learned_steps": 0.0}
        sample, explained = self.sample(batch, cut, rows)
        logs = []
        for epoch in range(settings.epochs):
            order = generator(self.seed, SHUFFLE, self.iteration, epoch).permutation(len(rows))
            logs += [self.step(sample.take(part)) for part in np.array_split(order, -(-len(rows) // settings.minibatch))]
        self.agent.version = self.iteration
        past = min(1.0, self.iteration / settings.horizon)
        self.network.upper.get_buffer("std").fill_(settings.std ** (1 - past) * settings.last_std**past)
        taken = [log for log in logs if log is not None]
        means = {name: float(np.mean([log[name] for log in taken])) for name in taken[0]} if taken else {}
        return {**means, "explained_variance": explained, "learned_steps": float(len(rows)), "skipped_steps": float(len(logs) - len(taken))}

    def step(self, sample: Sample) -> dict[str, float] | None:
        """One gradient step, or None where the loss or its gradient is not finite: then the weights stay."""
        mean_BK, std, value_B = self.network(sample.seen_BT)
        parts = losses(mean_BK, std, value_B, sample, self.settings)
        return {name: value.item() for name, value in parts.items()} if self.descent.step(parts["loss"]) else None

    def sample(self, batch: Batch, cut: NDArray[np.bool_], rows: NDArray[np.int64]) -> tuple[Sample, float]:
        """The given turns with advantages, and the share of the targets' variance that the critic explains."""
        value, reward = batch["turn.value"], batch["turn.reward"] / self.unit
        advantage = advantages(reward, value, batch.starts["turn"], cut, self.settings.gamma, self.settings.lam)[rows]
        target = advantage + value[rows]
        explained = 1 - advantage.var() / max(target.var(), 1e-12)
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        columns = (batch["turn.seen"][rows], batch["turn.xi"][rows], batch["turn.logp"][rows], advantage, target)
        return Sample(*(torch.from_numpy(column.astype(np.float32)).to(self.device) for column in columns)), float(explained)

    def save(self, folder: Path) -> None:
        self.descent.save(folder)
        save_json(folder / "state.json", {"iteration": self.iteration})

    def load(self, folder: Path) -> None:
        self.descent.load(folder)
        self.iteration = self.agent.version = load_json(folder / "state.json")["iteration"]

    def save_agent(self, player: str, folder: Path) -> None:
        self.agents[player].save(folder)

    def save_past(self, player: str, folder: Path) -> None:
        self.save_agent(player, folder)
