"""Matches in words between scripted players against TextArena's, wrapped as its guide wraps them and raw.

Ours records every turn; TextArena's loop keeps nothing. The player moves at random. There it reads the legal moves from the end of
its observation, which names them; here the loop hands them over.
"""

from __future__ import annotations

import random
import re

import pytest

from marl_llm.agents.callable import CallableAgent
from tests.bench.measure import compare
from tests.bench.test_play import ours

pytestmark = pytest.mark.bench
GAMES = {"kuhn_poker": ("KuhnPoker-v0", 20_000, 1_000), "tic_tac_toe": ("TicTacToe-v0", 6_000, 1_000)}
OFFERED = "vailable"
"""Stands before the moves in the observations of both games ("Your available actions are: '[check]', '[bet]'")."""


def scripted():
    rng = random.Random(1)
    return CallableAgent(lambda text, legal: rng.choice(legal))


def textarena(name, matches, read):
    """TextArena's loop. ``read`` makes text of an observation."""
    import textarena as ta

    rng = random.Random(1)

    def work():
        decisions = 0
        for match in range(matches):
            env = ta.make(name)
            env.reset(num_players=2, seed=match)
            done = False
            while not done:
                _, observation = env.get_observation()
                text = read(observation)
                move = rng.choice(re.findall(r"\[\w+\]", text[text.rindex(OFFERED) :]))
                done, _ = env.step(move)
                decisions += 1
            _, info = env.close()
            assert not any(seat["invalid_move"] for seat in info.values())
        return decisions

    return work


def joined(observation):
    return "\n".join(message for _, message, _ in observation)


@pytest.mark.parametrize("name", GAMES)
def test_text_against_textarena(name):
    theirs, matches, their_matches = GAMES[name]
    figures = compare(f"text/{name}/textarena", ours(name, scripted(), matches), textarena(theirs, their_matches, str), alone=True)
    assert figures["ratio"] >= 1


@pytest.mark.parametrize("name", GAMES)
def test_text_against_raw_textarena(name):
    theirs, matches, their_matches = GAMES[name]
    work = textarena(f"{theirs}-raw", their_matches, joined)
    figures = compare(f"text/{name}/raw textarena", ours(name, scripted(), matches), work, alone=True)
    assert figures["ratio"] >= 1
