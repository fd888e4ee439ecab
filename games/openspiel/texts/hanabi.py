"""Hanabi in words, for 2 to 5 players and any colours and ranks."""

from __future__ import annotations

import re
from typing import Any

from marl_llm.game import Seat

REVEAL = re.compile(r"\(Reveal player \+(\d) (?:color|rank) (\w)\)")


class Hanabi:
    """A view is what the table shows the seat: OpenSpiel's observation. Of a card behind a seat's own back it is said what it
    can still be, from hints alone; of another's what it is and what its holder can know."""

    def __init__(self, native: Any) -> None:
        parameters = native.get_parameters()
        self.players, self.ranks = native.num_players(), parameters.get("ranks", 5)
        self.colours = "RYGWB"[: parameters.get("colors", 5)]
        self.hints, self.lives = parameters.get("max_information_tokens", 8), parameters.get("max_life_tokens", 3)

    def rules(self, seat: Seat) -> str:
        others = "the other player" if self.players == 2 else "any other player"
        return (
            f"Hanabi. The team builds a pile of each colour, {', '.join(self.colours)}, from 1 up to {self.ranks}. You see all hands but "
            f"your own. In turn: tell {others} all cards of one colour or rank, for one of {self.hints} hints; discard a card, which "
            f"gives a hint back; or play a card, which costs one of {self.lives} lives if it does not fit. The score is the number of "
            "cards built; without lives it is 0."
        )

    def view(self, state: Any, seat: Seat) -> str:
        head, _, rest = state.observation_string(seat).partition("Hands:\n")
        table, _, tail = rest.partition("Deck size: ")
        deck, _, discards = tail.partition("\nDiscards:")
        lives, hints, built = (line.split(":")[1].strip() for line in head.splitlines()[:3])
        hands = [[line.split(" || ") for line in hand.splitlines() if "||" in line] for hand in table.split("-----")]
        own = " ".join(_possible(known) for _, known in hands[0])
        others = [" ".join(f"{card}/{_possible(known)}" for card, known in hand) for hand in hands[1:]]
        told = " ".join(f"Player +{k}: {cards}." if self.players > 2 else f"Partner: {cards}." for k, cards in enumerate(others, 1))
        return (
            f"Lives {lives}, hints {hints}, deck {deck.strip()}. Built {built}. You: {own}. {told} Discarded: {discards.strip() or 'none'}."
        )

    def actions(self, state: Any, seat: Seat) -> list[str]:
        return [self.action(state.action_to_string(seat, action)) for action in state.legal_actions(seat)]

    def action(self, native: str) -> str:
        """``(Play 0)`` is "play 1"; ``(Reveal player +1 color R)`` is "tell R", with the player's number where there are several."""
        hint = REVEAL.fullmatch(native)
        if hint is None:
            verb, _, place = native.strip("()").partition(" ")
            return f"{verb.lower()} {int(place) + 1}"
        return f"tell {hint[2]}" if self.players == 2 else f"tell +{hint[1]} {hint[2]}"


def _possible(known: str) -> str:
    """``XX|RY12`` is what hints told and what the card can still be."""
    return known.split("|")[1]
