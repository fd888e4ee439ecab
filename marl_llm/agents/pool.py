"""Agents by player name: the ones being trained, which are live, saved ones by their folders, and any other by its registry name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from marl_llm import registry
from marl_llm.agent import Agent
from marl_llm.agents.saved import load_agent

RESIDENT = 4
"""Saved agents that are kept in memory; the least recently used one gives way."""


class AgentPool:
    """``resolve`` gives the live agent of a player, the one loaded from its folder in ``saved``, or the registry's."""

    def __init__(self, live: Mapping[str, Agent] | None = None, saved: Mapping[str, Path] | None = None) -> None:
        self.live = live or {}
        self.saved: Mapping[str, Path] = {} if saved is None else saved  # not "or": a mapping still empty may fill later
        self._made: dict[str, Agent] = {}
        self._resident: dict[str, Agent] = {}

    def resolve(self, player: str) -> Agent:
        """The agent of ``player``, the same object as long as it is kept; UserError with the nearest names if there is none."""
        if player in self.live:
            return self.live[player]
        if player in self.saved:
            agent = self._resident.pop(player, None) or load_agent(self.saved[player])
            self._resident[player] = agent  # the newest stands last
            while len(self._resident) > RESIDENT:
                del self._resident[next(iter(self._resident))]
            return agent
        if player not in self._made:
            self._made[player] = registry.agent(player)
        return self._made[player]

    def release(self) -> None:
        """Keep no saved agent: whoever plays next is as it was saved, whatever it has computed since."""
        self._resident.clear()
