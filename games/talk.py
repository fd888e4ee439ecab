"""Talk before every decision of any game of Discrete actions: each seat says something that all hear, and nothing that is said binds.

``talk(game="matrix(payoffs=stag_hunt,rounds=5)")``, ``talk(game="public_goods(seats=4)", turns=2, words=30)``; or from Python
``Talk(game)``. In games where it costs nothing and pays nothing by itself this is cheap talk (Farrell and Rabin, 1996).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from games.rounds import whole
from marl_llm import registry
from marl_llm.errors import UserError
from marl_llm.game import Action, Discrete, Game, Seat, Spec, State, Text, View

DILEMMA = "matrix(payoffs=prisoners_dilemma,rounds=3)"


class Talk(Game):
    """``game`` (its spec, or the game itself) with talk: before a decision, whoever is to make it, all seats speak in turn, seat 0
    first, ``turns`` times each, at most ``words`` words (tokens, of a language model) a time.

    A view is the game's own and everything that has been said since the start; as numbers there is none. UserError for a game
    whose actions are not Discrete, or whose seats talk already.
    """

    def __init__(self, game: Spec | Game = DILEMMA, turns: int = 1, words: int = 20) -> None:
        self.base = base = game if isinstance(game, Game) else registry.game(str(game))
        self.turns, self.words = whole("talk", "turns", turns, 1), whole("talk", "words", words, 1)
        info = base.info
        if not isinstance(info.action, Discrete) or info.message is not None:
            has = "messages of its own" if info.message is not None else f"{type(info.action).__name__} actions"
            raise UserError(f"talk: game is {info.name}, which has {has}; expected a game of Discrete actions without talk")
        self.messages = turns * info.seats
        """Messages before every decision."""
        self.info = replace(
            info,
            name=f"talk(game={info.name},turns={turns},words={words})",
            max_decisions=info.max_decisions * (1 + self.messages),
            message=Text(words),
            vector=None,
            table=None,
            enumerable=False,
            anonymous=False,
            summary=f"{info.summary or info.name}, with talk before every decision",
        )

    def start(self, seed: int) -> State:
        return TalkState(self, self.base.start(seed))

    def rules(self, seat: Seat) -> str:
        often = "once" if self.turns == 1 else f"{self.turns} times"
        return (
            f"{self.base.rules(seat)}\nBefore every decision all {self.info.seats} players speak in turn, player 1 first, {often} each. "
            f"Whatever a player says, in at most {self.words} words, is heard by all and binds nobody."
        )


class TalkState(State):
    """A match of the game without talk, what has been ``said``, one message after the other, and the decisions made so far."""

    def __init__(self, game: Talk, base: State, said: tuple[str, ...] = (), decided: int = 0) -> None:
        self.game, self.base, self.said, self.decided = game, base, said, decided

    @property
    def speaks(self) -> bool:
        """Whether a message comes before the next decision."""
        return len(self.said) < (self.decided + 1) * self.game.messages

    def to_act(self) -> tuple[Seat, ...]:
        deciding = self.base.to_act()
        return (len(self.said) % self.game.info.seats,) if deciding and self.speaks else deciding

    def legal(self, seat: Seat) -> Sequence[int]:
        return () if self.speaks else self.base.legal(seat)

    def apply(self, moves: Mapping[Seat, Action]) -> None:
        if self.speaks:
            (message,) = moves.values()
            self.said = (*self.said, " ".join(message.split()))
        else:
            self.base.apply(moves)
            self.decided += 1

    def returns(self) -> Sequence[float]:
        return self.base.returns()

    def cut(self) -> bool:
        return self.base.cut()

    def view(self, seat: Seat | None) -> View:
        base = self.base.view(seat)
        own = base.key
        return View(
            text=lambda: "\n".join([base.text, *self._heard(seat), *self._asked(seat)]),
            key=None if own is None else lambda: f"{own}\n{json.dumps([self.decided, *self.said], ensure_ascii=False)}",
        )

    def _heard(self, seat: Seat | None) -> list[str]:
        """What was said before every decision. Messages are quoted, so that none can pass for another's words."""
        seats, messages = self.game.info.seats, self.game.messages
        told = []
        for decision in range(-(-len(self.said) // messages)):
            said = enumerate(self.said[decision * messages : (decision + 1) * messages])
            words = [f"{_who(k % seats, seat)} said {json.dumps(message, ensure_ascii=False)}" for k, message in said]
            told.append(f"Before decision {decision + 1} {', '.join(words)}.")
        return told

    def _asked(self, seat: Seat | None) -> list[str]:
        if seat is None or seat not in self.to_act():
            return []
        return [f"Now speak, in at most {self.game.words} words." if self.speaks else "Now decide."]

    def chance(self) -> Sequence[tuple[int, float]]:
        return self.base.chance()

    def apply_chance(self, outcome: int) -> None:
        self.base.apply_chance(outcome)

    def action_text(self, seat: Seat, action: Action) -> str:
        return self.base.action_text(seat, action)

    def clone(self) -> State:
        return TalkState(self.game, self.base.clone(), self.said, self.decided)

    def resample(self, seat: Seat, seed: int) -> State:
        """What has been said is public; any world that the seat cannot tell apart without it could have heard the same."""
        return TalkState(self.game, self.base.resample(seat, seed), self.said, self.decided)


def _who(speaker: Seat, seat: Seat | None) -> str:
    return "you" if speaker == seat else f"player {speaker + 1}"
