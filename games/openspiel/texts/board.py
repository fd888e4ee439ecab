"""Tic-tac-toe and connect four in words: the board as rows of cells, and moves by number."""

from __future__ import annotations

from typing import Any

from marl_llm.game import Seat

MARKS = "xo"


class TicTacToe:
    """A free cell shows the number that takes it."""

    def __init__(self, native: Any) -> None:
        self.native = native

    def rules(self, seat: Seat) -> str:
        return (
            "Tic-tac-toe. The board has cells 1 to 9, row by row. x moves first. A move names a free cell and takes it. "
            "Three in a row, column or diagonal win."
        )

    def view(self, state: Any, seat: Seat) -> str:
        marks = state.observation_string(seat).replace("\n", "")
        cells = [str(k) if mark == "." else mark for k, mark in enumerate(marks, 1)]
        board = "\n".join(" ".join(cells[k : k + 3]) for k in (0, 3, 6))
        return f"You are {MARKS[seat]}.\n{board}"

    def actions(self, state: Any, seat: Seat) -> list[str]:
        return [str(action + 1) for action in state.legal_actions()]


class ConnectFour:
    """The columns' numbers stand above the board; boards of any size and lines of any length."""

    def __init__(self, native: Any) -> None:
        parameters = native.get_parameters()
        self.columns, self.line = parameters.get("columns", 7), parameters.get("x_in_row", 4)
        self.header = " ".join(str(k) for k in range(1, self.columns + 1))

    def rules(self, seat: Seat) -> str:
        return (
            f"Connect four. A move names a column, 1 to {self.columns}; the disc falls to its lowest free cell. x moves first. "
            f"{self.line} in a row, column or diagonal win."
        )

    def view(self, state: Any, seat: Seat) -> str:
        board = "\n".join(" ".join(row) for row in state.observation_string(seat).split())
        return f"You are {MARKS[seat]}.\n{self.header}\n{board}"

    def actions(self, state: Any, seat: Seat) -> list[str]:
        return [str(action + 1) for action in state.legal_actions()]
