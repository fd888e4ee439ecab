"""Level-based foraging through its package: seats walk a grid and load food, alone or together if their levels suffice.

``foraging(size=8,seats=2,food=3)`` is the package's Foraging-8x8-2p-3f-v3 (Papoudakis et al. 2021, arXiv 2006.07869), with the common
reward that team learners need: every seat gains the share of food that the step brought, so that a match in which all is loaded
returns 1. A match that the limit of steps ends with food left was cut. https://github.com/semitable/lb-foraging
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from lbforaging.foraging import ForagingEnv
from lbforaging.foraging.environment import Player
from numpy.typing import NDArray

from games.rounds import whole
from marl_llm.game import Action, Discrete, Game, GameInfo, Seat, State, View

MOVES = ("stay", "north", "south", "west", "east", "load")
LEVELS = 2
"""Highest level of a seat; food takes at most the three lowest seats together, or with ``coop`` exactly as much."""


class Numbered(Player):
    """A player in whose place its number is hashed: the package takes loading players from a set, and the order must not be chance."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Numbered) and other.number == self.number


class Foraging(Game):
    """A seat sees ``sight`` cells far, everything by default; ``coop`` makes food that no seat can load alone."""

    def __init__(
        self, size: int = 8, seats: int = 2, food: int = 3, sight: int | None = None, steps: int = 50, *, coop: bool = False
    ) -> None:
        self.size, self.seats, self.food = whole("foraging", "size", size, 5, 19), whole("foraging", "seats", seats, 2, 9), food
        whole("foraging", "food", food, 1, 9)
        self.sight = size if sight is None else whole("foraging", "sight", sight, 1, size)
        self.steps, self.coop = whole("foraging", "steps", steps, 1), bool(coop)
        self.info = GameInfo(
            name=f"foraging(size={size},seats={seats},food={food},sight={self.sight},steps={steps},coop={self.coop})",
            seats=seats,
            returns=(0.0, 1.0),
            max_decisions=seats * steps,
            action=Discrete(len(MOVES)),
            utility="team",
            vector=(3 * (food + seats),),
            table=(size**2 + 3 * seats,),
            perfect_information=self.sight == size,
            simultaneous=True,
            key_kind="state",
            summary="Seats of different levels load food together",
        )

    def start(self, seed: int) -> State:
        env = ForagingEnv(
            players=self.seats,
            min_player_level=1,
            max_player_level=LEVELS,
            min_food_level=1,
            max_food_level=None,
            field_size=(self.size, self.size),
            max_num_food=self.food,
            sight=self.sight,
            max_episode_steps=self.steps,
            force_coop=self.coop,
        )
        env.players = [Numbered(seat) for seat in range(self.seats)]
        seen, _ = env.reset(seed=seed % 2**31)
        return ForagingState(self, env, seen)

    def rules(self, seat: Seat) -> str:
        return (
            f"A team of {self.seats} players on a grid of {self.size} x {self.size} cells with {self.food} pieces of food, for at most "
            f"{self.steps} steps. In each all choose at once to stay, to go north, south, west or east, or to load a piece next to them. "
            "Players of which nobody else stands or goes to the cell move; food is loaded if the levels of the players that load it add up "
            "to its level. Everyone gains the loaded piece's share of all food."
        )


class ForagingState(State):
    """One match: the package's environment and what its seats saw last."""

    def __init__(self, game: Foraging, env: ForagingEnv, seen: Sequence[Any], gained: float = 0.0, *, over: bool = False) -> None:
        self.game, self.env, self.seen, self.gained, self.over = game, env, seen, gained, over

    def to_act(self) -> tuple[Seat, ...]:
        return () if self.over else tuple(range(self.game.seats))

    def legal(self, seat: Seat) -> Sequence[int]:
        return sorted(action.value for action in self.env._valid_actions[self.env.players[seat]])  # its public form lists joint actions

    def apply(self, moves: Mapping[Seat, Action]) -> None:
        self.seen, rewards, self.over, _, _ = self.env.step([int(moves[seat]) for seat in range(self.game.seats)])
        self.gained += float(sum(rewards))

    def returns(self) -> Sequence[float]:
        return (self.gained,) * self.game.seats

    def cut(self) -> bool:
        return bool(self.env.field.sum())

    def view(self, seat: Seat | None) -> View:
        if seat is None:
            return View(text=self._picture, vector=self._table)
        return View(
            text=lambda: self._text(seat),
            vector=lambda: self.seen[seat],
            key=lambda: f"{seat}:{self.legal(seat)}:{np.asarray(self.seen[seat], int).tolist()}",
        )

    def _table(self) -> NDArray[np.float32]:
        """Levels of food by cell, then row, column and level of every seat."""
        seats = [[*player.position, player.level] for player in self.env.players]
        return np.concatenate([self.env.field.ravel(), np.ravel(seats)]).astype(np.float32)

    def _text(self, seat: Seat) -> str:
        rows = np.asarray(self.seen[seat], int).reshape(-1, 3)
        food = [f"level {level} in row {row + 1}, column {column + 1}" for row, column, level in rows[: self.game.food] if level]
        seats = [f"level {level} in row {row + 1}, column {column + 1}" for row, column, level in rows[self.game.food :] if level]
        told = f"You are player {seat + 1}, of {seats[0]}. Others that you see: {'; '.join(seats[1:]) or 'none'}."
        return f"{told} Food: {'; '.join(food) or 'none'}."

    def _picture(self) -> str:
        cells = np.where(self.env.field > 0, self.env.field.astype(str), ".").astype(object)
        for seat, player in enumerate(self.env.players):
            cells[player.position] = chr(ord("A") + seat)
        levels = ", ".join(f"{chr(ord('A') + seat)} has level {player.level}" for seat, player in enumerate(self.env.players))
        return f"Step {self.env.current_step + 1}; {levels}\n" + "\n".join("".join(line) for line in cells)

    def action_text(self, seat: Seat, action: Action) -> str:
        return MOVES[action]

    def clone(self) -> State:
        return ForagingState(self.game, copy.deepcopy(self.env), self.seen, self.gained, over=self.over)
