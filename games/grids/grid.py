"""What games on a grid share: seats with a place and a heading that turn and step, and what they see around them.

Places are (row, column), row 0 at the top; headings are north, east, south and west. Seats move in the order of their numbers
within a step, and nobody enters another's cell.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from marl_llm.seeding import uniform

AHEAD = np.asarray([[-1, 0], [0, 1], [1, 0], [0, -1]])
"""Way of one step, by heading."""
HEADINGS = ("north", "east", "south", "west")
FORWARD, LEFT, RIGHT = 0, 1, 2
RADIUS = 2
"""How far a seat sees: the square of cells around it, turned so that ahead is up."""
WIDTH = 2 * RADIUS + 1
CENTRE = RADIUS * WIDTH + RADIUS
"""Its own cell, in a flat window."""
SHAPE = WIDTH**2


def scattered(seed: NDArray[np.uint64], stream: int, allowed: NDArray[np.bool_], count: int) -> NDArray[np.int64]:
    """``count`` distinct cells at random of those ``allowed`` [n, rows, columns], by match: [n, count, 2]."""
    flat = allowed.reshape(len(allowed), -1)
    rank = np.where(flat, uniform(seed[:, None], stream, np.arange(flat.shape[1])), 2.0)
    return np.stack(np.divmod(np.argsort(rank, axis=1, kind="stable")[:, :count], allowed.shape[2]), -1)


def turned(heading: NDArray[np.int64], move: NDArray[np.int64]) -> NDArray[np.int64]:
    """Headings after moves of which LEFT and RIGHT turn."""
    return (heading + (move == RIGHT) - (move == LEFT)) % 4


def stepped(place: NDArray[np.int64], heading: NDArray[np.int64], seat: int, goes: NDArray[np.bool_], free: NDArray[np.bool_]) -> None:
    """Move ``seat`` one cell ahead in the matches where it ``goes``, the cell ahead is ``free`` [n, rows, columns] and nobody is there.

    ``place`` [n, seats, 2] is changed."""
    row = np.arange(len(place))
    rows, columns = free.shape[1:]
    there = place[:, seat] + AHEAD[heading[:, seat]]
    inside = (there >= 0).all(1) & (there < [rows, columns]).all(1)
    at = np.where(inside[:, None], there, 0)
    taken = (place == there[:, None]).all(2).any(1)
    ok = goes & inside & free[row, at[:, 0], at[:, 1]] & ~taken
    place[ok, seat] = there[ok]


def windows(maps: NDArray[np.float32], place: NDArray[np.int64], heading: NDArray[np.int64]) -> NDArray[np.float32]:
    """What each seat sees of ``maps`` [n, layers, rows, columns]: [n, seats, layers, SHAPE]. Layer 0 is 1 beyond the edge, others 0."""
    padded = np.pad(maps, ((0, 0), (0, 0), (RADIUS, RADIUS), (RADIUS, RADIUS)))
    edge = np.ones(padded.shape[2:], bool)
    edge[RADIUS:-RADIUS, RADIUS:-RADIUS] = False
    padded[:, 0, edge] = 1
    up, right = np.divmod(np.arange(SHAPE), WIDTH)
    up, right = RADIUS - up, right - RADIUS
    ahead, aside = AHEAD[heading], AHEAD[(heading + 1) % 4]
    at = place[:, :, None] + RADIUS + ahead[:, :, None] * up[:, None] + aside[:, :, None] * right[:, None]
    n = np.arange(len(maps))[:, None, None]
    return padded[n, :, at[..., 0], at[..., 1]].transpose(0, 1, 3, 2)


def marked(shape: tuple[int, int, int], place: NDArray[np.int64]) -> NDArray[np.float32]:
    """Maps [n, rows, columns] with a 1 at every place of [n, k, 2]."""
    one = np.zeros(shape, np.float32)
    one[np.arange(len(place))[:, None], place[..., 0], place[..., 1]] = 1
    return one


def drawn(seen: NDArray[np.float32], signs: str) -> str:
    """A window [layers, SHAPE] as rows of signs, one a layer, later layers over earlier ones; ``.`` where there is nothing."""
    cells = np.full(SHAPE, ".")
    for layer, sign in zip(seen, signs, strict=True):
        cells[layer > 0] = sign
    cells[CENTRE] = "@" if cells[CENTRE] == "." else cells[CENTRE]
    return "\n".join("".join(line) for line in cells.reshape(WIDTH, WIDTH))
