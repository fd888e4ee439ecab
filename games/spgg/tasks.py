"""Tasks with exact answers, made from a seed: arithmetic, logic, and functions to be written from their values.

``level`` makes them harder: longer numbers and more terms, more operators, more deeply nested functions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from games.spgg.expressions import parse, value
from marl_llm.seeding import generator, name_key

HARDEST = 3
"""Beyond this level answers are longer than ``expressions`` takes."""
NAMES = "PQRST"
SHOWN, HIDDEN = (0, 1, 3, 6), (2, 5, 9, -4)
"""Arguments of a function whose values the task tells, and of those it is checked on besides."""


@dataclass(frozen=True)
class Task:
    """``question`` is what seats read and ``solution`` an answer that is right; ``form`` says how one is written. ``values`` has
    the values of a function that is asked for, by argument."""

    kind: str
    question: str
    form: str
    solution: str
    values: tuple[tuple[int, int], ...] = ()


def arithmetic(draws: np.random.Generator, level: int) -> Task:
    """Whole numbers of ``level`` digits, ``level`` + 1 of them, with + - and *."""
    numbers = draws.integers(1, 10**level, level + 1).tolist()
    text = str(numbers[0]) + "".join(f" {draws.choice(list('+-*'))} {number}" for number in numbers[1:])
    return Task("arithmetic", f"Compute {text}.", "a whole number", str(value(parse(text), {})))


def logic(draws: np.random.Generator, level: int) -> Task:
    """Statements, true or false, ``level`` + 2 of them, joined by operators; both answers are as likely."""
    wanted = bool(draws.integers(2))
    while True:
        truths = {name: int(draws.integers(2)) for name in NAMES[: level + 2]}
        formula = ""
        for name in truths:
            joined = f"({formula})" if " and " in formula or " or " in formula else formula
            formula = f"{joined} {draws.choice(['and', 'or'])} " if formula else ""
            formula += f"{draws.choice(['', 'not '])}{name}"
        if bool(value(parse(formula), truths)) == wanted:
            break
    told = ", ".join(f"{name} is {'true' if true else 'false'}" for name, true in truths.items())
    return Task("logic", f"{told}. Is this true: {formula}?", "yes or no", "yes" if wanted else "no")


def code(draws: np.random.Generator, level: int) -> Task:
    """A function of one whole number, told by four of its values; ``level`` - 1 times it is put into another one."""
    inner = "x"
    for _ in range(level):
        a, b = draws.integers(2, 6), draws.integers(1, 10)
        outer = ("{0} * {1} + {2}", "abs({0} - {2})", "max({0}, {2})", "{0} % {1}", "{0} * {1} - {2}", "{0} if {0} > {1} else {2}")
        inner = str(draws.choice(outer)).format(f"({inner})" if inner != "x" else inner, a, b)
    function = parse(inner)
    values = tuple((x, value(function, {"x": x})) for x in (*SHOWN, *HIDDEN))
    told = ", ".join(f"f({x}) = {y}" for x, y in values[: len(SHOWN)])
    return Task("code", f"{told}. Write f(x).", "a Python expression in x", inner, values)


MAKERS: dict[str, Callable[[np.random.Generator, int], Task]] = {"arithmetic": arithmetic, "logic": logic, "code": code}


def make(kind: str, level: int, seed: int) -> Task:
    """The task of a kind that ``seed`` stands for."""
    return MAKERS[kind](generator(seed, name_key(kind), level), level)
