"""How an OpenSpiel game reads to a language model: written by hand for six games, OpenSpiel's own words for the rest."""

from __future__ import annotations

from typing import Any, Protocol

from games.openspiel.texts.board import ConnectFour, TicTacToe
from games.openspiel.texts.generic import Generic
from games.openspiel.texts.hanabi import Hanabi
from games.openspiel.texts.kuhn import Kuhn
from games.openspiel.texts.leduc import Leduc
from games.openspiel.texts.tiny_hanabi import TinyHanabi
from marl_llm.game import Seat


class GameText(Protocol):
    """Rules, what a seat that must move sees, and its legal actions (in OpenSpiel's order), as text.

    A view is a function of the seat and the policy's key, and differs wherever the key does.
    """

    def rules(self, seat: Seat) -> str: ...

    def view(self, state: Any, seat: Seat) -> str: ...

    def actions(self, state: Any, seat: Seat) -> list[str]: ...


def text_of(name: str, native: Any) -> GameText:
    """The hand-written text of a game, or the generic one."""
    match name:
        case "tic_tac_toe":
            return TicTacToe(native)
        case "connect_four":
            return ConnectFour(native)
        case "kuhn_poker":
            return Kuhn(native)
        case "leduc_poker" if Leduc.tells(native):
            return Leduc(native)
        case "hanabi":
            return Hanabi(native)
        case "tiny_hanabi" if TinyHanabi.tells(native):
            return TinyHanabi(native)
        case _:
            return Generic(native)
