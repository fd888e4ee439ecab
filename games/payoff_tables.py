"""Payoff tables of one-shot games: those of the literature by name, and anybody's from numbers or a file.

The two-seat games of general interest have the numbers of OpenSpiel where it has the game; the prisoner's dilemma has
Axelrod's (1984). Climbing and penalty are those of Claus and Boutilier (1998), ``qmix`` is the matrix on which QMIX fails
(Son et al. 2019, arXiv 1905.05408).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from math import inf, nan
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marl_llm.errors import UserError, unknown
from marl_llm.game import Utility

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_CALL = re.compile(r"(\w+)(?:\((.*)\))?", re.DOTALL)


@dataclass(frozen=True)
class PayoffTable:
    """``payoffs`` [seats, a_1, .., a_N]; ``names`` are the actions', the same for all seats; ``title`` is what it is called."""

    title: str
    payoffs: NDArray[np.float64]
    names: tuple[str, ...]

    @property
    def utility(self) -> Utility:
        """A team if all seats are always paid the same, else zero-sum if they are always paid 0 together."""
        if (self.payoffs == self.payoffs[0]).all():
            return "team"
        return "zero_sum" if np.allclose(self.payoffs.sum(0), 0, rtol=0, atol=1e-9 * abs(self.payoffs).max()) else "general"


def payoff_table(given: Any, *, team: bool = False) -> PayoffTable:
    """The table that ``given`` names or is: a name of ``NAMED``, ``penalty(k=-25)``, a file .npy or .json, or numbers.

    Numbers have shape [seats, a_1, .., a_N]; with ``team`` they are [a_1, .., a_N], paid to every seat. UserError for a name
    that is not known, a file that cannot be read, another shape, and anything that is not a finite number.
    """
    if not isinstance(given, str):
        return _of_numbers(given, "payoffs", team)
    if given.endswith((".npy", ".json")):
        return _of_numbers(_read(Path(given)), given, team)
    if team:
        raise UserError(f"matrix: team is True and payoffs are {given!r}; expected team with numbers or a file, since named games have it")
    call = _CALL.fullmatch(given.strip())
    if call is None or call[1] not in NAMED:
        raise unknown("payoffs", given, [*NAMED, "FILE.npy", "FILE.json"])
    if call[2] is None:
        return NAMED[call[1]]()
    k = re.fullmatch(r"\s*k\s*=\s*([-+.\w]+)\s*", call[2])
    if call[1] != "penalty" or k is None:
        raise UserError(f"matrix: cannot read payoffs {given!r}; expected a name alone, or penalty(k=-25)")
    return penalty(k[1])


def penalty(k: Any = -100) -> PayoffTable:
    """The penalty game; ``k`` is what a missed meeting pays."""
    try:
        value = float(k)
    except ValueError:
        value = nan
    if not -inf < value <= 0:
        raise UserError(f"matrix: k of penalty is {k!r}; expected a number of at most 0, such as -100")
    return _team(f"penalty(k={value:g})", [[value, 0, 10], [0, 2, 0], [10, 0, value]])


def _bimatrix(title: str, names: str, rows: list[list[float]], columns: list[list[float]]) -> PayoffTable:
    return _table(title, np.asarray([rows, columns], float), tuple(names.split()))


def _team(title: str, shared: list[list[float]]) -> PayoffTable:
    return _table(title, np.asarray([shared, shared], float), tuple(LETTERS[: len(shared)]))


def _table(title: str, payoffs: NDArray[np.float64], names: tuple[str, ...]) -> PayoffTable:
    payoffs.setflags(write=False)
    return PayoffTable(title, payoffs, names)


NAMED: dict[str, Callable[[], PayoffTable]] = {
    "prisoners_dilemma": lambda: _bimatrix("prisoners_dilemma", "cooperate defect", [[3, 0], [5, 1]], [[3, 5], [0, 1]]),
    "rps": lambda: _bimatrix("rps", "rock paper scissors", [[0, -1, 1], [1, 0, -1], [-1, 1, 0]], [[0, 1, -1], [-1, 0, 1], [1, -1, 0]]),
    "matching_pennies": lambda: _bimatrix("matching_pennies", "heads tails", [[1, -1], [-1, 1]], [[-1, 1], [1, -1]]),
    "chicken": lambda: _bimatrix("chicken", "dare yield", [[0, 4], [1, 3]], [[0, 1], [4, 3]]),
    "stag_hunt": lambda: _bimatrix("stag_hunt", "stag hare", [[2, 0], [1, 1]], [[2, 1], [0, 1]]),
    "battle_of_sexes": lambda: _bimatrix("battle_of_sexes", "Bach Stravinsky", [[3, 0], [0, 2]], [[2, 0], [0, 3]]),
    "shapley": lambda: _bimatrix("shapley", "rock paper scissors", [[0, 0, 1], [1, 0, 0], [0, 1, 0]], [[0, 1, 0], [0, 0, 1], [1, 0, 0]]),
    "climbing": lambda: _team("climbing", [[11, -30, 0], [-30, 7, 6], [0, 0, 5]]),
    "penalty": penalty,
    "qmix": lambda: _team("qmix", [[8, -12, -12], [-12, 0, 0], [-12, 0, 0]]),
}


def _read(path: Path) -> Any:
    try:
        return np.load(path, allow_pickle=False) if path.suffix == ".npy" else json.loads(path.read_text())
    except (OSError, ValueError, EOFError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise UserError(f"matrix: cannot read payoffs {str(path)!r}: {reason}; expected numbers in a file .npy or .json") from error


def _of_numbers(given: Any, source: str, team: bool) -> PayoffTable:
    expected = "expected numbers of shape [a_1, .., a_N]" if team else "expected numbers of shape [seats, a_1, .., a_N]"
    try:
        payoffs = np.asarray(given)
    except ValueError as error:
        raise UserError(f"matrix: {source} has rows of different lengths; {expected}") from error
    if payoffs.dtype.kind not in "iuf":
        raise UserError(f"matrix: {source} is {_short(given)}, which is not an array of numbers; {expected}")
    payoffs = np.array(payoffs, np.float64)
    if not np.isfinite(payoffs).all():
        place = np.argwhere(~np.isfinite(payoffs))[0].tolist()
        raise UserError(f"matrix: {source} is {payoffs[tuple(place)]} at {place}; expected finite numbers")
    if team and payoffs.ndim:
        payoffs = np.array(np.broadcast_to(payoffs, (payoffs.ndim, *payoffs.shape)))
    if payoffs.ndim < 2 or payoffs.shape[0] != payoffs.ndim - 1 or not payoffs.size:
        hint = "" if team else ", or team=True for one table [a_1, .., a_N] that is paid to every seat"
        raise UserError(f"matrix: {source} has shape {np.shape(given)}; {expected} with one axis of actions for each seat{hint}")
    most = max(payoffs.shape[1:])
    names = tuple(LETTERS[:most]) if most <= len(LETTERS) else tuple(str(k) for k in range(1, most + 1))
    return _table("x".join(map(str, payoffs.shape[1:])), payoffs, names)


def _short(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
