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

    def open(self, chosen: Sequence[int]) -> list[int]:
        """What the slot after those ``chosen`` may do; empty where there is none."""
        if not chosen:
            return self.slots[0]
        return self.after(chosen[0]) if len(chosen) < len(self.slots) else []


class Battle:
    """One battle: its setup, the joint moves so far, and what the simulator said last. ``chosen`` is None, or where a seat decides for
    one slot after the other what it has decided for its first ones."""

    def __init__(self, setup: dict[str, Any], worker: Worker, *, by_slot: bool = False, history: Sequence[Joint] = ()) -> None:
        self.id, self.setup, self.worker, self.history = next(_IDS), setup, worker, list(history)
        self.generation = -1
        self.chosen: list[list[int]] | None = [[], []] if by_slot else None
        self.turns: list[Turn | None] = [None, None]
        self.over, self.result, self.fault = False, 0, ""

    def fork(self) -> Battle:
        """A battle with the same past and the same future."""
        other = Battle(self.setup, self.worker, history=self.history)
        other.chosen = self.chosen and [list(chosen) for chosen in self.chosen]
        other.turns, other.over, other.result, other.fault = self.turns, self.over, self.result, self.fault
        return other

    def turn(self, seat: int) -> Turn | None:
        """What a seat has to decide now: for both slots, or for the next one alone."""
        turn = self.turns[seat]
        if turn is None or self.chosen is None:
            return turn
        slots = turn.open(self.chosen[seat])
        return Turn([slots], 0, f"{turn.key} {self.chosen[seat]}") if slots else None

    def choose(self, moves: Joint) -> bool:
        """Note what seats have decided; whether there is a joint move more to ``advance`` by."""
        if self.chosen is None:
            self.history.append(moves)
            return True
        for seat, action in moves:
            self.chosen[seat] += action
        self._pass()
        if any(self.turn(seat) for seat in (0, 1)):
            return False
        self.history.append([(seat, chosen) for seat, chosen in enumerate(self.chosen) if self.turns[seat]])
        self.chosen = [[], []]
        return True

    def _pass(self) -> None:
        """Where slots are decided one after the other, those that can only pass are not asked about."""
        for seat, chosen in enumerate(self.chosen or ()):
            turn = self.turns[seat]
            while turn and turn.open(chosen) == [0]:
                chosen.append(0)

    def message(self) -> dict[str, Any]:
        """What makes the worker's battle this one, begun anew where its worker has not got it."""
        if self.generation == self.worker.generation:
            return {"id": self.id, "moves": self.history[-1:]}
        return {"id": self.id, "start": self.setup, "moves": self.history}

    def labels(self, seat: int, words: Sequence[Sequence[str]]) -> list[dict[int, str]]:
        """By action number the words of worker.js for what each slot may do, from the slot on that is decided for now."""
        turn = self.turns[seat]
        assert turn is not None
        named = [dict(zip(actions, told, strict=True)) for actions, told in zip(turn.slots, words, strict=True)]
        return named[len(self.chosen[seat]) :] if self.chosen else named

    def asked(self, seat: int) -> tuple[int, int, list[int] | None]:
        """Whose view is asked for: of which battle and seat, and what it has decided for its first slots."""
        return self.id, seat, None if self.chosen is None else self.chosen[seat]

    def told(self, answer: list[Any]) -> None:
        turns, self.over, self.result, self.fault = answer
        self.turns = [turn and Turn(*turn) for turn in turns]
        self.generation = self.worker.generation
        self._pass()

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
    asked = {worker: [at[i][0].asked(at[i][1]) for i in mine] for worker, mine in places.items()}
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
