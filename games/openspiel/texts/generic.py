"""OpenSpiel's own words for any of its games: the observation where information is perfect, else the information state."""

from __future__ import annotations

from collections import Counter
from typing import Any

from marl_llm.game import Seat


class Generic:
    """Text of a game that has none by hand. A view tells what the policy's key tells, and nothing more."""

    def __init__(self, native: Any) -> None:
        self.native, self.kind = native, native.get_type()
        perfect = self.kind.information == type(self.kind).Information.PERFECT_INFORMATION
        self.observes = self.kind.provides_observation_string and (perfect or not self.kind.provides_information_state_string)

    def rules(self, seat: Seat) -> str:
        return f"This is the game {self.kind.long_name}. You are player {seat} of {self.native.num_players()}, counting from 0."

    def view(self, state: Any, seat: Seat) -> str:
        if self.observes:
            return state.observation_string(seat)
        if self.kind.provides_information_state_string:
            return state.information_state_string(seat)
        return str(state)

    def actions(self, state: Any, seat: Seat) -> list[str]:
        """OpenSpiel's names, each with its number where two legal actions share one."""
        legal = state.legal_actions(seat)
        names = [state.action_to_string(seat, action) for action in legal]
        count = Counter(names)
        return [name if count[name] == 1 else f"{name} ({action})" for name, action in zip(names, legal, strict=True)]
