"""How well agents solve the tasks of ``spgg`` together, from what they wrote."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from games.spgg.evaluator import contributions, judge
from marl_llm.agent import OK
from marl_llm.records import PLAYED, Batch

if TYPE_CHECKING:
    from games.spgg.game import Spgg


@dataclass(frozen=True)
class Solved:
    """Of every match that was played to its end: its ``task``, the match's seed, [matches]; whether each seat's answer is ``right``,
    [matches, seats]; what each one's text was worth, ``contribution`` [matches, seats]; and the ``answer`` of each, [matches, seats],
    None where there is none."""

    task: NDArray[np.uint64]
    right: NDArray[np.bool_]
    contribution: NDArray[np.float64]
    answer: list[list[str | None]]

    @property
    def success(self) -> NDArray[np.bool_]:
        """Whether the last seat's answer, which is the answer of all, is right, [matches]."""
        return self.right[:, -1]


def solved(batch: Batch, game: Spgg) -> Solved:
    """What the matches of ``batch``, all of ``game``, came to."""
    match = batch.up("turn", "match")
    made = np.flatnonzero((batch["match.end"][match] == PLAYED) & (batch["turn.fault"] == OK))
    answers = batch.answers()
    texts = [[str(answers[turn]) for turn in turns] for turns in made.reshape(-1, game.info.seats).tolist()]
    seeds = batch["match.seed"][batch["match.end"] == PLAYED]
    tasks = [game.task(seed) for seed in seeds.tolist()]
    judged = [[judge(task, text) for text in own] for task, own in zip(tasks, texts, strict=True)]
    shape = len(tasks), game.info.seats
    return Solved(
        seeds,
        np.asarray([[one.right == 1 for one in all_] for all_ in judged], bool).reshape(shape),
        np.asarray([contributions(task, own, game.floor) for task, own in zip(tasks, texts, strict=True)], float).reshape(shape),
        [[one.answer for one in all_] for all_ in judged],
    )
