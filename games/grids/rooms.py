"""Rooms: a key, a locked door and a goal behind it, for one seat or a team; the first seat at the goal wins for all.

After MiniGrid's DoorKey (Chevalier-Boisvert et al. 2023, arXiv 2306.13831): a wall with a door parts the room, seats and key are on its
left and the goal is the corner at the lower right; wall, door, seats and key are placed at random; the goal pays 1 - 0.9 step / steps.
Choices made here: at most ``steps``, or 4 size^2; a key is picked up from the seat's own cell, and with it the door opens that the seat
faces; several seats share the left room at first, cannot share a cell, and act in the order of their numbers within a step.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from games.arrays import ArrayGame, Columns
from games.grids.grid import (
    AHEAD,
    CENTRE,
    FORWARD,
    HEADINGS,
    SHAPE,
    WIDTH,
    drawn,
    marked,
    scattered,
    stepped,
    turned,
    windows,
)
from games.rounds import whole
from marl_llm.game import Action, Discrete, GameInfo, Seat
from marl_llm.seeding import uniform

PICK, OPEN = 3, 4
MOVES = ("forward", "left", "right", "pick up", "open")
LAYERS = 6
"""Of a window: walls, the key, the door while locked, the door once open, the goal, other seats."""
OWN = 8
"""Numbers after the window: place (2), heading (4), whether it has the key, share of steps made."""
HAS = LAYERS * SHAPE + 6
LOCKED, OPENED = 2, 3
AHEAD_CELL = CENTRE - WIDTH
LYING = -1
PLACES, TURNED, WALL, DOOR = 1, 2, 3, 4  # names of random streams


class Rooms(ArrayGame):
    """Columns: ``place`` [n, seats, 2], ``heading`` [n, seats], ``wall`` and ``door`` (its column, the door's row) [n], ``key`` [n, 2],
    ``holder`` [n] (a seat, or LYING) and ``open`` [n]. Cells are counted with the outer walls, as in MiniGrid."""

    subgoals = ("pick up the key", "open the door", "reach the goal")

    def __init__(self, size: int = 6, seats: int = 1, steps: int | None = None) -> None:
        self.size = whole("rooms", "size", size, 5, 50)
        self.seats = whole("rooms", "seats", seats, 1, size - 3)
        self.steps = 4 * size**2 if steps is None else whole("rooms", "steps", steps, 1)
        self.info = GameInfo(
            name=f"rooms(size={size},seats={seats},steps={self.steps})",
            seats=seats,
            returns=(0.0, 1.0),
            max_decisions=seats * self.steps,
            action=Discrete(len(MOVES)),
            utility="team",
            vector=(LAYERS * SHAPE + OWN,),
            table=(6 + size + 7 * seats,),
            rewards_at_end=True,
            simultaneous=True,
            key_kind="state",
            summary="A key, a locked door and a goal behind it",
        )

    def rules(self, seat: Seat) -> str:
        who = "You are alone" if self.seats == 1 else f"You are one of a team of {self.seats}, who cannot share a cell"
        return (
            f"{who} in two rooms parted by a wall with a locked door. Pick up the key from its cell, open the door with it from the cell "
            f"before it, facing it, and go to the goal behind. In each of at most {self.steps} steps you go forward one cell, turn left or "
            "right, pick up, or open. The sooner the goal is reached the better: 1 - 0.9 step / steps for everyone. You see two cells far; "
            "ahead of you is up. # is wall, k the key, D the locked door, d the open door, G the goal, R another robot."
        )

    def begin(self, at: Columns) -> Columns:
        n, size = len(at["seed"]), self.size
        wall = 2 + (uniform(at["seed"], WALL) * (size - 4)).astype(np.int64)
        column, row = np.arange(size), np.arange(size)[:, None]
        left = (row > 0) & (row < size - 1) & (column > 0) & (column < wall[:, None, None])
        cells = scattered(at["seed"], PLACES, left, self.seats + 1)
        return {
            "place": cells[:, 1:],
            "heading": (4 * uniform(at["seed"][:, None], TURNED, np.arange(self.seats))).astype(np.int64),
            "wall": wall,
            "door": 1 + (uniform(at["seed"], DOOR) * (size - 2)).astype(np.int64),
            "key": cells[:, 0],
            "holder": np.full(n, LYING),
            "open": np.zeros(n, bool),
        }

    def _walls(self, at: Columns) -> NDArray[np.bool_]:
        """Cells that are wall, the door not among them, [n, size, size]."""
        edge, line = np.ones((self.size, self.size), bool), np.arange(self.size)
        edge[1:-1, 1:-1] = False
        inner = line[None, None] == at["wall"][:, None, None]
        return edge | (inner & (line[None, :, None] != at["door"][:, None, None]))

    def _before_door(self, at: Columns) -> NDArray[np.bool_]:
        """Seats that face the door next to them, [n, seats]."""
        return (at["place"] + AHEAD[at["heading"]] == np.stack([at["door"], at["wall"]], 1)[:, None]).all(2)

    def _on_key(self, at: Columns) -> NDArray[np.bool_]:
        """Seats on the cell where the key lies, [n, seats]."""
        return (at["place"] == at["key"][:, None]).all(2) & (at["holder"] == LYING)[:, None]

    def advance(self, at: Columns, moves: NDArray[np.int64]) -> tuple[Columns, NDArray[np.float64]]:
        heading, place, n = turned(at["heading"], moves), at["place"].copy(), np.arange(len(moves))
        picks = (moves == PICK) & self._on_key(at)  # one seat at most: nobody shares its cell
        holder = np.where(picks.any(1), picks.argmax(1), at["holder"])
        holds = at["holder"][:, None] == np.arange(self.seats)
        opened = at["open"] | ((moves == OPEN) & holds & self._before_door(at)).any(1)
        free = ~self._walls(at)
        free[n, at["door"], at["wall"]] = opened
        for seat in range(self.seats):
            stepped(place, heading, seat, moves[:, seat] == FORWARD, free)
        changed = {"place": place, "heading": heading, "holder": holder, "open": opened}
        gain = np.where(self.over(at | changed), 1 - 0.9 * (at["step"] + 1) / self.steps, 0.0)
        return changed, np.repeat(gain[:, None], self.seats, 1)

    def over(self, at: Columns) -> NDArray[np.bool_]:
        return (at["place"] == self.size - 2).all(2).any(1)

    def allowed(self, at: Columns) -> NDArray[np.bool_]:
        """Turning always; the rest where it does something, were the others not there."""
        n, there = np.arange(len(at["step"])), at["place"] + AHEAD[at["heading"]]
        free = ~self._walls(at)
        free[n, at["door"], at["wall"]] = at["open"]
        legal = np.ones((len(n), self.seats, len(MOVES)), bool)
        legal[..., FORWARD] = free[n[:, None], there[..., 0], there[..., 1]]
        legal[..., PICK] = self._on_key(at)
        legal[..., OPEN] = self._before_door(at) & ~at["open"][:, None] & (at["holder"][:, None] == np.arange(self.seats))
        return legal

    def observe(self, at: Columns) -> NDArray[np.float32]:
        walls, place = self._walls(at), at["place"]
        door = marked(walls.shape, np.stack([at["door"], at["wall"]], 1)[:, None])
        opened, lies = at["open"][:, None, None], (at["holder"] == LYING)[:, None, None]
        goal = marked(walls.shape, np.full((len(place), 1, 2), self.size - 2))
        maps = [walls, marked(walls.shape, at["key"][:, None]) * lies, door * ~opened, door * opened, goal, marked(walls.shape, place)]
        seen = windows(np.stack(maps, 1).astype(np.float32), place, at["heading"])
        seen[:, :, LAYERS - 1, CENTRE] = 0  # the seat itself
        holds = at["holder"][:, None] == np.arange(self.seats)
        share = np.broadcast_to((at["step"] / self.steps)[:, None, None], (*place.shape[:2], 1))
        parts = [seen.reshape(*place.shape[:2], -1), place / (self.size - 1), np.eye(4)[at["heading"]], holds[..., None], share]
        return np.concatenate(parts, 2).astype(np.float32)

    def table(self, at: Columns) -> NDArray[np.float32]:
        """Wall's column one-hot; door's row, key's place, whether the key lies and the door is open, share of steps made; each
        seat's place, heading and whether it has the key."""
        n, last = len(at["step"]), self.size - 1
        middle = np.column_stack([at["door"] / last, at["key"] / last, at["holder"] == LYING, at["open"], at["step"] / self.steps])
        holds = at["holder"][:, None] == np.arange(self.seats)
        seats = np.concatenate([at["place"] / last, np.eye(4)[at["heading"]], holds[..., None]], 2)
        return np.column_stack([np.eye(self.size)[at["wall"]], middle, seats.reshape(n, -1)]).astype(np.float32)

    def reached(self, before: NDArray[np.float32], now: NDArray[np.float32]) -> NDArray[np.bool_]:
        """The key in hand that was not; the cell ahead a locked door and then an open one; the goal is the end of the match."""
        had, has = before[:, HAS] > 0, now[:, HAS] > 0
        opened = (before[:, LOCKED * SHAPE + AHEAD_CELL] > 0) & (now[:, OPENED * SHAPE + AHEAD_CELL] > 0)
        return np.stack([has & ~had, opened, np.zeros(len(now), bool)], 1)

    def action_text(self, seat: Seat, action: Action) -> str:
        return MOVES[action]

    def text(self, seen: NDArray[np.float32], seat: Seat) -> str:
        own = seen[LAYERS * SHAPE :]
        row, column = np.rint(own[:2] * (self.size - 1)).astype(int) + 1
        return (
            f"You are robot {seat + 1} in row {row}, column {column}, facing {HEADINGS[int(own[2:6].argmax())]}"
            f"{', with the key' if own[6] else ''}. Step {round(float(own[7]) * self.steps) + 1} of {self.steps}. "
            f"You see:\n{drawn(seen[: LAYERS * SHAPE].reshape(LAYERS, SHAPE), '#kDdGR')}"
        )

    def picture(self, at: Columns) -> str:
        cells = np.where(self._walls(at)[0], "#", ".")
        cells[at["door"][0], at["wall"][0]] = "d" if at["open"][0] else "D"
        cells[self.size - 2, self.size - 2] = "G"
        if at["holder"][0] == LYING:
            cells[tuple(at["key"][0])] = "k"
        for seat, place in enumerate(at["place"][0]):
            cells[tuple(place)] = str(seat + 1)
        who = "nobody has the key" if at["holder"][0] == LYING else f"robot {at['holder'][0] + 1} has the key"
        return f"Step {at['step'][0] + 1}; {who}\n" + "\n".join("".join(line) for line in cells)
