"""Population methods reach equilibrium: PSRO with exact and with learned oracles, and NFSP beside OpenSpiel's.

Settings were tuned on seeds from 100 on; the last iteration counts, no checkpoint is selected.
"""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from time import monotonic

import numpy as np
import pytest

from algorithms.nfsp import NFSP
from algorithms.parts import PLAYER
from algorithms.psro import PSRO
from marl_llm import intervals, registry
from marl_llm.agents.pool import AgentPool
from marl_llm.algorithm import Recipe, Setup
from marl_llm.exact import exploitability, policy_of
from marl_llm.play import play
from marl_llm.records import Batch
from marl_llm.tree import tree_of

pytestmark = pytest.mark.learn


def trained(recipe: Recipe, game: str, seed: int, every: int) -> list[float]:
    """Exploitability before training, and after every so many iterations."""
    algorithm, tree = recipe.build(Setup((game,), registry.game, None, seed)), tree_of(registry.game(game))
    found = [exploitability(tree, policy_of(tree, algorithm.agents[PLAYER]))]
    for step in range(recipe.horizon):
        algorithm.learn(Batch.concat(play(algorithm.plan(step), AgentPool(algorithm.agents), registry.game, in_flight=4096)))
        if (step + 1) % every == 0:
            found.append(exploitability(tree, policy_of(tree, algorithm.agents[PLAYER])))
    return found


def test_double_oracle_on_leduc_poker():
    found = trained(PSRO(oracle="exact", epochs=60, deals=1), "leduc_poker", 0, 10)
    print(" ".join(f"{value:.4f}" for value in found))
    assert all(after < before for before, after in pairwise(found))
    assert found[-1] < 0.3


def test_learned_oracles_on_kuhn_poker_over_three_seeds():
    settings, last = PSRO(), []
    for seed in range(3):
        found = trained(settings, "kuhn_poker", seed, settings.length + 1)
        print(f"seed {seed}:", " ".join(f"{value:.3f}" for value in found))
        last.append(found[-1])
        assert found[-1] < 0.2 * found[0]
    print(f"exploitability {intervals.mean(last)}")
    assert np.mean(last) < 0.05


def test_nfsp_on_kuhn_poker_beside_open_spiels_over_three_seeds():
    """Each seed has the seconds that ours took."""
    script, ours, theirs = Path(__file__).with_name("nfsp.py"), [], []
    settings = NFSP(horizon=500)
    for seed in range(3):
        began = monotonic()
        ours.append(trained(settings, "kuhn_poker", seed, settings.horizon)[-1])
        seconds = monotonic() - began
        argv = [sys.executable, str(script), "kuhn_poker", f"{seconds:.1f}", str(seed)]
        peer = json.loads(subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
        theirs.append(peer["nash_conv"] / 2)
        print(f"seed {seed}: {seconds:.0f} s, exploitability {ours[-1]:.4f}, OpenSpiel's {theirs[-1]:.4f} ({peer['episodes']} episodes)")
    difference = intervals.mean(np.asarray(ours) - np.asarray(theirs))
    print(f"ours {intervals.mean(ours)}, theirs {intervals.mean(theirs)}, difference {difference}")
    assert difference.high < 0
    assert max(ours) < 0.08
