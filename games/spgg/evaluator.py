"""What a contribution is worth: an exact checker in place of the paper's learned evaluator.

An answer is the last number, the last yes or no, or the expression behind the last "Answer:" of a text, to the end of the line.
``form`` is whether one is there. ``right`` is 1 for the right answer and 0 for any other, and for a function the share of arguments
at which its values are right; where no answer stands behind "Answer:" the whole text is read for one, and its last line for an
expression. ``better`` is whether 0.6 right + 0.2 form is more than the predecessor's (more than 0, for the first), or cannot be more.

    c = floor + (1 - floor) (0.6 right + 0.2 form + 0.2 better)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from games.spgg.expressions import NoExpression, parse, value
from games.spgg.tasks import Task

RIGHT, FORM, BETTER = 0.6, 0.2, 0.2
MARKED = re.compile(r"answer:[ \t]*([^\n]*)", re.IGNORECASE)
NUMBER = re.compile(r"-?\d+")
YES_NO = re.compile(r"\b(?:yes|no)\b", re.IGNORECASE)
DEFINED = re.compile(r"^f\(x\)\s*=")


@dataclass(frozen=True)
class Judged:
    """``answer`` in a form in which equal answers are equal texts, None where there is none; the two figures above."""

    answer: str | None
    right: float
    form: bool

    @property
    def quality(self) -> float:
        return RIGHT * self.right + FORM * self.form


NOTHING = Judged(None, 0.0, form=False)


def judge(task: Task, text: str) -> Judged:
    """What a text answers to a task."""
    marked = MARKED.findall(text)
    if marked and (answer := _answer(task, marked[-1])) is not None:
        return Judged(answer, _right(task, answer), form=True)
    answer = _answer(task, text)
    return NOTHING if answer is None else Judged(answer, _right(task, answer), form=False)


def contributions(task: Task, texts: Sequence[str], floor: float) -> list[float]:
    """What the seats contributed by their ``texts``, in their order."""
    judged = [judge(task, text) for text in texts]
    return [contribution(now, before, floor) for before, now in zip([NOTHING, *judged], judged, strict=False)]


def contribution(now: Judged, before: Judged, floor: float) -> float:
    """c above, of a seat that follows on ``before``."""
    better = now.quality > before.quality or now.quality == RIGHT + FORM
    return floor + (1 - floor) * (now.quality + BETTER * better)


def _answer(task: Task, text: str) -> str | None:
    if task.kind == "code":
        line = DEFINED.sub("", text.strip().rpartition("\n")[2].strip(" `.")).strip(" `")
        return line if _values(task, line) else None
    found = (NUMBER if task.kind == "arithmetic" else YES_NO).findall(text)
    if not found:
        return None
    return str(int(found[-1])) if task.kind == "arithmetic" and len(found[-1]) < 20 else str(found[-1]).lower()


def _right(task: Task, answer: str) -> float:
    if task.kind != "code":
        return float(answer == task.solution)
    return sum(found == wanted for found, (_, wanted) in zip(_values(task, answer), task.values, strict=True)) / len(task.values)


def _values(task: Task, expression: str) -> list[int | None]:
    """What a function gives at the arguments it is checked on, None where it has no value there; nothing if it is none."""
    try:
        function = parse(expression)
    except NoExpression:
        return []
    found: list[int | None] = []
    for x, _ in task.values:
        try:
            found.append(value(function, {"x": x}))
        except NoExpression:
            found.append(None)
    return found if any(y is not None for y in found) else []
