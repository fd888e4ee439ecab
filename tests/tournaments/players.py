"""Agents and games that tournament tests are played with."""

from __future__ import annotations

import os
import time
from dataclasses import replace

import numpy as np

from marl_llm.agent import Decision, Immediate, Request, answer
from marl_llm.agents.random import RandomAgent
from marl_llm.game import Discrete, Game, GameInfo, State, View


class First(Immediate):
    """The first legal move, always."""

    def decide(self, request: Request) -> Decision:
        return answer(request, request.legal.data[request.legal.starts[:-1]])


class Raises(RandomAgent):
    """Breaks down at every decision whose seed it does not like, about one in ``every``."""

    def __init__(self, every: int, error: type[BaseException] = RuntimeError) -> None:
        super().__init__()
        self.every, self.error = every, error

    def decide(self, request: Request) -> Decision:
        if (request.seed % np.uint64(self.every) == 0).any():
            raise self.error("no more")
        return super().decide(request)


class Illegal(RandomAgent):
    """Answers a move that does not exist."""

    def decide(self, request: Request) -> Decision:
        return answer(request, np.full(len(request), 99))


class Formless(RandomAgent):
    """Answers with ``change`` made to a good decision."""

    def __init__(self, change: dict[str, object]) -> None:
        super().__init__()
        self.change = change

    def decide(self, request: Request) -> Decision:
        return replace(super().decide(request), **self.change)


class Slow(RandomAgent):
    """Takes as many seconds a decision as the environment says."""

    def decide(self, request: Request) -> Decision:
        time.sleep(float(os.environ.get("SLOW_S", "0")))
        return super().decide(request)


class Duel(Game):
    """Each seat names its strength in tenths of a natural unit, then chance lets one win, as Bradley and Terry say, or neither."""

    info = GameInfo(
        name="duel", seats=2, returns=(-1.0, 1.0), max_decisions=2, action=Discrete(40), utility="zero_sum", rewards_at_end=True
    )

    def __init__(self, nu: float = 0.5) -> None:
        self.nu = nu

    def start(self, seed: int) -> State:
        return _Duel(self.nu)


class _Duel(State):
    def __init__(self, nu: float) -> None:
        self.nu, self.said, self.outcome = nu, [], None

    def to_act(self) -> tuple[int, ...]:
        return (len(self.said),) if len(self.said) < 2 else ()

    def legal(self, seat: int) -> range:
        return range(40)

    def apply(self, moves: dict[int, int]) -> None:
        self.said += moves.values()

    def chance(self) -> list[tuple[int, float]]:
        if len(self.said) < 2 or self.outcome is not None:
            return []
        d = (self.said[0] - self.said[1]) / 10
        shares = np.array([np.exp(d / 2), self.nu, np.exp(-d / 2)])
        return list(zip((1, 0, -1), (shares / shares.sum()).tolist(), strict=True))

    def apply_chance(self, outcome: int) -> None:
        self.outcome = outcome

    def returns(self) -> tuple[float, float]:
        won = float(self.outcome or 0)
        return won, -won

    def view(self, seat: int | None) -> View:
        return View(lambda: "name your strength", key=lambda: f"{seat}")


class Strength(Immediate):
    """Always says the same."""

    def __init__(self, tenths: int) -> None:
        super().__init__()
        self.tenths = tenths

    def decide(self, request: Request) -> Decision:
        return answer(request, np.full(len(request), self.tenths))


class Blind(Duel):
    """A duel whose view breaks for the second seat after a weak word of the first."""

    def start(self, seed: int) -> State:
        return _Blind(self.nu)


class _Blind(_Duel):
    def view(self, seat: int | None) -> View:
        if self.said and self.said[0] < 20:
            raise ValueError("nothing to see")
        return super().view(seat)
