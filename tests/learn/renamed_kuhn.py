"""Kuhn poker under other names: cards are animals, and the legal moves stand in an order of their own at each decision."""

from __future__ import annotations

import re

from marl_llm import registry
from marl_llm.game import Game, State, View
from marl_llm.seeding import name_key

ANIMALS = {"J": "owl", "Q": "fox", "K": "elk"}


def renamed(text: str) -> str:
    return re.sub(r"\b[JQK]\b", lambda found: ANIMALS[found[0]], text)


class RenamedKuhn(Game):
    def __init__(self) -> None:
        self.inner = registry.game("kuhn_poker")
        self.info = self.inner.info

    def start(self, seed: int) -> State:
        return RenamedState(self.inner.start(seed))

    def rules(self, seat: int) -> str:
        return renamed(self.inner.rules(seat))


class RenamedState(State):
    def __init__(self, inner: State) -> None:
        self.inner = inner
        for name in ("to_act", "apply", "returns", "chance", "apply_chance", "action_text"):
            setattr(self, name, getattr(inner, name))

    def legal(self, seat):
        legal = list(self.inner.legal(seat))
        return legal if name_key(self.inner.view(seat).key) % 2 else legal[::-1]

    def view(self, seat):
        inner = self.inner.view(seat)
        return View(text=lambda: renamed(inner.text), key=lambda: inner.key)

    def clone(self):
        return RenamedState(self.inner.clone())

    to_act = apply = returns = None
