"""Random play with records, keys as integer codes (or tensors in their place), against loops over OpenSpiel.

``bare`` is the leanest Python loop over pyspiel, which keeps nothing; ``recording`` keeps what our records keep, a turn's
seat, key, action and match; ``environment`` is OpenSpiel's rl_environment with tensors.
"""

from __future__ import annotations

import random

import pyspiel
import pytest
from open_spiel.python.rl_environment import Environment

from marl_llm.agent import Decision, Request
from marl_llm.agents.random import RandomAgent
from marl_llm.matches import self_play
from marl_llm.play import play
from marl_llm.registry import game
from tests.bench.measure import compare

pytestmark = pytest.mark.bench
MATCHES = {"kuhn_poker": 40_000, "leduc_poker": 20_000, "connect_four": 4_000}


class Pool:
    def __init__(self, agent):
        self.agent = agent

    def resolve(self, player):
        return self.agent


class Looks(RandomAgent):
    """Reads its tensors before it moves, as a neural agent does."""

    def decide(self, request: Request) -> Decision:
        assert len(request.views.vectors()) == len(request)
        return super().decide(request)


def ours(name, agent, matches, *, keys=True):
    def work():
        plan = self_play(name, "agent", game(name).info.seats, matches, seed=1)
        return sum(batch.size("turn") for batch in play(plan, Pool(agent), game, keys=keys))

    return work


def bare(name, matches):
    native = pyspiel.load_game(name)
    rng = random.Random(1)

    def work():
        decisions = 0
        for _ in range(matches):
            state = native.new_initial_state()
            while not state.is_terminal():
                if state.is_chance_node():
                    outcomes, weights = zip(*state.chance_outcomes(), strict=True)
                    state.apply_action(rng.choices(outcomes, weights)[0])
                else:
                    state.apply_action(rng.choice(state.legal_actions()))
                    decisions += 1
            state.returns()
        return decisions

    return work


def recording(name, matches):
    native = pyspiel.load_game(name)
    perfect = native.get_type().information == pyspiel.GameType.Information.PERFECT_INFORMATION
    key = pyspiel.State.observation_string if perfect else pyspiel.State.information_state_string
    rng = random.Random(1)

    def work():
        codes, turns, returns = {}, [], []
        for match in range(matches):
            state = native.new_initial_state()
            while not state.is_terminal():
                if state.is_chance_node():
                    outcomes, weights = zip(*state.chance_outcomes(), strict=True)
                    state.apply_action(rng.choices(outcomes, weights)[0])
                else:
                    seat, action = state.current_player(), rng.choice(state.legal_actions())
                    turns.append((match, seat, codes.setdefault(f"{seat}:{key(state, seat)}", len(codes)), action))
                    state.apply_action(action)
            returns.append(state.returns())
        return len(turns)

    return work


def environment(name, matches):
    made = Environment(name)
    rng = random.Random(1)

    def work():
        decisions = 0
        for _ in range(matches):
            step = made.reset()
            while not step.last():
                seat = step.observations["current_player"]
                step = made.step([rng.choice(step.observations["legal_actions"][seat])])
                decisions += 1
        return decisions

    return work


@pytest.mark.parametrize("name", MATCHES)
def test_play_against_the_bare_loop(name):
    figures = compare(f"play/{name}/bare pyspiel", ours(name, RandomAgent(), MATCHES[name]), bare(name, MATCHES[name]))
    assert figures["ratio"] >= 0.5  # missed on connect_four: OpenSpiel's key of a position costs as much as a bare decision


@pytest.mark.parametrize("name", MATCHES)
def test_play_against_a_loop_that_records(name):
    figures = compare(f"play/{name}/pyspiel with records", ours(name, RandomAgent(), MATCHES[name]), recording(name, MATCHES[name]))
    assert figures["ratio"] >= 0.5


@pytest.mark.parametrize("name", MATCHES)
def test_play_with_tensors_against_rl_environment(name):
    matches = MATCHES[name] // 2
    figures = compare(f"play/{name}/rl_environment with tensors", ours(name, Looks(), matches, keys=False), environment(name, matches))
    assert figures["ratio"] >= 2
