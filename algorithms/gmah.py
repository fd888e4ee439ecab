"""GMAH: a team learns which subgoals its seats should pursue by a monotone mixture, and to reach subgoals by PPO.

After "goal mixing" (arXiv 2408.11416): a seat holds one of the subgoals that the game offers until it is reached. Above, QMIX takes
subgoals for actions, Q_tot = mix(Q_1(o_1, g_1), .., Q_n(o_n, g_n); s). Below, one actor-critic pi(a | o_i, g_i) is shared by all
seats and trained by PPO on reaching what is held. The source's multi-agent code was not published; the rest are design choices made here:

- seats choose when their own subgoal ends, reached or ``patience`` turns old. A joint choice is a step in which some seat chooses; the
  others take part with Q_i of the subgoal that they still hold. Between such steps, tau moves apart, the process is semi-Markov:
  y = sum over k < tau of gamma^k r_k + gamma^tau Q_tot^-(s', g'), g' the best choice of who chooses and what the others hold;
- below, a turn gains 1 if its subgoal is reached by the next turn and -``cost`` if not, and a subgoal's time is an episode of its
  own; at the end of a match, after which a seat sees nothing, a subgoal counts as reached if the team gained by the last move;
- subgoals are those of the game; none are made up while learning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from algorithms.buffer import Episodes, episodes_of, together
from algorithms.hierarchy import HierarchicalAgent, Lower
from algorithms.nets import Descent, mask, surrogate
from algorithms.parts import PLAYER
from algorithms.qmix import DEALS, QMIX, ValueLearner, requires, table_size
from algorithms.returns import advantages, sampled
from algorithms.utilities import Sizes
from marl_llm.algorithm import Setup, Unsuitable
from marl_llm.checkpoint import load_json, save_json
from marl_llm.game import Game, Subgoals
from marl_llm.matches import Match, self_play
from marl_llm.ragged import starts_of
from marl_llm.records import CUT, Batch
from marl_llm.seeding import fold, generator

LOWER, SHUFFLE = 11, 12  # names of random streams


@dataclass(frozen=True, kw_only=True)
class GMAH:
    """Settings of the level below; those of the run and of the level above are QMIX's."""

    upper: QMIX = field(default_factory=lambda: QMIX(updates=16, lam=0.0))
    """Matches, horizon, and how subgoals are learned to be chosen."""
    patience: int = 20
    """Turns after which a subgoal that was not reached is given up."""
    cost: float = 0.01
    """What a turn costs below while the subgoal is not reached."""
    hidden: tuple[int, ...] = (64, 64)
    """Widths of the hidden layers, of the policy and of the value each."""
    epochs: int = 4
    """Passes over an iteration's turns."""
    minibatch: int = 1024
    """Turns a gradient step."""
    lr: float = 1e-3
    """Adam's step size."""
    gamma: float = 0.99
    """Discount a turn below."""
    lam: float = 0.95
    """GAE's lambda."""
    clip: float = 0.2
    """How far a step may move an action's probability ratio from 1 before its gain stops counting."""
    entropy: float = 0.01
    """Pull towards playing every legal action equally often."""
    max_norm: float = 0.5
    """Longest gradient, of the policy and of the value each."""

    @property
    def horizon(self) -> int:
        return self.upper.horizon

    def build(self, setup: Setup) -> GMAHAlgorithm:
        return GMAHAlgorithm(self, setup)


@dataclass(frozen=True)
class Sample:
    """Turns as tensors: [B] turns, [I] inputs, [A] actions."""

    inputs_BI: Tensor
    legal_BA: Tensor
    action_B: Tensor
    old_B: Tensor
    """Log-probability of the action as sampled."""
    advantage_B: Tensor
    target_B: Tensor

    def take(self, rows: NDArray[np.int64]) -> Sample:
        """The given turns."""
        index = torch.from_numpy(rows).to(self.action_B.device)
        return Sample(*(column[index] for column in vars(self).values()))

    def to(self, device: torch.device) -> Sample:
        return Sample(*(column.to(device) for column in vars(self).values()))


def clipped(logp_BA: Tensor, value_B: Tensor, sample: Sample, clip: float, entropy: float) -> dict[str, Tensor]:
    """PPO's loss (Schulman et al. 2017, arXiv 1707.06347), ``loss``, with its parts, each a mean over turns."""
    ratio_B = (logp_BA.gather(1, sample.action_B[:, None])[:, 0] - sample.old_B).exp()
    gain_B = surrogate(ratio_B, sample.advantage_B, clip)
    parts = {
        "policy_loss": -gain_B.mean(),
        "value_loss": 0.5 * (value_B - sample.target_B).square().mean(),
        "entropy": -(logp_BA.exp() * logp_BA).sum(1).mean(),
    }
    return {"loss": parts["policy_loss"] + parts["value_loss"] - entropy * parts["entropy"], **parts}


def joint_choices(batch: Batch, seats: int, goals: int, gamma: float) -> Episodes:
    """The choices of subgoals as a semi-Markov process; of a seat that does not choose only what it holds is legal."""
    chose, goal = batch["turn.chose"], batch["turn.goal"]
    lengths = np.where(chose, goals, 1)
    starts = starts_of(lengths)
    open_ = np.arange(starts[-1]) - np.repeat(starts[:-1], lengths)
    columns = {name: values for name, values in batch.columns.items() if not name.startswith("legal.")}
    columns |= {"turn.action": goal, "legal.action": np.where(np.repeat(chose, lengths), open_, np.repeat(goal, lengths))}
    episodes = episodes_of(Batch(columns, {**batch.starts, "legal": starts}, batch.tables), seats, goals)
    return together(episodes, (episodes.legal_ETNA.sum(3) > 1).any(2), gamma)


def pursuits(batch: Batch, cost: float) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.bool_]]:
    """What every turn gains below, [turns]; where the time of each subgoal begins, [pursuits + 1]; and which of them were cut."""
    ends = batch.starts["turn"][1:][np.diff(batch.starts["turn"]) > 0] - 1  # the last turn of every match and seat
    reached = np.append(batch["turn.fired"][1:], False)
    reached[ends] = batch["turn.reward"][ends] > 0
    starts = np.append(np.flatnonzero(batch["turn.chose"]), len(reached))
    cut = np.zeros(len(reached), bool)
    cut[ends] = (batch["match.end"] == CUT)[batch.up("turn", "match")[ends]]
    return np.where(reached, 1.0, -cost), starts, cut[starts[1:] - 1]


class GMAHAlgorithm:
    """The algorithm at work on one game."""

    def __init__(self, settings: GMAH, setup: Setup) -> None:
        if len(setup.games) != 1:
            raise Unsuitable(f"gmah learns one game at a time; got {', '.join(setup.games)}")
        self.settings, self.seed, self.spec = settings, setup.seed, setup.games[0]
        self.game: Game = setup.load(self.spec)
        info, upper = self.game.info, settings.upper
        self.requires = requires(upper)
        self.requires.check("gmah", info)
        if not isinstance(self.game, Subgoals) or len(self.game.subgoals) < 2:
            raise Unsuitable(f"gmah needs a game that offers subgoals to choose from (marl_llm.game.Subgoals); {info.name} offers none")
        own, goals, table = Sizes.of(info, settings.hidden), len(self.game.subgoals), table_size(upper, info)
        self.upper = ValueLearner(upper, Sizes(own.view, own.seats, goals, upper.hidden), info.seats, table, setup.seed)
        self.lower = Lower(own, goals, torch.Generator().manual_seed(fold(self.seed, LOWER) >> 1)).to(self.upper.device)
        self.descent = Descent({"policy": self.lower.policy, "value": self.lower.value}, settings.lr, settings.max_norm)
        self.agent = HierarchicalAgent(self.upper.utilities, self.lower, settings.patience, table=table > 0)
        self.agents = {PLAYER: self.agent}
        self._at(0)

    def plan(self, step: int) -> Sequence[Match]:
        deals = fold(self.seed, DEALS, step)
        return list(self_play(self.spec, PLAYER, self.game.info.seats, self.settings.upper.matches, deals))

    def learn(self, batch: Batch) -> Mapping[str, float]:
        upper = self.upper.learn(joint_choices(batch, self.upper.seats, self.lower.goals, self.settings.upper.gamma))
        log = {**{f"upper_{name}": value for name, value in upper.items()}, **self._pursue(batch), "epsilon": self.agent.epsilon}
        self._at(self.iteration + 1)
        return log

    def _pursue(self, batch: Batch) -> dict[str, float]:
        """PPO on the time of every subgoal."""
        settings = self.settings
        gain, starts, cut = pursuits(batch, settings.cost)
        rows = np.flatnonzero(batch["turn.learn"] & sampled(starts, cut))
        if not len(rows):
            return {"learned_turns": 0.0}
        value = batch["turn.value"]
        advantage = advantages(gain, value, starts, cut, settings.gamma, settings.lam)[rows]
        target = advantage + value[rows]
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        view, seat, goal = (batch[f"turn.{name}"][rows] for name in ("view", "seat", "goal"))
        sample = Sample(
            self.lower.inputs(view, seat, goal, batch["turn.age"][rows] / settings.patience),
            torch.from_numpy(mask(batch.ragged("legal.action").take(rows), self.lower.sizes.actions)),
            torch.from_numpy(batch["turn.action"][rows]),
            *(torch.from_numpy(column.astype(np.float32)) for column in (batch["turn.logp"][rows], advantage, target)),
        ).to(self.upper.device)
        logs = []
        for epoch in range(settings.epochs):
            order = generator(self.seed, SHUFFLE, self.iteration, epoch).permutation(len(rows))
            for part in np.array_split(order, -(-len(rows) // settings.minibatch)):
                one = sample.take(part)
                logp_BA, value_B = self.lower(one.inputs_BI, one.legal_BA)
                parts = clipped(logp_BA, value_B, one, settings.clip, settings.entropy)
                if self.descent.step(parts["loss"]):
                    logs.append({name: value.item() for name, value in parts.items()})
        means = {f"lower_{name}": float(np.mean([log[name] for log in logs])) for name in logs[0]} if logs else {}
        reached = float((gain > 0).sum() / len(starts[1:]))
        return {**means, "reached": reached, "learned_turns": float(len(rows))}

    def _at(self, iteration: int) -> None:
        self.iteration = self.agent.version = iteration
        self.agent.epsilon = self.settings.upper.epsilon_at(iteration)

    def save(self, folder: Path) -> None:
        for name, part in (("upper", self.upper), ("lower", self.descent)):
            (folder / name).mkdir()
            part.save(folder / name)
        save_json(folder / "state.json", {"iteration": self.iteration})

    def load(self, folder: Path) -> None:
        self.upper.load(folder / "upper")
        self.descent.load(folder / "lower")
        self._at(load_json(folder / "state.json")["iteration"])

    def save_agent(self, player: str, folder: Path) -> None:
        self.agents[player].save(folder)

    def save_past(self, player: str, folder: Path) -> None:
        self.save_agent(player, folder)
