"""Deals where the outcome is open: what is played is drawn by how often the player wins there.

An arm is a game, an opponent, and a length of opening. It stands for the prompt of the papers: deals are new ones each time, and opponents
of one kind stay what they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from algorithms.groups import Floats, success
from algorithms.parts import PLAYER, Memory, Sampler
from algorithms.samplers import against
from marl_llm.algorithm import Setup
from marl_llm.errors import UserError
from marl_llm.game import Spec
from marl_llm.matches import Match, self_play
from marl_llm.records import VOID, Batch
from marl_llm.seeding import fold, generator

TAG = "arm"
DRAWN = 7  # name of a random stream


@dataclass(frozen=True)
class Arm:
    """Something to play: ``opponent`` holds all seats but the player's, which is each in turn."""

    game: Spec
    opponent: str
    opening: int

    @property
    def name(self) -> str:
        return f"{self.game}|{self.opponent}|{self.opening}"


@dataclass(frozen=True, kw_only=True)
class Arms(Sampler):
    """Deals of some arms, each played several times."""

    deals: int = 64
    """Deals an iteration."""
    size: int = 8
    """Matches a deal."""
    opponents: tuple[str, ...] = ("random",)
    """Agents to meet beside the past policies of the run."""
    openings: tuple[int, ...] = (0,)
    """Lengths of openings, see ``Match.opening``."""
    every: int = 25
    """Iterations from one joining of the player's policy to the next; 0: past policies are not met."""
    past: int = 4
    """So many of them, the newest."""

    def arms(self, setup: Setup) -> list[Arm]:
        """All there are now."""
        members = list(setup.league.members)[-self.past :] if self.every and setup.league else []
        return [Arm(spec, name, n) for spec in setup.games for name in (*self.opponents, *members) for n in self.openings]

    def chosen(self, arms: Sequence[Arm], rng: np.random.Generator, memory: Memory) -> NDArray[np.int64]:
        """The arm of every deal, shape [deals]."""
        raise NotImplementedError

    def observed(self, name: str, won: float, played: float, memory: Memory) -> None:
        """An arm was played, and the player has won so often, a draw counting half."""
        raise NotImplementedError

    def plan(self, step: int, setup: Setup, memory: Memory) -> Sequence[Match]:
        if self.every and setup.league is None:
            raise UserError(f"{type(self).__name__} meets past policies, and nobody keeps any here; add --sampler.every 0")
        if self.every and setup.league and step % self.every == 0:
            setup.league.add(PLAYER, step)
        arms, planned = self.arms(setup), []
        if not arms:
            raise UserError("the sampler has nothing to play: expected sampler.opponents or sampler.every above 0, and sampler.openings")
        chosen = self.chosen(arms, generator(setup.seed, step, DRAWN), memory)
        for k in np.unique(chosen).tolist():
            arm, seats = arms[k], setup.load(arms[k].game).info.seats
            deals = self_play(arm.game, PLAYER, seats, int((chosen == k).sum()), fold(setup.seed, step, DRAWN, k), opening=arm.opening)
            for i, deal in enumerate(deals):
                seated = replace(against(deal, arm.opponent, (step + i) % seats), tags={TAG: arm.name})
                planned += [replace(seated, sample=sample) for sample in range(1, self.size + 1)]
        return planned

    def accept(self, batch: Batch, memory: Memory) -> Batch:
        match = batch.up("seat", "match")
        mine = batch["seat.learn"].astype(bool) & (batch["match.end"] != VOID)[match]
        name, won = batch.tag(TAG).astype(str)[match], success(batch)
        for arm in np.unique(name[mine]).tolist():
            here = mine & (name == arm)
            self.observed(arm, float(won[here].sum()), float(here.sum()), memory)
        return batch


@dataclass(frozen=True, kw_only=True)
class Vade(Arms):
    """VADE (arXiv 2511.18902): p ~ Beta(a, b) is drawn for every arm, and the arms of the largest p (1 - p)^2 are played. Of
    n matches with c won, a <- decay a + c and b <- decay b + n - c; opponents learn, so that what is old must be forgotten."""

    arms_played: int = 2
    """Arms an iteration."""
    decay: float = 0.9
    drift: float = 0.01
    """Share of its way back to a = b = 1 that every arm goes whenever one was played: the paper's second scale in our reading."""

    def __post_init__(self) -> None:
        if self.arms_played < 1:
            raise UserError(f"sampler.arms_played is {self.arms_played}; expected at least 1")

    def chosen(self, arms: Sequence[Arm], rng: np.random.Generator, memory: Memory) -> NDArray[np.int64]:
        a, b = (np.asarray([memory.get(f"{side} {arm.name}", 1.0) for arm in arms]) for side in "ab")
        best = np.argsort(-openness(rng.beta(a, b)), kind="stable")[: self.arms_played]
        return best[np.arange(self.deals) % len(best)]

    def observed(self, name: str, won: float, played: float, memory: Memory) -> None:
        for side, count in (("a", won), ("b", played - won)):
            memory[f"{side} {name}"] = self.decay * memory.get(f"{side} {name}", 1.0) + count

    def accept(self, batch: Batch, memory: Memory) -> Batch:
        accepted = super().accept(batch, memory)
        for name, value in memory.items():
            memory[name] = value + self.drift * (1.0 - value)
        return accepted


@dataclass(frozen=True, kw_only=True)
class VarianceAware(Arms):
    """Variance-aware sampling (MMR1; Leng et al. 2025, arXiv 2509.21268): a share of the deals is drawn by the variance p (1 - p) of
    winning on their arm, rescaled to [0, 1] over arms, the rest uniformly. The paper's second term, the diversity of answers, is off
    in its released configuration and left out here."""

    share: float = 0.5
    """Of deals drawn by variance."""
    refresh: int = 4
    """Iterations that p is measured over before it is used. An arm without a measurement counts as p = 1/2."""

    def __post_init__(self) -> None:
        if self.refresh < 1:
            raise UserError(f"sampler.refresh is {self.refresh}; expected at least 1 iteration")

    def chosen(self, arms: Sequence[Arm], rng: np.random.Generator, memory: Memory) -> NDArray[np.int64]:
        weight = variance_weights(np.asarray([memory.get(f"p {arm.name}", 0.5) for arm in arms]))
        by_variance = int(self.share * self.deals)
        drawn = rng.choice(len(arms), by_variance, p=weight / weight.sum())
        return np.concatenate([drawn, rng.choice(len(arms), self.deals - by_variance)])

    def observed(self, name: str, won: float, played: float, memory: Memory) -> None:
        for what, count in (("won", won), ("played", played)):
            memory[f"{what} {name}"] = memory.get(f"{what} {name}", 0.0) + count

    def accept(self, batch: Batch, memory: Memory) -> Batch:
        accepted = super().accept(batch, memory)
        memory["iterations"] = memory.get("iterations", 0.0) + 1
        if memory["iterations"] % self.refresh == 0:
            for name in [name.removeprefix("won ") for name in memory if name.startswith("won ")]:
                memory[f"p {name}"] = memory.pop(f"won {name}") / memory.pop(f"played {name}")
        return accepted


def openness(p: Floats) -> Floats:
    """p (1 - p)^2, largest at 1/3."""
    return p * np.square(1 - p)


def variance_weights(p: Floats) -> Floats:
    """p (1 - p), rescaled to [0, 1]; equal ones are all 1."""
    variance = p * (1 - p)
    spread = np.ptp(variance)
    return (variance - variance.min()) / spread if spread > 1e-9 else np.ones(len(p))
