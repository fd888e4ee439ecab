"""NewGame: two players take one to three stones in turn from a pile; who takes the last one wins.

Replace this with your own rules. A game with dice or cards also has ``chance`` and ``apply_chance`` in its state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from marl_llm.game import Discrete, Game, GameInfo, Seat, State, View


class NewGame(Game):
    def __init__(self, stones: int = 7) -> None:
        self.stones = stones
        self.info = GameInfo(
            name="new_game",
            seats=2,
            returns=(-1.0, 1.0),
            max_decisions=stones,
            action=Discrete(3),
            utility="zero_sum",
            perfect_information=True,
            rewards_at_end=True,
            enumerable=True,
            key_kind="state",
            vector=(stones + 1,),
            summary=f"Take 1 to 3 of {stones} stones in turn. Who takes the last stone wins.",
        )

    def start(self, seed: int) -> State:
        return Pile(self.stones)


class Pile(State):
    """Action ``a`` takes ``a + 1`` stones."""

    def __init__(self, stones: int) -> None:
        self.all = self.left = stones
        self.turn: Seat = 0

    def to_act(self) -> tuple[Seat, ...]:
        return (self.turn,) if self.left else ()

    def legal(self, seat: Seat) -> Sequence[int]:
        return range(min(3, self.left))

    def apply(self, moves: Mapping[Seat, int]) -> None:
        self.left -= moves[self.turn] + 1
        self.turn = 1 - self.turn

    def returns(self) -> Sequence[float]:
        if self.left:
            return (0.0, 0.0)
        return (-1.0, 1.0) if self.turn == 0 else (1.0, -1.0)

    def view(self, seat: Seat | None) -> View:
        return View(
            text=lambda: f"Stones left: {self.left}.",
            vector=lambda: np.eye(self.all + 1)[self.left],
            key=lambda: f"{self.left} left, seat {self.turn} to move",
        )

    def action_text(self, seat: Seat, action: int) -> str:
        return f"take {action + 1}"
