"""Names with arguments, ``NAME(key=value, ...)``, for games that other libraries make: what goes to them, and what states facts."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, replace
from typing import Any

from marl_llm.errors import UserError
from marl_llm.game import GameInfo, Utility

_CALL = re.compile(r"(?P<name>[^()]+)(\((?P<arguments>.*)\))?", re.DOTALL)


@dataclass(frozen=True)
class Facts:
    """What such a library does not tell of a game, to be stated where it matters; see ``GameInfo``."""

    returns: tuple[float, float] | None = None
    max_decisions: int | None = None
    utility: Utility | None = None
    perfect_information: bool | None = None

    def over(self, other: Facts) -> Facts:
        """These facts, and the other's where these leave one out."""
        return replace(other, **self._stated())

    def put(self, info: GameInfo) -> GameInfo:
        """``info`` with these facts in it."""
        return replace(info, **self._stated())

    def _stated(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if value is not None}


def read(text: str) -> tuple[str, Facts, dict[str, Any]]:
    """The name, the facts and the other arguments of ``NAME(key=value, ...)``; UserError for anything else."""
    match = _CALL.fullmatch(text.strip())
    try:
        call: Any = ast.parse(f"f({(match and match['arguments']) or ''})", mode="eval").body
        if match is None or call.args:
            raise ValueError("expected names before values")
        values = {word.arg: word.value.id if isinstance(word.value, ast.Name) else ast.literal_eval(word.value) for word in call.keywords}
    except (SyntaxError, ValueError, AttributeError) as error:
        raise UserError(f"game {text!r} cannot be read; expected NAME or NAME(key=value, ...)") from error
    facts: dict[str, Any] = {name: values.pop(name) for name in list(values) if name in Facts.__dataclass_fields__}
    if "returns" in facts:
        facts["returns"] = tuple(facts["returns"])
    return match["name"].strip(), Facts(**facts), values
