"""How a language model is asked, and how it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Speech:
    """Settings of a language model as a player."""

    reply: Literal["choose", "free"] = "choose"
    """Choose among the legal replies, or write freely and be read."""
    prompt: Literal["state", "history", "chat"] = "state"
    """What is asked: the current view; the seat's earlier views and moves as well; or a conversation that grows turn by turn."""
    max_new: int = 64
    """Most tokens of a free reply."""
