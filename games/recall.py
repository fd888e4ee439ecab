"""Keys for seats whose policy may depend on all that they have observed and done: as long at the end of a match as at its start."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from marl_llm.answers import plain
from marl_llm.game import Action, Seat


class Recall:
    """Each seat's own history of observations and actions, as digests: equal for equal histories and, but for a chance of
    2**-128, for no others."""

    def __init__(self, past: dict[Seat, bytes] | None = None) -> None:
        self.past = past or {}

    def key(self, seat: Seat, observed: bytes) -> str:
        """What names the seat's history up to what it observes now."""
        return f"{seat}:{_digest(self.past.get(seat, b''), observed).hex()}"

    def acted(self, seat: Seat, observed: bytes, action: Action) -> None:
        """Add a decision to the seat's history."""
        self.past[seat] = _digest(self.past.get(seat, b""), observed, repr(plain(action)).encode())

    def copy(self) -> Recall:
        return Recall(dict(self.past))


def _digest(*parts: Any) -> bytes:
    digest = blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.digest()
