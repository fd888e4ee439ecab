"""A team game in which only what is said carries the information: seat 0 sees a coin and speaks, seat 1 hears it and guesses."""

from __future__ import annotations

from marl_llm.game import Discrete, Game, GameInfo, State, Text, View

SIDES = ("heads", "tails")


class Listening(Game):
    def __init__(self, words: int = 4) -> None:
        self.info = GameInfo(
            name="listening",
            seats=2,
            returns=(0, 1),
            max_decisions=2,
            action=Discrete(2),
            message=Text(words),
            utility="team",
            rewards_at_end=True,
            key_kind="information",
        )

    def start(self, seed):
        return Coin()

    def rules(self, seat):
        return "Player 1 sees a coin and speaks. Player 2 hears it and names a side. Both win if it is the coin's."


class Coin(State):
    coin = said = guess = None

    def to_act(self):
        return () if self.coin is None or self.guess is not None else (0,) if self.said is None else (1,)

    def legal(self, seat):
        return () if self.said is None else (0, 1)

    def apply(self, moves):
        ((_, move),) = moves.items()
        if self.said is None:
            self.said = " ".join(move.split())
        else:
            self.guess = move

    def chance(self):
        return [(0, 0.5), (1, 0.5)] if self.coin is None else ()

    def apply_chance(self, outcome):
        self.coin = outcome

    def returns(self):
        return (float(self.guess == self.coin and self.guess is not None),) * 2

    def view(self, seat):
        told = f"The coin shows {SIDES[self.coin]}. Now speak." if seat == 0 else f"Player 1 said {self.said!r}. Now name a side."
        return View(text=lambda: told, key=lambda: f"{seat}: {told}")

    def action_text(self, seat, action):
        return SIDES[action]
