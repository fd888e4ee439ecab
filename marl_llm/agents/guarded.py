"""An agent among strangers: what it raises, or answers out of form, becomes a ``crash`` fault of the decision at hand.

Errors meant for the person who chose the agent (``UserError``) and a game's own fault (``BrokenView``) pass through.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from marl_llm.agent import CRASH, Agent, Decision, Request
from marl_llm.boards import BrokenView
from marl_llm.errors import UserError
from marl_llm.ragged import Ragged


class Guarded:
    """``agent``, with every exception turned into a fault of its own rows and a warning that names the agent."""

    def __init__(self, agent: Agent, name: str) -> None:
        self.agent, self.name = agent, name
        self._open: dict[int, Any] = {}
        """Memory of every row that waits for its answer."""
        self._crashed: list[int] = []

    def submit(self, request: Request) -> None:
        self._open.update(zip(request.id.tolist(), request.memory, strict=True))
        try:
            self.agent.submit(request)
        except (BrokenView, UserError):
            self._close(request.id.tolist())
            raise
        except (Exception, SystemExit) as error:
            if len(request) == 1:
                self._warn(f"raised {type(error).__name__}: {error}")
                self._crashed += request.id.tolist()
            else:  # agents hold nothing of a match, so the rows can be asked again one by one, and only the bad ones fail
                for row in range(len(request)):
                    self.submit(request.take(np.asarray([row])))

    def poll(self, wait_s: float) -> Sequence[Decision]:
        decisions = []
        try:
            for decision in self.agent.poll(0.0 if self._crashed else wait_s):
                if sound(decision, self._open):
                    self._close(decision.id.tolist())
                    decisions.append(decision)
                else:
                    self._warn("answered out of form")
                    self._crashed += self._open
        except (BrokenView, UserError):
            raise
        except (Exception, SystemExit) as error:
            self._warn(f"raised {type(error).__name__}: {error}")
            self._crashed += self._open
        crashed = [row for row in dict.fromkeys(self._crashed) if row in self._open]
        self._crashed = []
        if crashed:
            nothing, fault = np.full(len(crashed), -1), np.full(len(crashed), CRASH, np.int8)
            decisions.append(Decision(np.asarray(crashed), nothing, fault, self._close(crashed)))
        return decisions

    def _warn(self, what: str) -> None:
        warnings.warn(f"agent {self.name} {what}", stacklevel=3)

    def _close(self, rows: Iterable[int]) -> list[Any]:
        return [self._open.pop(row) for row in rows]

    def policy(self, request: Request) -> Ragged:
        return self.agent.policy(request)


def sound(decision: Decision, asked: Mapping[int, Any]) -> bool:
    """Whether a decision answers rows that were asked, each once, in columns of one length."""
    ids = decision.id.tolist()
    columns = (decision.action, decision.fault, decision.memory)
    return len(set(ids)) == len(ids) and all(row in asked for row in ids) and all(len(column) == len(ids) for column in columns)
