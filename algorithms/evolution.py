"""ESSA: evolution instead of gradients, on singular values of a model's linear layers (arXiv 2507.04453).

    W = U diag(s) V',   candidate x:  W(x) = U diag(s (1 + x)) V' on the largest ``rank`` values,   fitness = mean return

searched by CMA-ES (``cma_es``). All candidates of a generation play the same deals with the same draws, so that they differ by what
they do alone. The source is the paper's abstract and reviews: that each value moves in proportion to itself, population, step size and
rank are our reading; the paper evolves the singular values of adapters that were trained by examples before, of which a game has none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from algorithms.base import make_policy
from algorithms.cma_es import CMAES
from algorithms.groups import cell_mean
from algorithms.parts import PLAYER, Language, Sampler
from algorithms.samplers import SelfPlay
from marl_llm.agent import Agent
from marl_llm.algorithm import Requires, Setup, Unsuitable
from marl_llm.checkpoint import load_json, load_tensors, save_json, save_tensors
from marl_llm.errors import UserError
from marl_llm.matches import Match
from marl_llm.records import Batch
from marl_llm.seeding import fold

CANDIDATE = "candidate"
"""Tag of a match: who plays it."""
SEARCH = 21  # name of a random stream


@dataclass(frozen=True, kw_only=True)
class ESSA:
    """Settings."""

    sampler: Sampler = field(default_factory=lambda: SelfPlay(matches=64))
    """The matches that every candidate plays."""
    against: str = ""
    """An agent that holds all seats but one, in which a candidate plays, each seat in turn; if left out a candidate plays all."""
    population: int = 16
    """Candidates a generation, which is an iteration."""
    sigma: float = 0.1
    """First deviation of a candidate's relative changes."""
    rank: int = 4
    """Largest singular values of every linear layer that are searched."""
    language: Language = field(default_factory=Language)
    horizon: int = 100

    def __post_init__(self) -> None:
        if self.population < 4:
            raise UserError(f"population is {self.population}; expected at least 4 candidates, of which half are parents")

    def build(self, setup: Setup) -> Evolution:
        return Evolution(self, setup)


class Spectrum:
    """The largest singular values of a model's linear layers, as changes from what they are at first."""

    def __init__(self, model: Any, rank: int) -> None:
        layers = [layer for layer in model.get_decoder().modules() if isinstance(layer, torch.nn.Linear)]
        self.weights = [layer.weight for layer in layers]
        self.first = [weight.detach().clone() for weight in self.weights]
        parts = [torch.linalg.svd(weight.float(), full_matrices=False) for weight in self.first]
        self.left = [u[:, :rank] * s[:rank] for u, s, _ in parts]
        self.right = [v[:rank] for _, _, v in parts]
        self.sizes = [len(v) for v in self.right]

    @torch.no_grad()
    def put(self, changes: NDArray[np.float64]) -> None:
        """Give the model the relative ``changes`` [sum of sizes]."""
        each = torch.from_numpy(changes).float().split(self.sizes)
        for weight, first, left, right, change in zip(self.weights, self.first, self.left, self.right, each, strict=True):
            weight.copy_(first + (left * change) @ right)


class Evolution:
    """The algorithm at work: a generation an iteration, whose candidates play one after the other."""

    requires = Requires(message=True)

    def __init__(self, settings: ESSA, setup: Setup) -> None:
        if setup.model == "tabular":
            raise Unsuitable("essa evolves the linear layers of a language model; give --model tiny or a model's folder")
        for spec in setup.games:
            info = setup.load(spec).info
            self.requires.check("essa", info)
            if info.utility == "zero_sum" and not settings.against:
                raise Unsuitable(
                    f"what a candidate gains from itself is always 0 in {info.name}; name an opponent, such as --against random"
                )
        self.settings, self.setup, self.step = settings, setup, 0
        self.policy = make_policy(setup, settings.language)
        self.agent = cast(Any, self.policy.agent)
        self.spectrum = Spectrum(self.agent.model, settings.rank)
        self.search = CMAES(sum(self.spectrum.sizes), settings.population, settings.sigma, fold(setup.seed, SEARCH))
        self.candidates = self.search.ask()
        self.agents: Mapping[str, Agent] = {PLAYER: self.agent}

    def plan(self, step: int) -> Sequence[Match]:
        self.step, self.candidates = step, self.search.ask()
        return self._matches(0)

    def react(self, ended: Batch) -> Sequence[Match]:
        played = len(np.unique(ended.tag(CANDIDATE)))
        return self._matches(played) if played < self.settings.population else ()

    def _matches(self, candidate: int) -> list[Match]:
        """Let a candidate play: those of the sampler, the same for all."""
        self._put(self.candidates[candidate])
        matches = self.settings.sampler.plan(self.step, self.setup, {})
        return [replace(self._seated(match, k), tags={CANDIDATE: str(candidate)}) for k, match in enumerate(matches)]

    def _seated(self, match: Match, k: int) -> Match:
        if not self.settings.against:
            return match
        seats = len(match.players)
        players = tuple(PLAYER if seat == k % seats else self.settings.against for seat in range(seats))
        return replace(match, players=players, learn=match.learn & {k % seats})

    def learn(self, batch: Batch) -> Mapping[str, float]:
        candidate = batch.tag(CANDIDATE).astype(np.int64)[batch.up("seat", "match")]
        returns = cell_mean(candidate, batch["seat.return"], batch["seat.learn"].astype(bool))
        fitness = np.zeros(self.settings.population)
        fitness[candidate] = returns
        self.search.tell(self.candidates, fitness)
        self._put(self.search.mean)
        return {"fitness": float(fitness.mean()), "fitness_best": float(fitness.max()), "sigma": float(self.search.state["sigma"])}

    def _put(self, changes: NDArray[np.float64]) -> None:
        self.spectrum.put(changes)
        self.agent.updated()

    def save(self, folder: Path) -> None:
        save_tensors(folder / "search.safetensors", {name: torch.from_numpy(value.copy()) for name, value in self.search.state.items()})
        save_json(folder / "version.json", self.agent.version)

    def load(self, folder: Path) -> None:
        self.search.state = {name: value.numpy() for name, value in load_tensors(folder / "search.safetensors").items()}
        self._put(self.search.mean)
        self.agent.version = load_json(folder / "version.json")

    def save_agent(self, player: str, folder: Path) -> None:
        """The model where the search is."""
        self._put(self.search.mean)  # a run that was interrupted had a candidate in play
        self.policy.save_agent(folder)

    def save_past(self, player: str, folder: Path) -> None:
        self.save_agent(player, folder)
