"""Clocks: what an agent takes too long for is a ``timeout``, whether its answer comes late or never.

A clock runs while its agent has open questions, and the time up to an answer is shared by the questions it answers: an agent
that is asked about many matches at once, or one after the other, pays for each what it would pay alone. Where no answer
comes for as long as all open questions may take together, all of them have timed out. Time that the host spends elsewhere
counts only if the agent has still not answered at its end, and then at most ``STALL_S``: the host's stalls are nobody's fault.

The time used in a match travels in the agent's memory, as everything does that an agent knows of a match.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from time import monotonic
from typing import Any

import numpy as np

from marl_llm.agent import OK, TIMEOUT, Agent, Decision, Request
from marl_llm.errors import UserError
from marl_llm.ragged import Ragged

STALL_S = 1.0


@dataclass(frozen=True)
class Clock:
    """Seconds that an agent may take for a move, and for all its moves of a match; None is no limit."""

    move_s: float | None = None
    match_s: float | None = None

    def __post_init__(self) -> None:
        for name, seconds in (("move-s", self.move_s), ("match-s", self.match_s)):
            if seconds is not None and not 0 < seconds < inf:
                raise UserError(f"--clock.{name} is {seconds:g}; expected a number of seconds above 0, or leave it out")

    @property
    def runs(self) -> bool:
        """Whether there is any limit."""
        return self.move_s is not None or self.match_s is not None

    def left(self, used_s: float) -> float:
        """Seconds for the next move of an agent that has used some."""
        return min(inf if self.move_s is None else self.move_s, inf if self.match_s is None else self.match_s - used_s)


@dataclass(frozen=True)
class _Open:
    """A question that waits: the agent's memory, and seconds used before and left for it."""

    memory: Any
    used_s: float
    left_s: float


class Clocked:
    """``agent`` under a clock. It must answer only what it is asked, as a ``Guarded`` one does."""

    def __init__(self, agent: Agent, clock: Clock) -> None:
        self.agent, self.clock = agent, clock
        self._open: dict[int, _Open] = {}
        self._late: list[int] = []
        """Questions that had no time left when they were asked."""
        self._spent_s = self._seen_s = 0.0
        """Time since the last answer, and the moment when the agent was last given time."""

    def submit(self, request: Request) -> None:
        used = [memory.used_s if isinstance(memory, _Used) else 0.0 for memory in request.memory]
        own = [memory.memory if isinstance(memory, _Used) else memory for memory in request.memory]
        asked = [_Open(mine, before, self.clock.left(before)) for mine, before in zip(own, used, strict=True)]
        if not self._open:
            self._spent_s = 0.0
        self._open.update(zip(request.id.tolist(), asked, strict=True))
        self._late += [row for row, one in zip(request.id.tolist(), asked, strict=True) if one.left_s <= 0]
        rows = np.flatnonzero([one.left_s > 0 for one in asked])
        if len(rows):
            budget = min(asked[row].left_s for row in rows.tolist())
            begun = monotonic()
            try:
                self.agent.submit(replace(request, memory=own, budget_s=budget).take(rows))
            except BaseException:  # a broken view: all are asked again
                self._open = {row: one for row, one in self._open.items() if row not in request.id}
                self._late = [row for row in self._late if row in self._open]
                raise
            self._seen_s = monotonic()
            self._spent_s += self._seen_s - begun

    def poll(self, wait_s: float) -> Sequence[Decision]:
        late, self._late = self._late, []
        begun = monotonic()
        away, asked = begun - self._seen_s, len(self._open) > len(late)
        decisions = self.agent.poll(0.0 if late else wait_s) if asked else []
        self._seen_s = monotonic()
        self._spent_s += self._seen_s - begun
        known = [decision.take(np.flatnonzero(np.isin(decision.id, list(self._open)))) for decision in decisions]
        known = [decision for decision in known if len(decision.id)]  # the others come after their time was up
        answered = sum(len(decision.id) for decision in known)
        if answered:
            known = [self._charged(decision, self._spent_s / answered) for decision in known]
            self._spent_s = 0.0
        elif asked:
            self._spent_s += min(away, STALL_S)
            waiting = {row: one for row, one in self._open.items() if one.left_s > 0}
            if self._spent_s > sum(one.left_s for one in waiting.values()):
                known.append(self._timeout(list(waiting), self._spent_s / len(waiting)))
                self._spent_s = 0.0
        if late:
            known.append(self._timeout(late, 0.0))
        return known

    def _charged(self, decision: Decision, seconds: float) -> Decision:
        """The answers with the time they took; a late one is a timeout, whatever it says."""
        asked = [self._open.pop(row) for row in decision.id.tolist()]
        late = np.asarray([seconds > one.left_s for one in asked])
        fault = np.where(late & (decision.fault == OK), TIMEOUT, decision.fault).astype(np.int8)
        memory = [_Used(mine, one.used_s + seconds) for mine, one in zip(decision.memory, asked, strict=True)]
        return replace(decision, fault=fault, memory=memory)

    def _timeout(self, rows: list[int], seconds: float) -> Decision:
        asked = [self._open.pop(row) for row in rows]
        memory = [_Used(one.memory, one.used_s + seconds) for one in asked]
        return Decision(np.asarray(rows), np.full(len(rows), -1), np.full(len(rows), TIMEOUT, np.int8), memory)

    def policy(self, request: Request) -> Ragged:
        return self.agent.policy(request)


@dataclass(frozen=True)
class _Used:
    """An agent's memory, and the seconds it has used in the match."""

    memory: Any
    used_s: float
