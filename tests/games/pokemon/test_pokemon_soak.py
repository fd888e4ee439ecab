"""Ten thousand random battles over all pools: no choice is rejected, nothing hangs, no memory is kept."""

from __future__ import annotations

from types import SimpleNamespace

import psutil
import pytest

from games.pokemon.worker import workers
from marl_llm import registry
from marl_llm.agents.random import RandomAgent
from marl_llm.matches import self_play
from marl_llm.play import play
from marl_llm.records import PLAYED

SPECS = [f"pokemon:gen9vgc2025regi(teams={teams},sheets={sheets})" for teams in (1, 4, 16, 64, "held_out") for sheets in ("open", "closed")]
SPECS += [f"pokemon:{format}" for format in ("gen9randomdoublesbattle", "gen8randomdoublesbattle", "gen9randombattle", "gen7randombattle")]
BATTLES = 10_000


def memory() -> float:
    """MiB that the workers hold."""
    processes = [worker._process for worker in workers(2)]
    return sum(psutil.Process(process.pid).memory_info().rss for process in processes if process) / 2**20


@pytest.mark.soak
def test_ten_thousand_battles() -> None:
    done, held = 0, []
    for k, spec in enumerate(SPECS):
        plan = self_play(spec, "random", 2, -(-BATTLES // len(SPECS)), k)
        for batch in play(plan, SimpleNamespace(resolve=lambda player: RandomAgent()), registry.game, in_flight=32):
            assert batch.tables["error"] == []
            assert (batch["match.end"] == PLAYED).all()
            done += len(batch["match.end"])
        held.append(memory())
    assert done >= BATTLES
    assert max(held[-3:]) < 1.3 * max(held[3:-3]), f"MiB held by the workers after each format: {held}"
