"""One policy and one learner a seat, for games whose seats have different things to learn; together they are one player.

Nothing is shared: every seat's parameters follow its own turns alone. Credit is given before they part, so that groups and critics may
still look at all seats.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from algorithms.parts import Credited, Policy, Running
from marl_llm.agent import Agent, Decision, Request
from marl_llm.agents.saved import load_agent
from marl_llm.checkpoint import load_json, save_json
from marl_llm.errors import UserError
from marl_llm.ragged import Ragged
from marl_llm.records import Batch


class BySeat:
    """Plays seat i as the i-th of ``agents`` does."""

    def __init__(self, agents: Sequence[Any]) -> None:
        self.agents = agents

    def _parts(self, request: Request) -> list[tuple[Agent, np.ndarray[Any, np.dtype[np.int64]]]]:
        """The agents that are asked, and the rows that each is asked."""
        seats, game = len(self.agents), request.views.game.info
        if game.seats != seats:
            raise UserError(f"a player with a policy for each of {seats} seats cannot play {game.name}, which has {game.seats}")
        return [(agent, rows) for seat, agent in enumerate(self.agents) if len(rows := np.flatnonzero(request.seat == seat))]

    def submit(self, request: Request) -> None:
        for agent, rows in self._parts(request):
            agent.submit(request.take(rows))

    def poll(self, wait_s: float) -> Sequence[Decision]:
        return [decision for agent in self.agents for decision in agent.poll(0.0)]

    def policy(self, request: Request) -> Ragged:
        parts = self._parts(request)
        order = np.argsort(np.concatenate([rows for _, rows in parts]))
        return Ragged.concat([agent.policy(request.take(rows)) for agent, rows in parts]).take(order)

    def told(self, notes: tuple[str, ...]) -> None:
        """Other notes from now on, see ``Speech``."""
        for agent in self.agents:
            agent.told(notes)


class SeatPolicies:
    """The policies of all seats, as far as a composed method deals with them itself; ``LearnBySeat`` trains them."""

    def __init__(self, policies: Sequence[Policy]) -> None:
        self.policies = policies
        self.agent = BySeat([policy.agent for policy in policies])

    def values(self, batch: Batch) -> Batch:
        """``batch`` with every seat's own critic's columns."""
        found = [policy.values(batch) for policy in self.policies]
        seat = batch["turn.seat"]
        columns = {}
        for name in ("turn.value", "token.value"):
            if name in found[0]:
                at = seat if name == "turn.value" else seat[batch.up("token", "turn")]
                columns[name] = np.select([at == k for k in range(len(found))], [one[name] for one in found])
        return batch.with_columns(**columns)

    def save(self, folder: Path) -> None:
        for policy, inside in zip(self.policies, _folders(folder, len(self.policies)), strict=True):
            policy.save(inside)

    def load(self, folder: Path) -> None:
        for policy, inside in zip(self.policies, _folders(folder, len(self.policies)), strict=True):
            policy.load(inside)

    def save_agent(self, folder: Path) -> None:
        """A folder a seat."""
        save_json(folder / "agent.json", {"loader": "by-seat", "seats": len(self.policies)})
        for policy, inside in zip(self.policies, _folders(folder, len(self.policies)), strict=True):
            policy.save_agent(inside)

    def save_past(self, folder: Path) -> None:
        save_json(folder / "agent.json", {"loader": "by-seat", "seats": len(self.policies)})
        for policy, inside in zip(self.policies, _folders(folder, len(self.policies)), strict=True):
            policy.save_past(inside)


class LearnBySeat:
    """The learners of all seats."""

    def __init__(self, runnings: Sequence[Running]) -> None:
        self.runnings = runnings

    def learn(self, batch: Batch, credited: Credited, step: int) -> Mapping[str, float]:
        """Every seat learns from its own turns; figures have the seat's number."""
        figures: dict[str, float] = {}
        for seat, running in enumerate(self.runnings):
            found = running.learn(_turns_of(batch, seat), credited, step)
            figures |= {f"{name}_{seat}": value for name, value in found.items()}
        return figures

    def referred(self, batch: Batch) -> Batch:
        found = [running.referred(_turns_of(batch, seat))["turn.reference"] for seat, running in enumerate(self.runnings)]
        return batch.with_columns(**{"turn.reference": np.choose(batch["turn.seat"], found)})

    def save(self, folder: Path) -> None:
        for running, inside in zip(self.runnings, _folders(folder, len(self.runnings)), strict=True):
            running.save(inside)

    def load(self, folder: Path) -> None:
        for running, inside in zip(self.runnings, _folders(folder, len(self.runnings)), strict=True):
            running.load(inside)


def _turns_of(batch: Batch, seat: int) -> Batch:
    """``batch`` with nothing to learn but the seat's own turns."""
    return batch.with_columns(**{"turn.learn": batch["turn.learn"] & (batch["turn.seat"] == seat)})


def _folders(folder: Path, seats: int) -> list[Path]:
    """One a seat, made where it is missing."""
    inside = [folder / f"seat{seat}" for seat in range(seats)]
    for one in inside:
        one.mkdir(exist_ok=True)
    return inside


def load(folder: Path) -> BySeat:
    """A saved player of several policies."""
    return BySeat([load_agent(folder / f"seat{seat}") for seat in range(load_json(folder / "agent.json")["seats"])])
