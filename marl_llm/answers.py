"""Open answers: what a seat may answer where it has no list of legal actions, and how answers of every kind stand in columns.

A game of Factored, Box or Text actions has such a list nowhere. A game of Discrete actions whose seats also talk
(``GameInfo.message``) has one except where a seat speaks: there its legal set is empty.

Columns of answers, one row a decision: int64 for Discrete actions, int64 [rows, factors] for Factored ones, float32
[rows, *shape] for Box ones, objects (strings, and integers where a game has both) for text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from marl_llm.game import Action, Box, Discrete, Factored, GameInfo, Text
from marl_llm.ragged import Ragged, segment_sum
from marl_llm.seeding import uniform

if TYPE_CHECKING:
    from marl_llm.boards import Views

WORDS = ("", "yes", "no", "wait")
"""What is said at random."""

NextLegal = Callable[[NDArray[np.int64]], Ragged]
"""From the factors chosen so far, [rows, k], to the values that factor k may take next, a row each."""


def open_kind(info: GameInfo) -> Factored | Box | Text | None:
    """The kind of answer that is asked for with an empty legal set; None in games where there is none."""
    return info.message if isinstance(info.action, Discrete) else info.action


def column(info: GameInfo, actions: Sequence[Action]) -> NDArray[Any]:
    """Actions as a column."""
    if isinstance(info.action, Box):
        return np.asarray(actions, np.float32).reshape(len(actions), *info.action.shape)
    if isinstance(info.action, Factored):
        return np.asarray(actions, np.int64).reshape(len(actions), len(info.action.sizes))
    if open_kind(info) is None:
        return np.asarray(actions, np.int64)
    out = np.empty(len(actions), object)
    out[:] = actions
    return out


def nothing(info: GameInfo) -> Action:
    """What stands beside a fault in a column, and is never played."""
    if isinstance(info.action, Box):
        return np.full(info.action.shape, np.nan, np.float32)
    return (-1,) * len(info.action.sizes) if isinstance(info.action, Factored) else -1


def room(info: GameInfo, rows: int) -> NDArray[Any]:
    """A column in which nothing stands yet."""
    return column(info, [nothing(info)] * rows)


def each(info: GameInfo, moves: NDArray[Any]) -> list[Action]:
    """The actions of a column: an array (Box), a tuple of integers (Factored), an integer or a string."""
    if isinstance(info.action, Box):
        return list(moves)
    if isinstance(info.action, Factored):
        return [tuple(move) for move in moves.tolist()]
    return moves.tolist()


def plain(action: Action) -> Any:
    """An action as JSON has it, lists as tuples: equal for equal actions, and hashable."""
    if isinstance(action, np.ndarray):
        action = action.tolist()
    return tuple(map(plain, action)) if isinstance(action, (list, tuple)) else action


def recorded(info: GameInfo, actions: NDArray[Any], good: NDArray[np.bool_]) -> tuple[dict[str, NDArray[Any]], dict[str, list[str]]]:
    """The column ``turn.action`` and, where seats speak, ``turn.said`` with the table of its codes; -1 (Box: NaN) for what was
    not ``good`` or stands in the other column."""
    if open_kind(info) is None:
        return {"turn.action": np.where(good, actions, -1)}, {}
    if not isinstance(open_kind(info), Text):
        out = room(info, len(good))
        out[good] = actions[good]
        return {"turn.action": out}, {}
    code: dict[str, int] = {}
    action, said = np.full((2, len(good)), -1)
    for i in np.flatnonzero(good).tolist():
        if isinstance(actions[i], str):
            said[i] = code.setdefault(actions[i], len(code))
        else:
            action[i] = actions[i]
    return {"turn.action": action, "turn.said": said}, {"said": list(code)}


def drawn(kind: Factored | Box | Text, seeds: NDArray[np.uint64], next_legal: NextLegal) -> NDArray[Any]:
    """A random answer for every seed, uniform over the box, over what each factor may be after the ones before, or over ``WORDS``."""
    count = len(seeds)
    if isinstance(kind, Box):
        size = int(np.prod(kind.shape))
        shares = uniform(seeds[:, None], np.arange(size)[None]).reshape(count, *kind.shape)
        return np.minimum(kind.low + shares * (kind.high - kind.low), kind.high).astype(np.float32)
    if isinstance(kind, Text):
        return np.asarray(WORDS, object)[(uniform(seeds, 0) * len(WORDS)).astype(np.int64)]
    chosen = np.zeros((count, 0), np.int64)
    for k in range(len(kind.sizes)):
        allowed = next_legal(chosen)
        chosen = np.column_stack([chosen, allowed.at((uniform(seeds, k) * allowed.lengths).astype(np.int64))])
    return chosen


def fit(kind: Factored | Box | Text, actions: NDArray[Any], views: Views) -> NDArray[np.bool_]:
    """Which answers are of the kind asked for, shape [rows]. A text has at least as many tokens as words."""
    if isinstance(kind, Text):
        return np.asarray([isinstance(said, str) and len(said.split()) <= kind.max_tokens for said in actions.tolist()], bool)
    shape = kind.shape if isinstance(kind, Box) else (len(kind.sizes),)
    if actions.shape[1:] != shape or actions.dtype.kind not in ("iu" if isinstance(kind, Factored) else "iuf"):
        return np.zeros(len(actions), bool)
    if isinstance(kind, Box):
        inside = (actions >= kind.low) & (actions <= kind.high)
        return np.asarray(inside.reshape(len(actions), int(np.prod(shape))).all(1))
    good: NDArray[np.bool_] = np.asarray(((actions >= 0) & (actions < np.asarray(kind.sizes))).all(1))
    for k in range(len(kind.sizes)):  # only what has been legal so far is shown to the game
        rows = np.flatnonzero(good)
        allowed = views.take(rows).next_legal(actions[rows, :k])
        good[rows] = segment_sum(allowed.data == np.repeat(actions[rows, k], allowed.lengths), allowed.starts) > 0
    return good


def at_random(views: Views, legal: Ragged, seeds: NDArray[np.uint64]) -> NDArray[Any]:
    """A random answer to every decision: one of its legal actions, or where it has none an open one."""
    info, kind = views.game.info, open_kind(views.game.info)
    lengths = legal.lengths
    if kind is None:
        return legal.at((uniform(seeds, 0) * lengths).astype(np.int64))
    if not isinstance(info.action, Discrete):
        return drawn(kind, seeds, views.next_legal)
    out = room(info, len(legal))
    listed, spoken = np.flatnonzero(lengths), np.flatnonzero(lengths == 0)
    out[listed] = legal.take(listed).at((uniform(seeds[listed], 0) * lengths[listed]).astype(np.int64))
    out[spoken] = drawn(kind, seeds[spoken], views.next_legal)
    return out
