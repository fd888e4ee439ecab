"""Trash-Grid and rooms: the contract, rules by hand, subgoals, and optima by breadth-first search over joint states."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest

from games.arrays import ArrayGame, Columns
from games.grids.grid import CENTRE, FORWARD, LEFT, RIGHT, SHAPE
from games.grids.rooms import HAS, LYING, OPEN, Rooms
from games.grids.rooms import PICK as TAKE
from games.grids.trash_grid import BIG, COST, PICK, PUT, SMALL, SPLIT, TrashGrid
from marl_llm.check import check_game
from marl_llm.errors import UserError
from marl_llm.game import Subgoals

NORTH, EAST, SOUTH, WEST = range(4)


@pytest.mark.parametrize(
    "game", [TrashGrid(4, 2, 2, 1, 12), TrashGrid(6, 3, 4, 2, 8), Rooms(5, 1, 12), Rooms(6, 2, 12)], ids=lambda game: game.info.name
)
def test_keeps_the_contract(game: ArrayGame) -> None:
    check_game(game, matches=2).require()
    assert isinstance(game, Subgoals)


def trash(places, headings, lying, bin_, loads=(0, 0)) -> tuple[TrashGrid, Columns]:
    """Two seats on 4 x 4 cells; ``lying`` is {cell: SMALL or BIG}."""
    game = TrashGrid(4, 2, 2, 1, 20)
    at = game.first(np.asarray([0], np.uint64))
    grid = np.zeros((1, 4, 4), np.int8)
    for cell, kind in lying.items():
        grid[0][cell] = kind
    return game, at | {
        "place": np.asarray([places]),
        "heading": np.asarray([headings]),
        "load": np.asarray([loads]),
        "trash": grid,
        "bin": np.asarray([bin_]),
    }


def test_seats_turn_step_and_do_not_share_a_cell() -> None:
    game, at = trash([(0, 0), (0, 1)], (EAST, EAST), {(3, 3): SMALL}, (3, 0))
    blocked, _, _ = game.after(at, np.asarray([[FORWARD, FORWARD]]))
    assert blocked["place"][0].tolist() == [[0, 0], [0, 2]]  # seat 0 goes first, and seat 1 is still there
    game, at = trash([(0, 1), (0, 0)], (EAST, EAST), {(3, 3): SMALL}, (3, 0))
    assert game.after(at, np.asarray([[FORWARD, FORWARD]]))[0]["place"][0].tolist() == [[0, 2], [0, 1]]
    new, gain, over = game.after(at, np.asarray([[LEFT, RIGHT]]))
    assert new["heading"][0].tolist() == [NORTH, SOUTH]
    assert gain.tolist() == [[-COST / 20] * 2]
    assert not over[0]
    assert not game.allowed(new)[0, 0, FORWARD]  # the edge


def test_big_trash_is_split_picked_up_and_put_down_by_the_load() -> None:
    game, at = trash([(1, 1), (3, 3)], (EAST, EAST), {(1, 1): BIG}, (1, 2), loads=(1, 0))
    assert np.flatnonzero(game.allowed(at)[0, 0]).tolist() == [FORWARD, LEFT, RIGHT, SPLIT]
    assert game.allowed(at)[0, 1].tolist() == [False, True, True, False, False, False]
    seen = [game.observe(at)[:, 0]]
    for move in (SPLIT, PICK, FORWARD, PUT):
        assert game.allowed(at)[0, 0, move]
        at, gain, over = game.after(at, np.asarray([[move, LEFT]]))
        seen.append(game.observe(at)[:, 0])
    assert gain[0, 0] == pytest.approx(2 / 3 - COST / 20)
    assert over[0]
    told = [np.flatnonzero(game.reached(before, now)[0]).tolist() for before, now in pairwise(seen)]
    assert told == [[2], [1], [], [3]]
    full = trash([(1, 1), (3, 3)], (EAST, EAST), {(1, 1): SMALL}, (1, 2), loads=(3, 0))
    assert not full[0].allowed(full[1])[0, 0, PICK]


def test_finding_trash_is_to_come_upon_it() -> None:
    game, at = trash([(0, 0), (3, 3)], (EAST, EAST), {(0, 1): BIG, (0, 2): SMALL}, (3, 0))
    seen = [game.observe(at)[:, 0]]
    for _ in range(3):
        at, _, _ = game.after(at, np.asarray([[FORWARD, LEFT]]))
        seen.append(game.observe(at)[:, 0])
    found = [bool(game.reached(before, now)[0, 0]) for before, now in pairwise(seen)]
    assert found == [True, False, False]  # from piece to piece is not to find


def test_a_window_is_turned_so_that_ahead_is_up() -> None:
    for heading, cell in ((EAST, (1, 2)), (NORTH, (0, 1)), (WEST, (1, 0)), (SOUTH, (2, 1))):
        game, at = trash([(1, 1), (3, 3)], (heading, NORTH), {cell: SMALL}, (0, 3))
        window = game.observe(at)[0, 0, : 5 * SHAPE].reshape(5, SHAPE)
        assert np.flatnonzero(window[1]).tolist() == [CENTRE - 5]
        assert window[4, CENTRE] == 0


def room(place, heading, *, holder=LYING, opened=False) -> tuple[Rooms, Columns]:
    """One seat on 5 x 5 cells: a wall in column 2 with a door in row 2, the key in the cell (1, 1)."""
    game = Rooms(5)
    at = game.first(np.asarray([0], np.uint64))
    columns = {"place": [[place]], "heading": [[heading]], "wall": [2], "door": [2], "key": [(1, 1)], "holder": [holder], "open": [opened]}
    return game, at | {name: np.asarray(value) for name, value in columns.items()}


def test_the_key_opens_the_door_and_the_goal_pays() -> None:
    game, at = room((1, 1), SOUTH)
    seen, gains = [game.observe(at)[:, 0]], []
    for move in (TAKE, FORWARD, LEFT, OPEN, FORWARD, FORWARD, RIGHT, FORWARD):
        assert game.allowed(at)[0, 0, move], move
        at, gain, over = game.after(at, np.asarray([[move]]))
        seen.append(game.observe(at)[:, 0])
        gains.append(gain[0, 0])
    assert over[0]
    assert gains == [0] * 7 + [pytest.approx(1 - 0.9 * 8 / 100)]
    told = [np.flatnonzero(game.reached(before, now)[0]).tolist() for before, now in pairwise(seen)]
    assert told == [[0], [], [], [1], [], [], [], []]
    assert seen[1][0, HAS] == 1
    locked = room((2, 1), EAST)[1]
    assert np.flatnonzero(game.allowed(locked)[0, 0]).tolist() == [LEFT, RIGHT]


def shortest(game: ArrayGame, seed: int, names: tuple[str, ...]) -> int:
    """Joint steps of the quickest way to end a match, by breadth-first search over the columns ``names``."""
    at = game.first(np.asarray([seed], np.uint64))
    known: set[bytes] = set()
    for depth in range(1, game.steps + 1):
        n = len(at["step"])
        legal = game.allowed(at)
        parts = []
        for joint in product(range(legal.shape[2]), repeat=game.info.seats):
            may = np.flatnonzero(np.logical_and.reduce([legal[:, seat, move] for seat, move in enumerate(joint)]))
            if len(may):
                old = {name: values[may] for name, values in at.items()}
                new, _, over = game.after(old, np.broadcast_to(np.asarray(joint), (len(may), len(joint))))
                if over.any() and depth < game.steps:
                    return depth
                parts.append(new)
        at = {name: np.concatenate([part[name] for part in parts]) for name in at}
        n = len(at["step"])
        coded = np.column_stack([at[name].reshape(n, -1).astype(np.int8) for name in names])
        rows = coded.view(f"V{coded.shape[1]}").ravel()
        _, first = np.unique(rows, return_index=True)
        fresh = [i for i in first.tolist() if rows[i].tobytes() not in known]
        known.update(rows[i].tobytes() for i in fresh)
        at = {name: values[fresh] for name, values in at.items()}
    raise AssertionError("no way to the end")


def test_the_optimum_of_small_rooms_is_found_by_search() -> None:
    names = ("place", "heading", "holder", "open")
    lengths = [shortest(Rooms(5), seed, names) for seed in range(8)]
    assert min(lengths) >= 6
    assert max(lengths) <= 20
    game, at = room((1, 1), SOUTH)
    assert shortest(Placed(game, at), 0, names) == 8


class Placed(Rooms):
    """Rooms whose matches all begin alike."""

    def __init__(self, game: Rooms, at: Columns) -> None:
        super().__init__(game.size, game.seats)
        self.at = at

    def begin(self, at: Columns) -> Columns:
        return {name: values for name, values in self.at.items() if name not in ("seed", "step")}


def test_two_clear_small_trash_grids_sooner_than_one() -> None:
    """5 x 5 cells, two small pieces and a big one: the quickest clearing by search over all joint states."""
    names = ("place", "heading", "load", "trash")
    alone = shortest(TrashGrid(5, 1, 2, 1, 60), 4, names)
    both = shortest(TrashGrid(5, 2, 2, 1, 60), 4, names)
    assert (alone, both) == (15, 14)


def test_bad_arguments() -> None:
    with pytest.raises(UserError, match="trash_grid: size is 2; expected an integer of 3 to 50"):
        TrashGrid(2)
    with pytest.raises(UserError, match=r"trash_grid: small \+ big is 9; expected an integer of 1 to 5"):
        TrashGrid(3, 3)
    with pytest.raises(UserError, match="rooms: seats is 4; expected an integer of 1 to 2"):
        Rooms(5, 4)
