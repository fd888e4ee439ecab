"""The matches of one iteration of an algorithm: those it plans, and those it asks for as others end."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from marl_llm.algorithm import Algorithm, Reacting
from marl_llm.game import Game, Spec
from marl_llm.play import AgentPool, play
from marl_llm.records import Batch


def played(
    algorithm: Algorithm,
    step: int,
    pool: AgentPool,
    games: Callable[[Spec], Game],
    *,
    in_flight: int,
    stop: Callable[[], bool] = lambda: False,
) -> Batch:
    """All matches of iteration ``step``; ``match.plan`` numbers them in the order in which they were planned."""
    batch = Batch.concat(play(algorithm.plan(step), pool, games, in_flight=in_flight, stop=stop))
    while isinstance(algorithm, Reacting) and not stop() and (more := algorithm.react(batch)):
        further = Batch.concat(play(more, pool, games, in_flight=in_flight, stop=stop))
        batch = Batch.concat([batch, further.with_columns(**{"match.plan": further["match.plan"] + np.int64(len(batch))})])
    return batch
