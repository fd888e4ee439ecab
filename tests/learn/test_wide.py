"""``mars-wide`` on games of hundreds and thousands of positions, three seeds that were not used for tuning, no checkpoint chosen.

tic_tac_toe: exact figures over all boards at temperature 1, against uniform play and against minimax with uniform ties.
leduc_poker: NashConv of the last iterate and of the average; beside it card-blind play and OpenSpiel's NFSP for the same time.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from marl_llm import metrics, registry
from marl_llm.cli import main
from marl_llm.exact import nash_conv
from marl_llm.tree import tree_of

pytestmark = pytest.mark.learn
BOARDS, CARDS = (5, 6, 7), (0, 1, 2)
"""Seeds."""
OPENINGS = ("--sampler.matches", "1024", "--sampler.opening", "6")
EVEN = ("--loss.evenness", "1", "--loss.alpha.start", "0.25", "--loss.alpha.end", "0.05", "--loss.eta.end", "0.2", "--horizon", "125")
"""Openings take the place of dealt cards, so they reach deeper; and a board that play seldom comes to counts as much as any other. The
pull towards uniform play begins stronger than by default, so that nothing is settled while the other side still plays badly: what has
become almost certain is hard to unlearn. It falls further, but stays: else a move as good as another is given up, and the answers to
it are forgotten."""


def trained(tmp_path, capsys, game, seed, *flags):
    """What ``evaluate --json`` says of a run, with the run's own records and seconds."""
    out = tmp_path / f"{game}{seed}"
    assert main(["train", "mars-wide", "--game", game, "--seed", str(seed), "--out", str(out), *flags]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(out), "--json"]) == 0
    records = metrics.read(out)
    seconds = sum(sum(record.get(f"{part}_s", 0.0) for part in ("evaluate", "play", "learn")) for record in records)
    return json.loads(capsys.readouterr().out.splitlines()[-1]), records, seconds


@pytest.mark.parametrize("seed", BOARDS)
def test_tic_tac_toe(tmp_path, capsys, seed):
    found, records, seconds = trained(tmp_path, capsys, "tic_tac_toe", seed, *OPENINGS, *EVEN)
    (x, o), (dx, do) = ([met["mean"] for met in [score[part] for score in found["anchors"][name]["seats"]]] for name, part in PARTS)
    boards = [record["information_sets"] for record in records if "information_sets" in record]
    told = {
        "loses to random as X, O": [x, o],
        "draws with minimax as X, O": [dx, do],
        "best response": found["best_response"],
        "information sets a batch": [boards[0], boards[len(boards) // 2], boards[-1]],
    }
    print(json.dumps({"seed": seed, **told, "seconds": round(seconds)}), flush=True)
    assert x <= 0.015
    assert o <= 0.05
    assert dx >= 0.95
    assert do >= 0.80


PARTS = (("random", "loss"), ("minimax", "draw"))


def blind(tree, choose):
    """NashConv of always taking the first of ``choose`` that is legal."""
    policy = np.zeros(len(tree.legal.data))
    for i in range(len(tree.keys)):
        names = tree.action_texts(i)
        policy[tree.legal.starts[i] + next(names.index(name) for name in choose if name in names)] = 1
    return nash_conv(tree, policy)


@pytest.mark.parametrize("seed", CARDS)
def test_leduc_poker(tmp_path, capsys, seed):
    found, records, seconds = trained(tmp_path, capsys, "leduc_poker", seed)
    tree = tree_of(registry.game("leduc_poker"))
    last, average = 2 * found["exploitability"], 2 * found["exploitability_average"]
    script = Path(__file__).with_name("nfsp.py")
    peer = subprocess.run([sys.executable, str(script), "leduc_poker", str(seconds), str(seed)], capture_output=True, text=True, check=True)
    told = {
        "last": last,
        "average": average,
        "private_tv": found["private_tv"],
        "uniform": nash_conv(tree, tree.uniform_policy()),
        "fold or check": blind(tree, ("fold", "call")),
        "call": blind(tree, ("call",)),
        "nfsp": json.loads(peer.stdout.splitlines()[-1]),
        "information sets a batch": [records[0]["information_sets"], records[-2]["information_sets"]],
    }
    print(json.dumps({"seed": seed, **told, "seconds": round(seconds)}), flush=True)
    assert told["uniform"] == pytest.approx(4.7472, abs=1e-3)
    assert told["fold or check"] == pytest.approx(2.0, abs=1e-3)
    assert told["call"] == pytest.approx(2.9333, abs=1e-3)
    assert last <= 0.9
    assert average <= 0.7
    assert found["private_tv"] > 0.05
