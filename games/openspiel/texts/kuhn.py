"""Kuhn poker in words, for 2 to 10 players."""

from __future__ import annotations

from typing import Any

from marl_llm.game import Seat

MOVES = ("pass", "bet")


class Kuhn:
    """A view is the seat, its card and the moves so far: OpenSpiel's information state."""

    def __init__(self, native: Any) -> None:
        self.players = native.num_players()
        deck = self.players + 1
        self.cards = ("J", "Q", "K", "A")[:deck] if deck <= 4 else tuple(str(card) for card in range(1, deck + 1))

    def rules(self, seat: Seat) -> str:
        return (
            f"Kuhn poker. The cards are {', '.join(self.cards)}, low to high. Each of {self.players} players antes 1 chip and gets one "
            "card. In turn a player says pass or bet. A bet adds 1 chip; after a bet, bet means call and pass means fold. "
            "The highest card wins the pot."
        )

    def view(self, state: Any, seat: Seat) -> str:
        history = state.history()
        moves = [MOVES[action] for action in history[self.players :]]
        return f"You are player {seat + 1}. Your card is {self.cards[history[seat]]}. Moves so far: {', '.join(moves) or 'none'}."

    def actions(self, state: Any, seat: Seat) -> list[str]:
        return [MOVES[action] for action in state.legal_actions()]
