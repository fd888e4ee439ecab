"""Reading a move out of free text: the last well-formed answer counts, any text at all gets a verdict, in linear time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from marl_llm.agent import ILLEGAL, OK, TRUNCATED, UNPARSABLE

OPEN, CLOSE = "<move>", "</move>"
THINK, THOUGHT = "<think>", "</think>"


class Verdict(NamedTuple):
    """``place`` of the move among the legal ones (-1 if there is none) and the fault code, OK or why there is none."""

    place: int
    fault: int


def read_reply(reply: str, moves: Sequence[str], *, finished: bool = True) -> Verdict:
    """The move that ``reply`` makes by ``<move>...</move>``.

    What is thought does not count: only text after the last ``</think>``, and none while a thought is open. ``finished``
    is false for a reply that was cut at its limit; without an answer it is TRUNCATED, not UNPARSABLE. A move must equal a
    legal one but for case and white space around it.
    """
    said = reply[reply.rfind(THOUGHT) + len(THOUGHT) if THOUGHT in reply else 0 :]
    thinking = said.find(THINK)
    if thinking >= 0:
        said = said[:thinking]
    end = said.rfind(CLOSE)
    start = said.rfind(OPEN, 0, end) if end >= 0 else -1
    if start < 0:
        return Verdict(-1, UNPARSABLE if finished else TRUNCATED)
    answer = said[start + len(OPEN) : end].strip().casefold()
    for place, move in enumerate(moves):
        if answer == move.strip().casefold():
            return Verdict(place, OK)
    return Verdict(-1, ILLEGAL)
