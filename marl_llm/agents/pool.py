"""Agents by player name: the ones being trained, which are live, and any other by its registry name, made once."""

from __future__ import annotations

from collections.abc import Mapping

from marl_llm import registry
from marl_llm.agent import Agent


class AgentPool:
    """``resolve`` gives the live agent of a player, else the registry's; the same object every time."""

    def __init__(self, live: Mapping[str, Agent] | None = None) -> None:
        self.live = live or {}
        self._made: dict[str, Agent] = {}

    def resolve(self, player: str) -> Agent:
        """The agent of ``player``; UserError with the nearest names if there is none."""
        if player in self.live:
            return self.live[player]
        if player not in self._made:
            self._made[player] = registry.agent(player)
        return self._made[player]
