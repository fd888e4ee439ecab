"""Trash-Grid: a team of robots clears a grid of trash, small pieces as they are and big ones once they are split.

After the game that GMAH was shown on (arXiv 2408.11416): three seats on 10 x 10 cells that act in turn within a step, with the actions
forward, left, right, pick up, split and put down; everything weighs 1 and a seat carries at most 3; the team is rewarded. Its
environment was not published, so the rest are choices made here: a seat acts on the cell it stands on; splitting makes one small piece
of a big one; trash is put down on the bin alone, all that a seat carries at once; every piece pays the team 1 / pieces, every step
costs 0.5 / steps, and the match ends when all is in the bin; everything lies at random; seats see two cells far and always know
their own place and where the bin is.
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

PICK, SPLIT, PUT = 3, 4, 5
MOVES = ("forward", "left", "right", "pick up", "split", "put down")
SMALL, BIG = 1, 2
CAPACITY = 3
LAYERS = 5
"""Of a window: beyond the edge, small trash, big trash, the bin, other seats."""
OWN = 10
"""Numbers after the window: place (2), way to the bin (2), heading (4), load, share of steps made."""
LOAD = LAYERS * SHAPE + 8
COST = 0.5
PLACES, TURNED = 1, 2  # names of random streams


class TrashGrid(ArrayGame):
    """Columns: ``place`` [n, seats, 2], ``heading`` and ``load`` [n, seats], ``trash`` [n, size, size] (SMALL, BIG, 0), ``bin`` [n, 2]."""

    subgoals = ("find trash", "pick up trash", "split big trash", "put trash down")

    def __init__(self, size: int = 10, seats: int = 3, small: int = 6, big: int = 3, steps: int = 200) -> None:
        self.size, self.seats = whole("trash_grid", "size", size, 3, 50), whole("trash_grid", "seats", seats, 1, 8)
        self.small, self.big = whole("trash_grid", "small", small, 0), whole("trash_grid", "big", big, 0)
        self.steps = whole("trash_grid", "steps", steps, 1)
        self.pieces = whole("trash_grid", "small + big", small + big, 1, size**2 - seats - 1)
        self.info = GameInfo(
            name=f"trash_grid(size={size},seats={seats},small={small},big={big},steps={steps})",
            seats=seats,
            returns=(-COST, 1.0),
            max_decisions=seats * steps,
            action=Discrete(len(MOVES)),
            utility="team",
            vector=(LAYERS * SHAPE + OWN,),
            table=(2 * size**2 + 3 + 7 * seats,),
            simultaneous=True,
            key_kind="state",
            summary="Robots carry trash to a bin; big pieces must be split first",
        )

    def rules(self, seat: Seat) -> str:
        return (
            f"A team of {self.seats} robots clears a grid of {self.size} x {self.size} cells of {self.small} small and {self.big} "
            f"big pieces of trash. In each of at most {self.steps} steps every robot goes forward one cell, turns left or right, picks up "
            f"small trash from its cell (it can carry {CAPACITY}), splits big trash in its cell, which makes it small, or, on the bin's "
            f"cell, puts down all that it carries. Each piece put down pays {1 / self.pieces:.3g}, each step costs "
            f"{COST / self.steps:.3g}. Robots cannot share a cell. You see two cells far; ahead of you is up. # is beyond the edge, s "
            "small trash, b big trash, B the bin, R a robot."
        )

    def begin(self, at: Columns) -> Columns:
        n = len(at["seed"])
        cells = scattered(at["seed"], PLACES, np.ones((n, self.size, self.size), bool), self.pieces + 1 + self.seats)
        pieces, row = cells[:, : self.pieces], np.arange(n)[:, None]
        trash = np.zeros((n, self.size, self.size), np.int8)
        trash[row, pieces[..., 0], pieces[..., 1]] = np.repeat([SMALL, BIG], [self.small, self.big])
        return {
            "place": cells[:, self.pieces + 1 :],
            "heading": (4 * uniform(at["seed"][:, None], TURNED, np.arange(self.seats))).astype(np.int64),
            "load": np.zeros((n, self.seats), np.int64),
            "trash": trash,
            "bin": cells[:, self.pieces],
        }

    def advance(self, at: Columns, moves: NDArray[np.int64]) -> tuple[Columns, NDArray[np.float64]]:
        heading, place = turned(at["heading"], moves), at["place"].copy()
        load, trash = at["load"].copy(), at["trash"].copy()
        n = np.arange(len(moves))
        free, paid = np.ones(trash.shape, bool), np.zeros(len(moves))
        for seat in range(self.seats):
            move, (row, column) = moves[:, seat], place[:, seat].T
            here = trash[n, row, column]
            picks, splits = (move == PICK) & (here == SMALL) & (load[:, seat] < CAPACITY), (move == SPLIT) & (here == BIG)
            trash[n, row, column] = np.where(picks, 0, np.where(splits, SMALL, here))
            puts = (move == PUT) & (place[:, seat] == at["bin"]).all(1)
            paid += np.where(puts, load[:, seat], 0)
            load[:, seat] = np.where(puts, 0, load[:, seat] + picks)
            stepped(place, heading, seat, move == FORWARD, free)
        gain = paid / self.pieces - COST / self.steps
        return {"place": place, "heading": heading, "load": load, "trash": trash}, np.repeat(gain[:, None], self.seats, 1)

    def over(self, at: Columns) -> NDArray[np.bool_]:
        return (at["trash"] == 0).all((1, 2)) & (at["load"] == 0).all(1)

    def allowed(self, at: Columns) -> NDArray[np.bool_]:
        """Turning always; the rest where it does something, were the others not there."""
        place, row = at["place"], np.arange(len(at["step"]))[:, None]
        here = at["trash"][row, place[..., 0], place[..., 1]]
        there = place + AHEAD[at["heading"]]
        legal = np.ones((len(row), self.seats, len(MOVES)), bool)
        legal[..., FORWARD] = ((there >= 0) & (there < self.size)).all(2)
        legal[..., PICK] = (here == SMALL) & (at["load"] < CAPACITY)
        legal[..., SPLIT] = here == BIG
        legal[..., PUT] = (place == at["bin"][:, None]).all(2) & (at["load"] > 0)
        return legal

    def observe(self, at: Columns) -> NDArray[np.float32]:
        trash, place = at["trash"], at["place"]
        nothing = np.zeros(trash.shape, np.float32)
        others = marked(trash.shape, place)
        maps = np.stack([nothing, trash == SMALL, trash == BIG, marked(trash.shape, at["bin"][:, None]), others], 1)
        seen = windows(maps, place, at["heading"])
        seen[:, :, LAYERS - 1, CENTRE] = 0  # the seat itself
        way = at["bin"][:, None] - place
        ahead, aside = AHEAD[at["heading"]], AHEAD[(at["heading"] + 1) % 4]
        share = np.broadcast_to((at["step"] / self.steps)[:, None, None], (*place.shape[:2], 1))
        parts = [
            seen.reshape(*place.shape[:2], -1),
            place / (self.size - 1),
            (way * ahead).sum(2, keepdims=True) / self.size,
            (way * aside).sum(2, keepdims=True) / self.size,
            np.eye(4)[at["heading"]],
            at["load"][..., None] / CAPACITY,
            share,
        ]
        return np.concatenate(parts, 2).astype(np.float32)

    def table(self, at: Columns) -> NDArray[np.float32]:
        """Maps of small and of big trash; the bin's place and the share of steps made; each seat's place, heading and load."""
        n, trash = len(at["step"]), at["trash"]
        seats = np.concatenate([at["place"] / (self.size - 1), np.eye(4)[at["heading"]], at["load"][..., None] / CAPACITY], 2)
        maps = np.stack([trash == SMALL, trash == BIG], 1)
        middle = np.column_stack([at["bin"] / (self.size - 1), at["step"] / self.steps])
        return np.column_stack([maps.reshape(n, -1), middle, seats.reshape(n, -1)]).astype(np.float32)

    def reached(self, before: NDArray[np.float32], now: NDArray[np.float32]) -> NDArray[np.bool_]:
        """A piece in the own cell where there was none; more load; big trash in the own cell made small; less load."""

        def here(seen: NDArray[np.float32], layer: int) -> NDArray[np.bool_]:
            return seen[:, layer * SHAPE + CENTRE] > 0

        had, has = here(before, SMALL) | here(before, BIG), here(now, SMALL) | here(now, BIG)
        more, less = now[:, LOAD] > before[:, LOAD], now[:, LOAD] < before[:, LOAD]
        return np.stack([has & ~had, more, here(before, BIG) & here(now, SMALL), less], 1)

    def action_text(self, seat: Seat, action: Action) -> str:
        return MOVES[action]

    def text(self, seen: NDArray[np.float32], seat: Seat) -> str:
        own = seen[LAYERS * SHAPE :]
        row, column = np.rint(own[:2] * (self.size - 1)).astype(int) + 1
        ahead, aside = np.rint(own[2:4] * self.size).astype(int)
        way = f"{abs(ahead)} {'ahead' if ahead >= 0 else 'behind'} and {abs(aside)} to the {'right' if aside >= 0 else 'left'}"
        return (
            f"You are robot {seat + 1} in row {row}, column {column}, facing {HEADINGS[int(own[4:8].argmax())]}, and carry "
            f"{round(float(own[8]) * CAPACITY)} of {CAPACITY}. Step {round(float(own[9]) * self.steps) + 1} of {self.steps}. "
            f"The bin is {way}. You see:\n{drawn(seen[: LAYERS * SHAPE].reshape(LAYERS, SHAPE), '#sbBR')}"
        )

    def picture(self, at: Columns) -> str:
        cells = np.asarray([".", "s", "b"])[at["trash"][0]]
        cells[tuple(at["bin"][0])] = "B"
        for seat, place in enumerate(at["place"][0]):
            cells[tuple(place)] = str(seat + 1)
        carried = ", ".join(f"robot {seat + 1} carries {load}" for seat, load in enumerate(at["load"][0].tolist()))
        return f"Step {at['step'][0] + 1}; {carried}\n" + "\n".join("".join(line) for line in cells)
