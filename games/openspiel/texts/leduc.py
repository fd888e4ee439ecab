"""Leduc poker in words, for 2 to 10 players."""

from __future__ import annotations

from typing import Any

from marl_llm.game import Seat

MOVES = ("fold", "call", "raise")
CHANCE = -1


class Leduc:
    """A view is the seat, its card, the public card and the moves of both rounds: OpenSpiel's information state.

    OpenSpiel's cards 2k and 2k + 1 have one rank; they are told apart here, as they are there.
    """

    def __init__(self, native: Any) -> None:
        self.players = native.num_players()
        self.first = native.get_parameters().get("starting_player", 0)
        ranks = self.players + 1
        self.ranks = ("J", "Q", "K", "A")[:ranks] if ranks <= 4 else tuple(str(rank) for rank in range(1, ranks + 1))

    @staticmethod
    def tells(native: Any) -> bool:
        """Whether the game has the rules that these texts tell: parameters may merge the suits or keep illegal moves legal."""
        parameters = native.get_parameters()
        return not parameters.get("suit_isomorphism") and not parameters.get("action_mapping")

    def rules(self, seat: Seat) -> str:
        first = "" if self.first == 0 else f" Player {self.first + 1} moves first."
        return (
            f"Leduc poker. Two suits, h and s, of the ranks {', '.join(self.ranks)}, low to high. Each of {self.players} players antes "
            "1 chip and gets one card. Two rounds of fold, call or raise, at most two raises a round, by 2 chips in round 1 and by 4 in "
            f"round 2; before round 2 one public card is shown.{first} A card of the public card's rank wins, else the highest rank; "
            "equals share."
        )

    def view(self, state: Any, seat: Seat) -> str:
        history = state.full_history()
        rounds: list[list[str]] = [[]]
        public = "none"
        for step in history[self.players :]:
            if step.player == CHANCE:
                public = self.card(step.action)
                rounds.append([])
            else:
                rounds[-1].append(MOVES[step.action])
        told = ", ".join(" ".join(moves) or "none" for moves in rounds)
        return f"You are player {seat + 1}, card {self.card(history[seat].action)}, public {public}: {told}."

    def card(self, card: int) -> str:
        return f"{self.ranks[card // 2]}{'hs'[card % 2]}"

    def actions(self, state: Any, seat: Seat) -> list[str]:
        return [MOVES[action] for action in state.legal_actions()]
