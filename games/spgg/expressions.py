"""Small expressions in Python's notation, read by Python's parser and computed here: what a model writes is never executed.

Whole numbers, truth values and named variables; + - * // %, comparisons, and, or, not, ``a if b else c``, abs, min, max.
"""

from __future__ import annotations

import ast
import operator
import warnings
from collections.abc import Callable, Mapping
from typing import Any

LONGEST = 200
"""Characters of an expression."""
LARGEST = 10**12
"""Beyond it no number goes, so none takes long to compute."""
BINARY: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
UNARY: dict[type[ast.unaryop], Callable[[int], int]] = {ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Not: operator.not_}
COMPARED: dict[type[ast.cmpop], Callable[[int, int], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
CALLED: dict[str, Callable[..., int]] = {"abs": abs, "min": min, "max": max}


class NoExpression(ValueError):
    """The text is none of these expressions, or has no value."""


def parse(text: str) -> ast.expr:
    """What ``value`` computes; NoExpression for what Python cannot read, or is too long."""
    if len(text) > LONGEST:
        raise NoExpression(f"{len(text)} characters; expected at most {LONGEST}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as "1if": the parser's remarks are for programmers
            return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise NoExpression(str(error)) from None


def value(node: ast.expr, known: Mapping[str, int]) -> int:
    """The value of an expression where ``known`` has its variables; NoExpression where it has none."""
    try:
        found = _value(node, known)
    except (ZeroDivisionError, TypeError, ValueError) as error:
        raise NoExpression(str(error)) from None
    if abs(found) > LARGEST:
        raise NoExpression(f"a value beyond {LARGEST}")
    return found


def _value(node: ast.expr, known: Mapping[str, int]) -> int:
    def of(part: ast.expr) -> int:
        return value(part, known)

    match node:
        case ast.Constant(value=int() as number):
            return number
        case ast.Name(id=name) if name in known:
            return known[name]
        case ast.UnaryOp(op=op, operand=operand):
            return _known(UNARY, op)(of(operand))
        case ast.BinOp(left=left, op=op, right=right):
            return _known(BINARY, op)(of(left), of(right))
        case ast.BoolOp(op=op, values=values):
            truths = (bool(of(part)) for part in values)
            return all(truths) if isinstance(op, ast.And) else any(truths)
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            sides = [of(part) for part in (left, *comparators)]
            return all(_known(COMPARED, op)(a, b) for op, a, b in zip(ops, sides, sides[1:], strict=False))
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return of(body) if of(test) else of(orelse)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in CALLED:
            return CALLED[name](*(of(part) for part in args))
    raise NoExpression(f"{type(node).__name__} is not among what may be written")


def _known(table: Mapping[Any, Callable[..., int]], op: Any) -> Callable[..., int]:
    try:
        return table[type(op)]
    except KeyError:
        raise NoExpression(f"{type(op).__name__} is not among what may be written") from None
