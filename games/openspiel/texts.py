"""How OpenSpiel games read to a language model: written by hand for four games, OpenSpiel's own words for the rest."""

from __future__ import annotations

from typing import Any, Protocol

from marl_llm.game import Action, Seat


class GameText(Protocol):
    """Rules, what a seat sees, and the legal actions, as text."""

    def rules(self, seat: Seat) -> str: ...

    def view(self, state: Any, seat: Seat) -> str: ...

    def action(self, state: Any, seat: Seat, action: Action) -> str: ...


class Generic:
    """OpenSpiel's information state (or observation) and action names."""

    def __init__(self, native: Any) -> None:
        self.native, self.kind = native, native.get_type()
        perfect = self.kind.information == type(self.kind).Information.PERFECT_INFORMATION
        self.observes = self.kind.provides_observation_string and (perfect or not self.kind.provides_information_state_string)

    def rules(self, seat: Seat) -> str:
        return f"This is the game {self.kind.long_name}. You are player {seat} of {self.native.num_players()}."

    def view(self, state: Any, seat: Seat) -> str:
        if self.observes:
            return state.observation_string(seat)
        if self.kind.provides_information_state_string:
            return state.information_state_string(seat)
        return str(state)

    def action(self, state: Any, seat: Seat, action: Action) -> str:
        return state.action_to_string(seat, action)


class Kuhn:
    """Kuhn poker: three cards, one bet."""

    CARDS = ("J", "Q", "K", "A")
    MOVES = ("pass", "bet")

    def __init__(self, native: Any) -> None:
        self.players = native.num_players()
        self.cards = self.CARDS if self.players == 3 else self.CARDS[:3]

    def rules(self, seat: Seat) -> str:
        return (
            f"Kuhn poker. The cards are {', '.join(self.cards)}, low to high. Each of {self.players} players antes 1 chip and gets one card. "
            "In turn a player says pass or bet. A bet adds 1 chip; after a bet, bet means call and pass means fold. The highest card wins the pot."
        )

    def view(self, state: Any, seat: Seat) -> str:
        moves = [self.MOVES[action] for action in state.history()[self.players :]]
        card = self.cards[state.history()[seat]]
        return f"You are player {seat + 1}. Your card is {card}. Moves so far: {', '.join(moves) or 'none'}."

    def action(self, state: Any, seat: Seat, action: Action) -> str:
        return self.MOVES[action]


BY_HAND: dict[str, Any] = {"kuhn_poker": Kuhn}


def text_of(name: str, native: Any) -> GameText:
    """The hand-written text of a game, or the generic one."""
    return BY_HAND.get(name, Generic)(native)
