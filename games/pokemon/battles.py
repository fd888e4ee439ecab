"""Battles, wherever they run: the rows that boards move and look at, played again from their moves where a worker has been lost."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from games.pokemon.worker import Unanswered, Worker

Joint = list[tuple[int, list[int]]]
"""(seat, action number of each of its slots) of all seats that act."""
_IDS = count()
PASSES = 1
GIMMICK = 27
"""From here on the numbers of 20 actions each use up one gimmick."""


class Turn(NamedTuple):
    """What a seat that acts may do: the action numbers of each slot, whether exactly one slot passes, and what the seat knows, as a key."""

    slots: list[list[int]]
    joint: int
    key: str

    def after(self, first: int) -> list[int]:
        """What the second slot may do beside the first: neither the same member twice nor one gimmick twice in a turn."""
        second = self.slots[1]
        if self.joint == PASSES:
            return [action for action in second if (action == 0) != (first == 0)]
        if first == 0:
            return second
        if first < 7:
            return [action for action in second if action != first]
        group = (first - 7) // 20
        return second if not group else [action for action in second if action < GIMMICK or (action - 7) // 20 != group]


class Battle:
    """One battle: its setup, the joint moves so far, and what the simulator said last."""

    def __init__(self, setup: dict[str, Any], worker: Worker, history: Sequence[Joint] = ()) -> None:
        self.id, self.setup, self.worker, self.history = next(_IDS), setup, worker, list(history)
        self.generation = -1
        self.turns: list[Turn | None] = [None, None]
        self.over, self.result, self.fault = False, 0, ""

    def fork(self) -> Battle:
        """A battle with the same past and the same future."""
        other = Battle(self.setup, self.worker, self.history)
        other.turns, other.over, other.result, other.fault = self.turns, self.over, self.result, self.fault
        return other

    def message(self) -> dict[str, Any]:
        """What makes the worker's battle this one, begun anew where its worker has not got it."""
        if self.generation == self.worker.generation:
            return {"id": self.id, "moves": self.history[-1:]}
        return {"id": self.id, "start": self.setup, "moves": self.history}

    def told(self, answer: list[Any]) -> None:
        turns, self.over, self.result, self.fault = answer
        self.turns = [turn and Turn(*turn) for turn in turns]
        self.generation = self.worker.generation

    def __del__(self) -> None:
        if self.generation == self.worker.generation:
            self.worker.dropped.append(self.id)


def advance(battles: Sequence[Battle]) -> None:
    """Begin battles, and play what has been added to their histories: one joint move, where their workers have the rest. The workers
    work side by side."""
    by_worker: dict[Worker, list[Battle]] = {}
    for battle in battles:
        battle.worker.settle()
        by_worker.setdefault(battle.worker, []).append(battle)
    sent = {worker: _sent(worker, "battles", battles=[battle.message() for battle in mine]) for worker, mine in by_worker.items()}
    for worker, mine in by_worker.items():
        answer = _received(worker) if sent[worker] else None
        if answer is None:
            for battle in mine:
                _alone(battle)
        else:
            for battle, told in zip(mine, answer[0], strict=True):
                battle.told(told)


def _sent(worker: Worker, ask: str, **message: Any) -> bool:
    try:
        worker.send(ask, **message)
    except Unanswered:
        return False
    return True


def _received(worker: Worker) -> tuple[Any, NDArray[np.float32]] | None:
    try:
        return worker.receive()
    except Unanswered:
        return None


def _alone(battle: Battle) -> None:
    """A battle of a worker that was lost, played again by itself: where that worker is lost too, it is this battle's fault."""
    try:
        battle.told(battle.worker.ask("battles", battles=[battle.message()])[0][0])
    except Unanswered as error:
        battle.turns, battle.over, battle.fault = [None, None], True, str(error)


def look(what: str, at: Sequence[tuple[Battle, int]]) -> tuple[list[Any], NDArray[np.float32]]:
    """What seats of battles know, in one of the forms of worker.js: a list in the order of ``at``, or numbers [len(at), size]."""
    places: dict[Worker, list[int]] = {}
    for i, (battle, _) in enumerate(at):
        battle.worker.settle()
        places.setdefault(battle.worker, []).append(i)
    _found([battle for battle, _ in at])
    asked = {worker: [(at[i][0].id, at[i][1]) for i in mine] for worker, mine in places.items()}
    sent = {worker: _sent(worker, "look", what=what, at=rows) for worker, rows in asked.items()}
    said: list[Any] = [None] * len(at)
    numbers: list[NDArray[np.float32]] = []
    for worker, mine in places.items():
        told = _received(worker) if sent[worker] else None
        if told is None:  # lost while it looked: once more, in its successor
            _found([at[i][0] for i in mine])
            told = worker.ask("look", what=what, at=asked[worker])
        answer, values = told
        if isinstance(answer, dict):
            raise RuntimeError(f"the simulator cannot tell {what}: {answer['failed']}")
        numbers.append(values.reshape(len(mine), -1))
        for i, one in zip(mine, answer or (), strict=False):
            said[i] = one
    order = np.argsort([i for mine in places.values() for i in mine])
    return said, np.concatenate(numbers)[order] if numbers else np.zeros((0, 0), np.float32)


def _found(battles: Sequence[Battle]) -> None:
    """Play again what a worker that was lost had."""
    lost = {battle.id: battle for battle in battles if battle.generation != battle.worker.generation}
    advance(list(lost.values()))
