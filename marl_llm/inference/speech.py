"""How a language model is asked, and how it answers."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

from marl_llm.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Speech:
    """Settings of a language model as a player."""

    reply: Literal["choose", "free"] = "choose"
    """Choose among the legal replies, or write freely and be read. What is said to others is written freely in both."""
    prompt: Literal["state", "history", "chat"] = "state"
    """What is asked: the current view; the seat's earlier views and moves as well; or a conversation that grows turn by turn."""
    max_new: int = 64
    """Most tokens of a free reply; of a message, if the game does not allow fewer."""
    notes: tuple[str, ...] = ()
    """What each seat is told after the rules, one text a seat, such as advice; or nothing."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "notes", tuple(self.notes))
        if self.max_new < 1:
            raise UserError(f"max_new is {self.max_new}; expected at least 1 token for a reply")

    def json(self) -> dict[str, Any]:
        """For a JSON file; ``Speech(**...)`` reads it back."""
        return {setting.name: getattr(self, setting.name) for setting in fields(Speech)}


CHOOSE = Speech()
"""As a language model plays unless told."""
