"""Language agents in sequence beside one agent alone, a majority vote and a debate, on generated tasks with one budget of tokens.

``python tests/learn/spgg_baselines.py MODEL TASKS LEVEL DEALS BUDGET SEED`` prints a JSON object a way: the share of tasks that were
solved with its 95% interval, the difference from a single agent's, and the tokens that were used. MODEL is a Hugging Face folder
or ``smollm2``; all ways get the same tasks, and BUDGET tokens a task at most: one reply, three of a third (in sequence, and apart
with a vote), or six of a sixth (a debate: three write apart, then each reads what all wrote and writes once more; a vote).
Ties of a vote go to the answer that was given first.

With ``smollm2 arithmetic 1 24 30 1`` (SmolLM2-135M-Instruct, sums and products of two digits, 30 tokens a task) single agents solve
0.13 (0.04 to 0.31) of the tasks, sequences 0.08 (partial) and 0.04 (full), vote and debate 0.04; no difference from a single agent is
outside its interval, the nearest of which is -0.08 (-0.20 to 0.04). The shorter the replies, the fewer have an answer in them: 0.92 of
a single agent's, 0.76 of those of a vote, 0.66 in sequence, 0.47 in a debate.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from games.spgg.game import Spgg
from games.spgg.measures import Solved, solved
from marl_llm import intervals
from marl_llm.agents.pool import AgentPool
from marl_llm.agents.saved import load_agent
from marl_llm.matches import self_play
from marl_llm.play import play
from marl_llm.records import Batch

AGENTS = 3


class Apart(Spgg):
    """Nobody reads anything."""

    def seen(self, seat: int) -> range:
        return range(0)


class Debate(Spgg):
    """The first three write apart; the next three read what those wrote."""

    def seen(self, seat: int) -> range:
        return range(AGENTS if seat >= AGENTS else 0)


def ways(tasks: str, level: int, budget: int) -> dict[str, Spgg]:
    third = {"tasks": tasks, "level": level, "words": budget // AGENTS}
    return {
        "single": Spgg(tasks=tasks, level=level, seats=1, words=budget),
        "vote": Apart(**third),
        "sequence, partial": Spgg(**third, observe="partial"),
        "sequence, full": Spgg(**third, observe="full"),
        "debate": Debate(tasks=tasks, level=level, seats=2 * AGENTS, words=budget // (2 * AGENTS)),
    }


def by_vote(found: Solved) -> NDArray[np.bool_]:
    """Whether the most frequent answer of the last three seats is right, [matches]."""
    right = []
    for answers, seats in zip(found.answer, found.right, strict=True):
        given = [(answer, true) for answer, true in zip(answers[-AGENTS:], seats[-AGENTS:], strict=True) if answer is not None]
        most = Counter(answer for answer, _ in given).most_common(1)
        right.append(bool(most) and dict(given)[most[0][0]])
    return np.asarray(right, bool)


def measured(model: Path, tasks: str, level: int, deals: int, budget: int, seed: int) -> Iterator[dict[str, object]]:
    """Every way's figures; differences are taken deal by deal."""
    pool = AgentPool({"model": load_agent(model)})
    single: dict[int, bool] = {}
    for name, game in ways(tasks, level, budget).items():
        game.spec = name
        batch = Batch.concat(play(self_play(name, "model", game.info.seats, deals, seed), pool, {name: game}.__getitem__, in_flight=deals))
        came = solved(batch, game)
        success = by_vote(came) if isinstance(game, Apart | Debate) else came.success
        own = dict(zip(came.task.tolist(), success.tolist(), strict=True))
        single = single or own
        apart = [float(own[deal]) - float(single[deal]) for deal in single]
        yield {
            "way": name,
            "solved": intervals.proportion(int(success.sum()), len(success)).json(),
            "beyond single": None if name == "single" else intervals.mean(apart).json(),
            "tokens": round(batch.size("token") / len(batch), 1),
            "with an answer": round(float(np.mean([answer is not None for row in came.answer for answer in row])), 3),
        }


if __name__ == "__main__":
    from marl_llm.inference.smollm import smollm2

    name, kind, *numbers = sys.argv[1:]
    folder = smollm2() if name == "smollm2" else Path(name)
    for figures in measured(folder, kind, *map(int, numbers)):
        print(json.dumps(figures), flush=True)
