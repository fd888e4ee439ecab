"""A composed method at work: plan, play, credit, learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from algorithms import columns
from algorithms.base import make_policy
from algorithms.by_seat import LearnBySeat, SeatPolicies
from algorithms.columns import LEGAL
from algorithms.parts import PLAYER, Memory, Method, Running
from algorithms.rewards import unit_of
from marl_llm.agent import Agent
from marl_llm.algorithm import Requires, Setup, Unsuitable
from marl_llm.checkpoint import load_json, save_json
from marl_llm.errors import UserError
from marl_llm.game import Discrete, Text
from marl_llm.matches import Match
from marl_llm.records import Batch


class Composed:
    """The algorithm of a ``Method``: one player, with one policy or one for each seat."""

    requires = Requires(action=(Discrete, Text), message=True)

    def __init__(self, method: Method, setup: Setup) -> None:
        columns.check(method)
        self.method, self.setup = method, setup
        for spec in setup.games:
            self.requires.check(type(method).__name__, setup.load(spec).info)
        self.needed = columns.needed(method)
        self.credit = method.credit.start(setup)
        policies = [make_policy(setup, method.language, spread=bool({*LEGAL} & {*self.needed})) for _ in range(self._policies())]
        runnings = [method.learner.start(policy, method.loss, method.horizon, setup.seed) for policy in policies]
        together = method.learners == "seat"
        self.policy: Any = SeatPolicies(policies) if together else policies[0]
        self.running: Running = LearnBySeat(runnings) if together else runnings[0]
        self.agents: Mapping[str, Agent] = {PLAYER: self.policy.agent, **method.sampler.companions(self.policy.agent)}
        self.units = {spec: unit_of(setup.load(spec)) for spec in setup.games}
        self.memory: dict[str, Memory] = {"sampler": {}, "reward": {}, "credit": {}}
        self.step = 0

    def _policies(self) -> int:
        """How many there are."""
        if self.method.learners == "shared":
            return 1
        seats = {spec: self.setup.load(spec).info.seats for spec in self.setup.games}
        if len(set(seats.values())) > 1:
            raise Unsuitable(f"one learner a seat needs games of equally many seats; {', '.join(f'{s} has {n}' for s, n in seats.items())}")
        return next(iter(seats.values()))

    def _tell(self) -> None:
        """Give the player what the sampler has to say."""
        if notes := self.method.sampler.notes(self.setup, self.memory["sampler"]):
            if self.setup.model == "tabular":
                raise Unsuitable(
                    f"a {type(self.method.sampler).__name__} tells seats something, and a table reads nothing; give --model tiny"
                )
            self.policy.agent.told(notes)

    def plan(self, step: int) -> Sequence[Match]:
        self.step = step
        self._tell()
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
        figures = self.running.learn(batch, self.credit.assign(batch, self.memory["credit"]), self.step)
        return {**figures, "accepted": len(batch) / played}

    def save(self, folder: Path) -> None:
        self.policy.save(folder)
        self.running.save(folder)
        self.credit.save(folder)
        save_json(folder / "memory.json", self.memory)

    def load(self, folder: Path) -> None:
        self.policy.load(folder)
        self.running.load(folder)
        self.credit.load(folder)
        self.memory = load_json(folder / "memory.json")
        self._tell()

    def save_agent(self, player: str, folder: Path) -> None:
        self.policy.save_agent(folder)

    def save_past(self, player: str, folder: Path) -> None:
        self.policy.save_past(folder)
