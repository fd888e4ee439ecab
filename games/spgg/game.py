"""A sequential public good among language agents: one after the other they work on a task, and the last one's answer is the answer.

After MAC-SPGG (Liang et al., 2025, arXiv 2508.02076), whose reward is not public: ``rewards`` is a reconstruction. Here exact
checkers (``evaluator``) on generated tasks (``tasks``) stand in place of a learned evaluator on public benchmarks.
``spgg(tasks=arithmetic,observe=partial,seats=3)``; seats see the task and the text before theirs ("partial") or all texts before
theirs ("full"). Matches with one seed have one task.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import isfinite

import numpy as np

from games.rounds import whole
from games.spgg.evaluator import contributions
from games.spgg.rewards import Reward
from games.spgg.tasks import HARDEST, MAKERS, Task, make
from marl_llm.errors import UserError
from marl_llm.game import Action, Game, GameInfo, Seat, State, Text, View


class Spgg(Game):
    """``level`` makes tasks harder. ``words`` bounds a text (tokens, of a language model). Of the reward, ``rewards`` explains
    ``rho`` to ``power``; a contribution is at least ``floor``. UserError for a value out of range."""

    def __init__(
        self,
        tasks: str = "arithmetic",
        observe: str = "partial",
        seats: int = 3,
        level: int = 1,
        words: int = 32,
        rho: float = 1.8,
        gamma: float = 1.5,
        penalty: float = 1.5,
        threshold: float = 0.85,
        cost: float = 1.0,
        power: int = 1,
        floor: float = 0.05,
    ) -> None:
        given = {name: value for name, value in locals().items() if name != "self"}
        for name, known in (("tasks", tuple(MAKERS)), ("observe", ("partial", "full")), ("power", (1, 2))):
            if given[name] not in known:
                raise UserError(f"spgg: {name} is {given[name]!r}; expected {' or '.join(map(str, known))}")
        for name in ("seats", "words"):
            whole("spgg", name, given[name], 1)
        whole("spgg", "level", level, 1, HARDEST)
        for name in ("rho", "gamma", "penalty", "threshold", "cost", "floor"):
            value, most = given[name], 1 if name in ("threshold", "floor") else float("inf")
            if not isinstance(value, (int, float)) or not isfinite(value) or not 0 <= value <= most:
                raise UserError(f"spgg: {name} is {value!r}; expected a number of {'0 to 1' if most == 1 else 'at least 0'}")
        self.tasks, self.observe, self.level, self.floor = tasks, observe, level, floor
        self.reward = Reward(seats, rho, gamma, penalty, threshold, cost, power)
        self.info = GameInfo(
            name=f"spgg({','.join(f'{name}={value}' for name, value in given.items())})",
            seats=seats,
            returns=self.reward.bounds(),
            max_decisions=seats,
            action=Text(words),
            rewards_at_end=True,
            key_kind="information",
            summary=f"A sequential public good: {tasks} tasks, answered one after the other",
        )

    def start(self, seed: int) -> State:
        return SpggState(self, self.task(seed))

    def task(self, seed: int) -> Task:
        """The task of the matches with this seed."""
        return make(self.tasks, self.level, seed)

    def seen(self, seat: Seat) -> range:
        """The seats whose texts a seat reads before it writes."""
        return range(0 if self.observe == "full" else max(0, seat - 1), seat)

    def rules(self, seat: Seat) -> str:
        return (
            "You solve a task together with others, one after the other. Improve on what was written before you. "
            f'Write briefly, and end with "Answer: " and {self.task(0).form}.'
        )


class SpggState(State):
    """A match: its task, and what has been written."""

    def __init__(self, game: Spgg, task: Task, texts: tuple[str, ...] = ()) -> None:
        self.game, self.task, self.texts = game, task, texts

    def to_act(self) -> tuple[Seat, ...]:
        return (len(self.texts),) if len(self.texts) < self.game.info.seats else ()

    def legal(self, seat: Seat) -> Sequence[int]:
        return ()

    def apply(self, moves: Mapping[Seat, Action]) -> None:
        (text,) = moves.values()
        self.texts = (*self.texts, text)

    def returns(self) -> Sequence[float]:
        if self.to_act():
            return (0.0,) * self.game.info.seats
        made = contributions(self.task, self.texts, self.game.floor)
        return self.game.reward(np.asarray(made)).tolist()

    def view(self, seat: Seat | None) -> View:
        seats = range(len(self.texts)) if seat is None else self.game.seen(seat)
        wrote = {other: self.texts[other] for other in seats if other < len(self.texts)}
        # quoted, so that no text can pass for another's or for the task
        told = [f"Agent {other + 1} wrote: {json.dumps(text, ensure_ascii=False)}" for other, text in wrote.items()]
        return View(
            text=lambda: "\n".join([self.task.question, *told]),
            key=lambda: json.dumps([seat, self.task.question, *wrote.values()], ensure_ascii=False),
        )

    def clone(self) -> State:
        return SpggState(self.game, self.task, self.texts)
