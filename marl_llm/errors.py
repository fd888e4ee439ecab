"""Errors meant for the person at the keyboard: one line with the thing, the value, what was expected, and the fix."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from math import inf


class UserError(Exception):
    """Shown as one line without a traceback; the command exits with 2."""


class MissingExtra(UserError):
    """Something needs an optional package; the message has the pip line. ``then`` is what it goes on with."""

    def __init__(self, what: str, extra: str, distribution: str = "marl-llm", then: str = "") -> None:
        super().__init__(f"{what} needs the extra '{extra}': pip install '{distribution}[{extra}]'{then}")


def unknown(kind: str, value: str, known: Iterable[str]) -> UserError:
    """An unknown name, with the nearest known ones."""
    names = sorted(known)
    near = get_close_matches(value, names, n=3, cutoff=0.4)
    hint = f"did you mean {', '.join(near)}?" if near else f"known: {', '.join(names) or 'none (is the extra installed?)'}"
    return UserError(f"unknown {kind} {value!r}; {hint}")


def within(part: str, settings: object, low: float, high: float, *names: str) -> None:
    """UserError for one of the settings ``names`` that is not from ``low`` to ``high``."""
    for name in names:
        if not low <= (value := getattr(settings, name)) <= high:
            expected = f"at least {low:g}" if high == inf else f"{low:g} to {high:g}"
            raise UserError(f"{part}.{name} is {value}; expected {expected}")
