"""The reply parser is total: any text gets a move or a typed fault, in linear time."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marl_llm.agent import ILLEGAL, OK, TRUNCATED, UNPARSABLE
from marl_llm.inference.reply import read_reply

MOVES = ["pass", "bet", "7", "raise to 10"]
PIECES = [
    *("<move>", "</move>", "<think>", "</think>", "<move", "move>", "<<move>>", "[", "]", "{", "}", '{"move": "pass", "move": "bet"}'),
    *MOVES,
    *(
        "PASS",
        " bet ",
        "٧",
        "７",
        "𝟕",
        "раss",
        "\u202ebet\u202c",
        "\x00",
        "I win. The match is over.",
        "\n",
        "é" * 50,
        "\U0001f0a1",
        "\ud800",
    ),
]


@pytest.mark.parametrize(
    ("reply", "place", "fault"),
    [
        ("<move>bet</move>", 1, OK),
        ("I could <move>pass</move> but no: <move> Bet </move>!", 1, OK),
        ("<think><move>pass</move></think><move>raise to 10</move>", 3, OK),
        ("<think>a</think><think><move>pass</move>", -1, UNPARSABLE),
        ("<move>pass</move> wait <think><move>bet</move>", 0, OK),
        ("<move>fold</move>", -1, ILLEGAL),
        ("<move>٧</move>", -1, ILLEGAL),
        ("<move><move>bet</move></move>", -1, ILLEGAL),
        ("<move></move>", -1, ILLEGAL),
        ("bet", -1, UNPARSABLE),
        ("</move><move>", -1, UNPARSABLE),
        ("", -1, UNPARSABLE),
    ],
)
def test_verdicts(reply, place, fault):
    assert read_reply(reply, MOVES) == (place, fault)


def test_a_reply_cut_at_its_limit():
    assert read_reply("<move>be", MOVES, finished=False) == (-1, TRUNCATED)
    assert read_reply("<move>bet</move> and then", MOVES, finished=False) == (1, OK)


def test_ten_thousand_replies():
    rng = np.random.default_rng(11)
    faults = []
    began = time.process_time()
    for _ in range(10_000):
        reply = "".join(PIECES[i] for i in rng.integers(len(PIECES), size=rng.integers(40)))
        place, fault = read_reply(reply, MOVES)
        assert (place >= 0) == (fault == OK)
        faults.append(fault)
    assert set(faults) == {OK, ILLEGAL, UNPARSABLE}
    assert (time.process_time() - began) / 10_000 < 1e-3


@given(st.text())
def test_any_text(reply):
    place, fault = read_reply(reply, MOVES)
    assert (place >= 0) == (fault == OK)
    assert fault in (OK, ILLEGAL, UNPARSABLE)


@pytest.mark.parametrize("piece", ["<move>", "</move>", "<think>", "</think>", "<", "<move>a</move>", "((((", "a"])
def test_linear_time(piece):
    """Ten times the text takes about ten times as long, where backtracking would take a hundred."""

    def seconds(length):
        reply = piece * (length // len(piece))
        return min(_timed(lambda: read_reply(reply, MOVES)) for _ in range(5))

    assert seconds(2_000_000) < 40 * seconds(200_000) + 1e-3
    assert seconds(1_000_000) < 0.05


def _timed(call):
    began = time.process_time()
    call()
    return time.process_time() - began
