"""QMIX and its relatives: a team learns one value of its joint action, mixed from a utility Q_i for every seat.

``iql`` mixes nothing: every seat learns its own Q from the common reward (Tan 1993). ``vdn`` adds: Q_tot = sum of Q_i (Sunehag
et al. 2018, arXiv 1706.05296). ``qmix`` is monotone in every Q_i and depends on the whole table s (Rashid et al. 2018, arXiv 1803.11485):

    Q_tot = ELU(q |W1(s)| + b1(s)) |W2(s)| + b2(s),    W1, W2, b2 two-layer networks of s, b1 a linear one

so each seat's own best action is its part of the best joint action of Q_tot. Targets are double Q-learning's, with the online
network's a*_i = argmax Q_i and Z_t = Q_tot^-(a*_t; s_t) of the target network, and TD(lambda) as in PyMARL2:

    G_t = r_t + gamma ((1 - lam) Z_{t+1} + lam G_{t+1}),    loss = mean of w (Q_tot - G)^2

``weight`` < 1 is CW-QMIX (WQMIX, Rashid et al. 2020, arXiv 2006.10800), which finds a best joint action that a monotone fit of uniform
data hides: G comes from an unrestricted critic Q*(s, a) learned beside, Z_t = Q*^-(a*_t; s_t), and samples that are neither the
greedy joint action nor better than it (G > Q*(s, a*)) count with that weight.

Design choices made here: the critic is a perceptron of the table and the joint action; utilities are perceptrons of the seat's view
and number, without memory; a seat that does not act in a joint step contributes 0 to the mixture, and IQL hands its target on to its
next turn.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from algorithms.buffer import Buffer, Episodes, episodes_of
from algorithms.nets import Descent, device_of, perceptron
from algorithms.parts import PLAYER
from algorithms.utilities import Sizes, Utilities, ValueAgent
from marl_llm.algorithm import Requires, Setup, Unsuitable
from marl_llm.checkpoint import load_json, load_tensors, save_json, save_tensors
from marl_llm.errors import UserError
from marl_llm.game import Game, GameInfo
from marl_llm.matches import Match, self_play
from marl_llm.records import Batch
from marl_llm.seeding import fold

DEALS, WEIGHTS, REPLAY = 1, 2, 3  # names of random streams


@dataclass(frozen=True, kw_only=True)
class QMIX:
    """Settings. Epsilon falls linearly from ``epsilon`` to ``epsilon_last`` over ``exploring`` of ``horizon``."""

    mixer: Literal["iql", "vdn", "qmix"] = "qmix"
    """How utilities make a joint value."""
    horizon: int = 500
    """Iterations that the schedule is laid over."""
    matches: int = 32
    """Matches an iteration."""
    updates: int = 8
    """Gradient steps an iteration; more learn faster from what was played and overfit it sooner."""
    batch: int = 32
    """Episodes a gradient step."""
    capacity: int = 5000
    """Episodes that are remembered."""
    hidden: tuple[int, ...] = (64, 64)
    """Widths of the hidden layers of the utilities."""
    embed: int = 32
    """Width of QMIX's mixture."""
    hyper: int = 64
    """Hidden width of the networks that make the mixture's weights from the table."""
    lr: float = 1e-3
    """Adam's step size."""
    gamma: float = 0.99
    """Discount a joint step."""
    lam: float = 0.6
    """TD's lambda: 0 trusts the value of the next step, 1 the return of what was played."""
    target_every: int = 200
    """Gradient steps between copies of the networks into the target networks."""
    epsilon: float = 1.0
    """Share of random actions at the start."""
    epsilon_last: float = 0.05
    """Share of random actions after exploring."""
    exploring: float = 0.5
    """Share of the horizon over which epsilon falls."""
    weight: float = 1.0
    """CW-QMIX's weight of samples that are no better than the greedy joint action; 0.1 is usual, 1 is QMIX."""
    critic: int = 256
    """Hidden width of CW-QMIX's critic."""
    max_norm: float = 10.0
    """Longest gradient, of the utilities and of the mixture each."""
    device: str = "cpu"
    """Where networks are kept and computed: cpu or cuda."""

    def build(self, setup: Setup) -> QMIXAlgorithm:
        return QMIXAlgorithm(self, setup)

    def epsilon_at(self, iteration: int) -> float:
        """The share of random actions in an iteration."""
        passed = min(1.0, iteration / max(1e-9, self.exploring * self.horizon))
        return self.epsilon + (self.epsilon_last - self.epsilon) * passed


def monotonic(q: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
    """ELU(q |w1| + b1) |w2| + b2: q [..., N], w1 [..., N, E], b1 and w2 [..., E], b2 [...] -> [...]; never falls where a q rises."""
    hidden = nn.functional.elu((q[..., None, :] @ w1.abs())[..., 0, :] + b1)
    return (hidden * w2.abs()).sum(-1) + b2


class Mixer(nn.Module):
    """Utilities [..., N] and table [..., S] to joint values [..., M]: M is N for ``iql``, else 1."""

    def __init__(self, settings: QMIX, seats: int, table: int, generator: torch.Generator) -> None:
        super().__init__()
        self.kind, self.embed = settings.mixer, settings.embed
        if self.kind == "qmix":
            inputs = table + 1  # a constant too: weights that begin at 0, as a table of zeros would have it, never move
            self.w1 = perceptron([inputs, settings.hyper, seats * self.embed], 1.0, generator, nn.ReLU)
            self.w2 = perceptron([inputs, settings.hyper, self.embed], 1.0, generator, nn.ReLU)
            self.b1 = perceptron([inputs, self.embed], 1.0, generator)
            self.b2 = perceptron([inputs, self.embed, 1], 1.0, generator, nn.ReLU)

    def forward(self, q: Tensor, table: Tensor) -> Tensor:
        if self.kind == "iql":
            return q
        if self.kind == "vdn":
            return q.sum(-1, keepdim=True)
        table = torch.cat([table, torch.ones_like(table[..., :1])], -1)
        w1 = self.w1(table).unflatten(-1, (q.shape[-1], self.embed))
        return monotonic(q, w1, self.b1(table), self.w2(table), self.b2(table)[..., 0])[..., None]


def targets(z_ETM: Tensor, reward_ET: Tensor, discount_ET: Tensor, acts_ETM: Tensor, length_E: Tensor, cut_E: Tensor, lam: float) -> Tensor:
    """G_t = r_t + discount_t ((1 - lam) Z_{t+1} + lam G_{t+1}), [E, T, M]; 0 beyond the end, Z at the last step of a cut episode."""
    g, follows = torch.zeros_like(z_ETM), torch.zeros_like(z_ETM[:, 0])
    for t in range(z_ETM.shape[1] - 1, -1, -1):
        last = (length_E == t + 1)[:, None]
        g_t = reward_ET[:, t, None] + discount_ET[:, t, None] * torch.where(last, 0.0, follows)
        g[:, t] = torch.where(last & cut_E[:, None], z_ETM[:, t], g_t)
        # a seat that does not act here has no value of its own: what reaches this step reaches through it
        follows = torch.where(acts_ETM[:, t], (1 - lam) * z_ETM[:, t] + lam * g[:, t], g[:, t])
    return g


def central_weight(target: Tensor, best: Tensor, greedy: Tensor, weight: float) -> Tensor:
    """CW-QMIX's weights: 1 for what is ``greedy`` or whose target is above ``best``, Q*'s value of the greedy joint action."""
    return torch.where(greedy | (target > best), 1.0, weight)


def loss(total: Tensor, target: Tensor, weight: Tensor | float = 1.0) -> Tensor:
    """Mean over samples of weight (total - target)^2."""
    return (weight * (total - target).square()).mean()


class Critic(nn.Module):
    """Q*(s, a): table [..., S], actions and who acts [..., N] to values [..., 1], without restriction."""

    def __init__(self, table: int, seats: int, actions: int, hidden: int, generator: torch.Generator) -> None:
        super().__init__()
        self.actions = actions
        self.net = perceptron([table + seats * actions, hidden, hidden, 1], 1.0, generator, nn.ReLU)

    def forward(self, table: Tensor, action: Tensor, acts: Tensor) -> Tensor:
        chosen = nn.functional.one_hot(action, self.actions) * acts[..., None]
        return self.net(torch.cat([table, chosen.flatten(-2).float()], -1))


class ValueLearner:
    """Utilities and a mixture, learned from replayed episodes."""

    def __init__(self, settings: QMIX, sizes: Sizes, seats: int, table: int, seed: int) -> None:
        self.settings, self.seats, self.seed, self.steps = settings, seats, seed, 0
        start = torch.Generator().manual_seed(fold(seed, WEIGHTS) >> 1)
        self.utilities = Utilities(sizes, start)
        self.mixer = Mixer(settings, seats, table, start)
        self.networks = nn.ModuleDict({"utilities": self.utilities, "mixer": self.mixer})
        self.critic = None
        if settings.weight < 1:
            self.critic = self.networks["critic"] = Critic(table, seats, sizes.actions, settings.critic, start)
        self.device = device_of(settings.device)
        self.networks.to(self.device)
        self.target = copy.deepcopy(self.networks).requires_grad_(False)
        learned = {name: net for name, net in self.networks.items() if any(True for _ in net.parameters())}
        self.descent = Descent(learned, settings.lr, settings.max_norm)
        self.buffer = Buffer(settings.capacity)

    def learn(self, episodes: Episodes) -> dict[str, float]:
        """Remember ``episodes`` and take an iteration's gradient steps; metrics."""
        self.buffer.add(episodes)
        if not len(self.buffer):
            return {"episodes": 0.0}
        drawn = (self.buffer.sample(self.settings.batch, self.seed, REPLAY, self.steps) for _ in range(self.settings.updates))
        logs = [log for log in map(self.step, drawn) if log is not None]
        means = {name: float(np.mean([log[name] for log in logs])) for name in logs[0]} if logs else {}
        return {**means, "episodes": float(len(self.buffer)), "skipped_steps": float(self.settings.updates - len(logs))}

    def step(self, episodes: Episodes) -> dict[str, float] | None:
        """One gradient step, or None where the loss or its gradient is not finite."""
        total, target, weight, critic = self.values(episodes)
        parts = {"loss": loss(total, target, weight), "q_total": total.mean(), "target": target.mean()}
        if critic is not None:
            parts["critic_loss"] = loss(critic, target)
        taken = self.descent.step(parts["loss"] + parts.get("critic_loss", 0.0))
        self.steps += 1
        if self.steps % self.settings.target_every == 0:
            self.target.load_state_dict(self.networks.state_dict())
        return {name: value.item() for name, value in parts.items()} if taken else None

    def values(self, episodes: Episodes) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Of every sample the joint value of what was done, its target, its weight, and the critic's value where there is one."""
        settings, critic = self.settings, self.critic
        names = ("view_ETNV", "table_ETS", "legal_ETNA", "acts_ETN", "action_ETN", "reward_ET", "length_E", "cut_E")
        given = (torch.from_numpy(getattr(episodes, name)).to(self.device) for name in names)
        view_ETNV, table_ETS, legal_ETNA, acts_ETN, action_ETN, reward_ET, length_E, cut_E = given
        seat_ETN = torch.arange(self.seats, device=self.device).expand(acts_ETN.shape)

        def mixed(mixer: nn.Module, q_ETNA: Tensor, action_ETN: Tensor) -> Tensor:
            return mixer(q_ETNA.gather(-1, action_ETN[..., None])[..., 0] * acts_ETN, table_ETS)

        q_ETNA = self.utilities(view_ETNV, seat_ETN)
        total_ETM = mixed(self.mixer, q_ETNA, action_ETN)
        acts_ETM = acts_ETN if settings.mixer == "iql" else acts_ETN.any(-1, keepdim=True)
        time_T = torch.arange(acts_ETN.shape[1], device=self.device)
        known_ETM = (time_T < (length_E - cut_E.long())[:, None])[..., None] & acts_ETM
        with torch.no_grad():
            best_ETN = q_ETNA.masked_fill(~legal_ETNA, -torch.inf).argmax(-1)
            if critic is None:
                z_ETM = mixed(self.target["mixer"], self.target["utilities"](view_ETNV, seat_ETN), best_ETN)
            else:
                z_ETM = self.target["critic"](table_ETS, best_ETN, acts_ETN)
            discount_ET = torch.from_numpy((settings.gamma**episodes.elapsed_ET).astype(np.float32)).to(self.device)
            g_ETM = targets(z_ETM, reward_ET.float(), discount_ET, acts_ETM, length_E, cut_E, settings.lam)
            weight_ETM = torch.ones_like(g_ETM)
            if critic is not None:
                greedy_ETM = ((action_ETN == best_ETN) | ~acts_ETN).all(-1, keepdim=True)
                weight_ETM = central_weight(g_ETM, critic(table_ETS, best_ETN, acts_ETN), greedy_ETM, settings.weight)
        value = None if critic is None else critic(table_ETS, action_ETN, acts_ETN)[known_ETM]
        return total_ETM[known_ETM], g_ETM[known_ETM], weight_ETM[known_ETM], value

    def save(self, folder: Path) -> None:
        """Everything that exact resuming needs, into an existing folder."""
        self.descent.save(folder)
        self.buffer.save(folder)
        save_tensors(folder / "target.safetensors", self.target.state_dict())
        save_json(folder / "learner.json", {"steps": self.steps})

    def load(self, folder: Path) -> None:
        """What ``save`` wrote."""
        self.descent.load(folder)
        self.buffer.load(folder)
        self.target.load_state_dict(load_tensors(folder / "target.safetensors"))
        self.steps = load_json(folder / "learner.json")["steps"]


def requires(settings: QMIX) -> Requires:
    """A team, and a table if the mixture depends on it; UserError for settings that do not go together."""
    if settings.weight < 1 and settings.mixer != "qmix":
        raise UserError(f"weight is {settings.weight} and mixer is {settings.mixer}; expected weight 1, or mixer qmix, which it repairs")
    return Requires(utility=("team",), vector=True, table=settings.mixer == "qmix")


def table_size(settings: QMIX, info: GameInfo) -> int:
    """Numbers of the table that the mixture depends on."""
    return int(np.prod(info.table)) if settings.mixer == "qmix" and info.table is not None else 0


class QMIXAlgorithm:
    """The algorithm at work on one game."""

    def __init__(self, settings: QMIX, setup: Setup) -> None:
        if len(setup.games) != 1:
            raise Unsuitable(f"qmix learns one game at a time; got {', '.join(setup.games)}")
        self.settings, self.seed, self.spec = settings, setup.seed, setup.games[0]
        self.game: Game = setup.load(self.spec)
        self.requires = requires(settings)
        self.requires.check(settings.mixer, self.game.info)
        info, table = self.game.info, table_size(settings, self.game.info)
        self.learner = ValueLearner(settings, Sizes.of(info, settings.hidden), info.seats, table, setup.seed)
        self.agent = ValueAgent(self.learner.utilities, table=table > 0)
        self.agent.epsilon = settings.epsilon_at(0)
        self.agents = {PLAYER: self.agent}
        self.iteration = 0

    def plan(self, step: int) -> Sequence[Match]:
        deals = fold(self.seed, DEALS, step)
        return list(self_play(self.spec, PLAYER, self.game.info.seats, self.settings.matches, deals))

    def learn(self, batch: Batch) -> Mapping[str, float]:
        sizes = self.learner.utilities.sizes
        log = self.learner.learn(episodes_of(batch, self.learner.seats, sizes.actions))
        explored = self.agent.epsilon
        self._at(self.iteration + 1)
        return {**log, "epsilon": explored}

    def _at(self, iteration: int) -> None:
        self.iteration = self.agent.version = iteration
        self.agent.epsilon = self.settings.epsilon_at(iteration)

    def save(self, folder: Path) -> None:
        self.learner.save(folder)
        save_json(folder / "state.json", {"iteration": self.iteration})

    def load(self, folder: Path) -> None:
        self.learner.load(folder)
        self._at(load_json(folder / "state.json")["iteration"])

    def save_agent(self, player: str, folder: Path) -> None:
        self.agents[player].save(folder)

    def save_past(self, player: str, folder: Path) -> None:
        self.save_agent(player, folder)
