"""Tiny Hanabi in words, for any number of players, cards and actions."""

from __future__ import annotations

from itertools import product
from typing import Any

from marl_llm.game import Seat

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class TinyHanabi:
    """A view is the seat, its card and the choices made: OpenSpiel's information state. Rules tell the whole payoff table."""

    def __init__(self, native: Any) -> None:
        parameters = native.get_parameters()
        self.players, self.cards, self.choices = (parameters[f"num_{name}"] for name in ("players", "chance", "actions"))
        self.pay = parameters["payoff"].split(";")

    @staticmethod
    def tells(native: Any) -> bool:
        """Whether actions have letters."""
        return native.get_parameters()["num_actions"] <= len(LETTERS)

    def rules(self, seat: Seat) -> str:
        dealt = ", ".join(str(card + 1) for card in range(self.cards))
        letters = LETTERS[: self.choices]
        pay = iter(self.pay)
        lines = []
        for cards in product(range(1, self.cards + 1), repeat=self.players):
            paid = [f"{' '.join(names)} {next(pay)}" for names in product(letters, repeat=self.players)]
            lines.append(f"cards {' '.join(map(str, cards))}: {', '.join(paid)}")
        return (
            f"Tiny Hanabi. {self.players} players are one team. Each gets a card, {dealt}, that only it sees. In turn each chooses one of "
            f"{', '.join(letters)}, which all see. What everyone gets by the cards of players 1 to {self.players} and their choices:\n"
            + "\n".join(lines)
        )

    def view(self, state: Any, seat: Seat) -> str:
        history = state.history()
        made = [f"player {k + 1} {LETTERS[action]}" for k, action in enumerate(history[self.players :])]
        return f"You are player {seat + 1}. Your card is {history[seat] + 1}. Choices so far: {', '.join(made) or 'none'}."

    def actions(self, state: Any, seat: Seat) -> list[str]:
        return [LETTERS[action] for action in state.legal_actions()]
