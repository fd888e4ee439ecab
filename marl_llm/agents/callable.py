"""A plain function as an agent: ``module:choose`` with ``choose(text, legal) -> move``.

``text`` is what the seat sees, ``legal`` the legal moves as text; the answer is one of them, or free text that gives one
as ``<move>...</move>``. Where ``legal`` is empty it is what the seat says, or the numbers of a Factored or Box action. Any
other answer is an illegal or unparsable move, an exception a crash: faults of that match, for its rules to handle.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from marl_llm.agent import CRASH, ILLEGAL, OK, Agent, Decision, Immediate, Request
from marl_llm.answers import column, nothing, open_kind
from marl_llm.errors import UserError
from marl_llm.game import Box, Factored, Text
from marl_llm.inference.reply import OPEN, numbers, read_reply

Choose = Callable[[str, Sequence[str]], Any]


class CallableAgent(Immediate):
    def __init__(self, choose: Choose, name: str = "callable") -> None:
        super().__init__()
        self.choose, self.name = choose, name

    def decide(self, request: Request) -> Decision:
        info = request.views.game.info
        answers = [
            self._answer(text, legal, request.legal[i].tolist(), open_kind(info))
            for i, (text, legal) in enumerate(zip(request.views.texts(), request.views.action_texts(), strict=True))
        ]
        action = column(info, [nothing(info) if fault else action for action, fault in answers])
        return Decision(request.id, action, np.asarray([fault for _, fault in answers], np.int8), [None] * len(request))

    def _answer(self, text: str, legal: list[str], actions: list[Any], kind: Factored | Box | Text | None) -> tuple[Any, int]:
        try:
            move = self.choose(text, legal)
        except Exception as error:  # the function's own fault is data, not ours to die of
            warnings.warn(f"{self.name} raised {type(error).__name__}: {error}", stacklevel=2)
            return None, CRASH
        if kind is not None and not legal:
            return _open(move, kind)
        if move in legal:
            return actions[legal.index(move)], OK
        place, fault = read_reply(move, legal) if isinstance(move, str) and OPEN in move else (-1, ILLEGAL)
        return actions[place], fault


def _open(said: Any, kind: Factored | Box | Text) -> tuple[Any, int]:
    if isinstance(kind, Text):
        return (said, OK) if isinstance(said, str) else (None, ILLEGAL)
    if isinstance(said, str):
        return numbers(said, kind)
    shape, dtypes = (kind.shape, "iuf") if isinstance(kind, Box) else ((len(kind.sizes),), "iu")
    found = np.asarray(said)
    return (found, OK) if found.shape == shape and found.dtype.kind in dtypes else (None, ILLEGAL)


def agent_of(found: Any, name: str) -> Agent:
    """The agent that ``found`` is, makes (a class of agents), or becomes (a function)."""
    if isinstance(found, type) and hasattr(found, "submit"):
        return found()
    if hasattr(found, "submit") and hasattr(found, "poll"):
        return found
    if callable(found) and not isinstance(found, type):
        return CallableAgent(found, name)
    raise UserError(f"agent {name!r} is a {type(found).__name__}; expected a function (text, legal) -> move, or an Agent")
