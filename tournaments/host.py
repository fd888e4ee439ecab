"""Hosts a tournament: plays what is not yet in the store, whatever the agents do, and reports.

marl-llm tournament round-robin --game kuhn_poker --agents random,cfr --rounds 100 --out runs/kuhn
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from marl_llm import registry
from marl_llm.agent import Agent
from marl_llm.agents.guarded import Guarded
from marl_llm.agents.pool import AgentPool
from marl_llm.game import Game, Spec
from marl_llm.interrupt import interruptible
from marl_llm.play import play
from marl_llm.progress import progress
from tournaments.clocks import Clock, Clocked
from tournaments.exploit import exploitabilities
from tournaments.formats import Tournament
from tournaments.report import Report, report
from tournaments.store import Store


def round_robin(
    game: Spec, agents: Sequence[str], rounds: int, *, live: Mapping[str, Agent] | None = None, seed: int = 0, folder: Path | None = None
) -> Report:
    """Every agent meets every other in every seat, ``rounds`` deals each; ``live`` are agents that are no registry names."""
    return host(Tournament(game=game, agents=tuple(agents), rounds=rounds, seed=seed), live=live, folder=folder, resume=True)


def host(
    tournament: Tournament,
    *,
    live: Mapping[str, Agent] | None = None,
    folder: Path | None = None,
    resume: bool = False,
    in_flight: int = 256,
    load: Callable[[Spec], Game] = registry.game,
) -> Report:
    """Play a tournament to its end and report it.

    Unknown names and a folder in use are UserErrors before anything is played. An interrupt raises KeyboardInterrupt when
    what has finished is stored; a second one does so at once.
    """
    game = load(tournament.game)
    pool = _Guards(AgentPool(live), tournament.clock)
    for name in tournament.agents:
        pool.resolve(name)
    planned = tournament.planned(game.info)
    with _heap_at_rest(), Store(tournament, game.info.seats, folder, resume=resume) as store, interruptible() as stop:
        with progress(planned, "tournament", done=store.finished()) as bar:
            for stage in tournament.stages(game.info, store.of):
                for batch in play(store.unfinished(stage), pool, load, in_flight=in_flight, keys=False, seal_s=1.0, stop=stop):
                    store.append(batch)
                    bar.advance(len(batch))
                if stop():
                    raise KeyboardInterrupt
        return report(tournament, game.info, store.results(), exploitabilities(game, pool.made))


@contextmanager
def _heap_at_rest() -> Iterator[None]:
    """Spare Python's collector what was there before: searching libraries such as torch again and again takes longer than play."""
    mine = not gc.get_freeze_count()
    if mine:
        gc.freeze()
    try:
        yield
    finally:
        if mine:
            gc.unfreeze()


class _Guards:
    """A pool of guarded agents under a clock; a player is guarded once."""

    def __init__(self, pool: AgentPool, clock: Clock) -> None:
        self.pool, self.clock = pool, clock
        self.made: dict[str, Agent] = {}

    def resolve(self, player: str) -> Agent:
        if player not in self.made:
            guarded = Guarded(self.pool.resolve(player), player)
            self.made[player] = Clocked(guarded, self.clock) if self.clock.runs else guarded
        return self.made[player]
