"""A composed method at work: plan, play, credit, learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from algorithms import columns
from algorithms.base import make_policy
from algorithms.parts import PLAYER, Memory, Method
from algorithms.rewards import unit_of
from marl_llm.agent import Agent
from marl_llm.algorithm import Requires, Setup
from marl_llm.checkpoint import load_json, save_json
from marl_llm.errors import UserError
from marl_llm.matches import Match
from marl_llm.records import Batch


class Composed:
    """The algorithm of a ``Method``: one player, one policy."""

    requires = Requires(message=True)

    def __init__(self, method: Method, setup: Setup) -> None:
        columns.check(method)
        self.method, self.setup = method, setup
        for spec in setup.games:
            self.requires.check(type(method).__name__, setup.load(spec).info)
        self.policy = make_policy(setup, method.language)
        self.running = method.learner.start(self.policy, method.loss, method.horizon, setup.seed)
        self.agents: Mapping[str, Agent] = {PLAYER: self.policy.agent}
        self.units = {spec: unit_of(setup.load(spec)) for spec in setup.games}
        self.needed = columns.needed(method)
        self.memory: dict[str, Memory] = {"sampler": {}, "reward": {}, "credit": {}}
        self.step = 0

    def plan(self, step: int) -> Sequence[Match]:
        self.step = step
        planned = self.method.sampler.plan(step, self.setup, self.memory["sampler"])
        if not planned:
            raise UserError(f"the sampler plans no matches: {self.method.sampler}; give it more")
        return planned

    def react(self, ended: Batch) -> Sequence[Match]:
        return self.method.sampler.react(ended, self.step, self.setup, self.memory["sampler"])

    def learn(self, batch: Batch) -> Mapping[str, float]:
        method, played = self.method, len(batch)
        batch = method.sampler.accept(batch, self.memory["sampler"])
        if not len(batch):
            return {"accepted": 0.0}
        batch = columns.derived(batch, self.needed)
        if columns.CRITIC in self.needed:
            batch = self.policy.values(batch)
        if columns.REFERENCE in self.needed:
            batch = self.running.referred(batch)
        for reward in (method.reward, *method.shaping):
            batch = reward.channels(batch, self.units, self.memory["reward"])
        figures = self.running.learn(batch, method.credit.assign(batch, self.memory["credit"]), self.step)
        return {**figures, "accepted": len(batch) / played}

    def save(self, folder: Path) -> None:
        self.policy.save(folder)
        self.running.save(folder)
        save_json(folder / "memory.json", self.memory)

    def load(self, folder: Path) -> None:
        self.policy.load(folder)
        self.running.load(folder)
        self.memory = load_json(folder / "memory.json")

    def save_agent(self, player: str, folder: Path) -> None:
        self.policy.save_agent(folder)

    def save_past(self, player: str, folder: Path) -> None:
        self.policy.save_past(folder)
