"""Tiny games of known optimum for neural learners: a factored team game, a market with quantities, and a maze that must be remembered."""

from __future__ import annotations

import numpy as np

from marl_llm.game import Box, Discrete, Factored, Game, GameInfo, State, View

SIZES = (3, 3)


class Pairs(Game):
    """Two seats of a team each name two different numbers; all gain first * second + second * first, across: at most 5."""

    spec = "pairs"
    info = GameInfo(
        name="pairs",
        seats=2,
        returns=(0, 5),
        max_decisions=2,
        action=Factored(SIZES),
        utility="team",
        vector=(1,),
        rewards_at_end=True,
        simultaneous=True,
        key_kind="information",
    )

    def start(self, seed):
        return PairsState()


class PairsState(State):
    named = None

    def to_act(self):
        return () if self.named else (0, 1)

    def legal(self, seat):
        return ()

    def next_legal(self, seat, chosen):
        return [value for value in range(3) if value not in chosen]

    def apply(self, moves):
        self.named = moves

    def returns(self):
        if not self.named:
            return (0, 0)
        (a, b), (c, d) = (self.named[seat] for seat in range(2))
        return (float(a * d + b * c),) * 2

    def view(self, seat):
        return View(text=lambda: "Name two.", vector=lambda: [1.0], key=lambda: f"seat {seat}")


class Cournot(Game):
    """Two firms choose quantities of 0 to 1; each earns its own times (1 - all). In equilibrium both choose 1/3 (Cournot, 1838)."""

    spec = "cournot"
    info = GameInfo(
        name="cournot",
        seats=2,
        returns=(-1, 0.25),
        max_decisions=2,
        action=Box(0.0, 1.0, (1,)),
        vector=(1,),
        rewards_at_end=True,
        simultaneous=True,
        key_kind="information",
    )

    def start(self, seed):
        return Market()


class Market(State):
    quantities = None

    def to_act(self):
        return () if self.quantities else (0, 1)

    def legal(self, seat):
        return ()

    def apply(self, moves):
        self.quantities = tuple(float(moves[seat][0]) for seat in range(2))

    def returns(self):
        return [q * (1 - sum(self.quantities)) for q in self.quantities] if self.quantities else (0, 0)

    def view(self, seat):
        return View(text=lambda: "How much?", vector=lambda: [1.0], key=lambda: f"seat {seat}")


class Maze(Game):
    """One seat is shown left or right, walks a corridor in which there is nothing to see, and at its end must turn that way."""

    spec = "maze"
    corridor = 2
    info = GameInfo(
        name="maze",
        seats=1,
        returns=(-1, 1),
        max_decisions=corridor + 1,
        action=Discrete(2),
        vector=(3,),
        rewards_at_end=True,
    )

    def start(self, seed):
        return Walk(seed % 2)


class Walk(State):
    def __init__(self, sign):
        self.sign, self.moves = sign, []

    def to_act(self):
        return (0,) if len(self.moves) <= Maze.corridor else ()

    def legal(self, seat):
        return (0, 1)

    def apply(self, moves):
        self.moves.append(moves[0])

    def returns(self):
        return (0.0 if self.to_act() else 2.0 * (self.moves[-1] == self.sign) - 1,)

    def view(self, seat):
        seen = np.zeros(3)
        if not self.moves:
            seen[self.sign] = 1
        elif len(self.moves) == Maze.corridor:
            seen[2] = 1
        return View(text=lambda: str(seen), vector=lambda: seen, key=lambda: str(seen))
