"""Reading a move out of free text: the last well-formed answer counts, any text at all gets a verdict, in linear time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import numpy as np

from marl_llm.agent import ILLEGAL, OK, TRUNCATED, UNPARSABLE
from marl_llm.game import Action, Box, Factored, Text

OPEN, CLOSE = "<move>", "</move>"
THINK, THOUGHT = "<think>", "</think>"
NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


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
    marked = _marked(outspoken(reply))
    if marked is None:
        return Verdict(-1, UNPARSABLE if finished else TRUNCATED)
    answer = marked.strip().casefold()
    for place, move in enumerate(moves):
        if answer == move.strip().casefold():
            return Verdict(place, OK)
    return Verdict(-1, ILLEGAL)


def outspoken(reply: str) -> str:
    """What is said beside what is thought."""
    said = reply[reply.rfind(THOUGHT) + len(THOUGHT) if THOUGHT in reply else 0 :]
    thinking = said.find(THINK)
    return said if thinking < 0 else said[:thinking]


def _marked(said: str) -> str | None:
    end = said.rfind(CLOSE)
    start = said.rfind(OPEN, 0, end) if end >= 0 else -1
    return None if start < 0 else said[start + len(OPEN) : end]


def read_open(reply: str, kind: Factored | Box | Text, *, finished: bool = True) -> tuple[Action, int]:
    """An open answer and its fault code: all that is said (Text; cut at a limit it stands as it is), or the numbers between
    ``<move>`` and ``</move>``."""
    said = outspoken(reply)
    if isinstance(kind, Text):
        return said.strip(), OK
    answer = _marked(said)
    if answer is None:
        return None, UNPARSABLE if finished else TRUNCATED
    return numbers(answer, kind)


def numbers(text: str, kind: Factored | Box) -> tuple[Action, int]:
    """The numbers in a text as an action."""
    found = NUMBER.findall(text)
    whole = isinstance(kind, Factored)
    shape = (len(kind.sizes),) if isinstance(kind, Factored) else kind.shape
    if len(found) != prod(shape) or (whole and not all(word.lstrip("+-").isdigit() for word in found)):
        return None, ILLEGAL
    return np.asarray(found, np.int64 if whole else np.float32).reshape(shape), OK
