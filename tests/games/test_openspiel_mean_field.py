"""Mean-field games as populations: their limit is what OpenSpiel computes, and they keep the contract."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from open_spiel.python.mfg.algorithms.distribution import DistributionPolicy
from open_spiel.python.mfg.algorithms.policy_value import PolicyValue
from open_spiel.python.policy import TabularPolicy, UniformRandomPolicy

from games.openspiel.mean_field import Crowd, MeanField
from marl_llm import registry
from marl_llm.agents.random import RandomAgent
from marl_llm.boards import pick
from marl_llm.check import check_game
from marl_llm.errors import UserError
from marl_llm.matches import self_play
from marl_llm.play import play
from marl_llm.records import PLAYED, Batch
from marl_llm.seeding import uniform


class Last(UniformRandomPolicy):
    """Always the last legal action."""

    def action_probabilities(self, state, player_id=None):
        return {state.legal_actions()[-1]: 1.0}


def means(game: MeanField, policy: TabularPolicy, matches: int) -> NDArray[np.float64]:
    """Mean return of each population in each match, all seats playing ``policy``; shape [matches, populations]."""
    populations = len(game.roots)
    out = []
    for seed in range(matches):
        state, k = game.start(seed), 0
        while True:
            k += 1
            if outcomes := state.chance():
                state.apply_chance(pick(outcomes, uniform(seed, k)))
            elif seats := state.to_act():
                natives = state.walks.natives
                state.apply({s: pick([*policy.action_probabilities(natives[s]).items()], uniform(seed, k, s)) for s in seats})
            else:
                break
        gained = np.asarray(state.returns())
        out.append([gained[p::populations].mean() for p in range(populations)])
    return np.asarray(out)


LIMITS = [
    ("mfg_garnet", UniformRandomPolicy, (10, 100, 1000), 10),
    ("mfg_crowd_modelling", Last, (10, 100, 1000), 10),
    ("mean_field_nfg", Last, (10, 100, 1000), 0),
    ("mfg_dynamic_routing", UniformRandomPolicy, (1000,), 0),
    ("mean_field_lin_quad(horizon=4)", Last, (12, 240), 0),
    ("python_mfg_predator_prey(horizon=4)", UniformRandomPolicy, (12, 480), 25),
]


@pytest.mark.parametrize(("name", "make", "sizes", "states"), LIMITS)
def test_returns_approach_openspiels_value(name, make, sizes, states) -> None:
    """With the most seats the mean return is within a 99.9% interval of the mean-field value, and with fewer it is further away.

    The games reward by minus the logarithm of a share of seats, whose mean over N draws is off by (states - 1) / 2N a step.
    """
    away = []
    for seats in sizes:
        stem, _, rest = name.partition("(")
        game = MeanField(f"{stem}({rest.removesuffix(')')}{',' if rest else ''}seats={seats})")
        native = game.native
        policy = make(native)
        value = PolicyValue(native, DistributionPolicy(native, policy), policy)
        expected = np.asarray([value(root) for root in game.roots])
        found = means(game, policy, matches=8)
        away.append(abs(found.mean(0) - expected).max())
    half = 5.4 * found.std(0, ddof=1) / np.sqrt(8)  # Student's t with 7 degrees of freedom
    bias = native.max_game_length() * max(states - 1, 0) / (2 * seats / len(game.roots))
    assert (abs(found.mean(0) - expected) <= half + bias + 1e-9).all()
    assert (half + bias < 0.1 * abs(expected) + 0.1).all(), "the interval must be able to tell"
    assert all(few > many for few, many in pairwise(away) if few > 1e-9)


@pytest.mark.parametrize(
    "spec",
    [
        *("mfg_crowd_modelling", "mfg_garnet(seats=7,size=5)", "mfg_crowd_modelling_2d(seats=3)", "mfg_dynamic_routing"),
        *("mean_field_nfg", "mean_field_lin_quad(seats=3)", "python_mfg_predator_prey(seats=4)", "python_mfg_dynamic_routing"),
        *("python_mfg_periodic_aversion(seats=2,horizon=5)", "mfg_crowd_modelling(seats=1)"),
    ],
)
def test_populations_keep_the_contract(spec: str) -> None:
    game = registry.game(f"openspiel:{spec}")
    check_game(game, matches=3).require()
    assert game.info.anonymous == ("predator" not in spec)
    assert registry.game(f"openspiel:{game.info.name}").info == game.info


def test_a_seat_is_told_the_shares_of_the_population() -> None:
    """Two seats of three in one cell: each of them gains minus the logarithm of 2/3 there, the third minus that of 1/3."""
    state = MeanField("mfg_crowd_modelling(seats=3,horizon=2)").start(0)
    assert isinstance(state, Crowd)
    for cell in (4, 4, 8):
        assert state.to_act() == ()
        state.apply_chance(cell)
    before = state.returns()[:]
    state.apply(dict.fromkeys(state.to_act(), 1))
    for _ in range(3):
        state.apply_chance(1)  # nobody is moved
    gained = np.subtract(state.returns(), before)
    place = 1 - abs(np.asarray([4, 4, 8]) - 5) / 5
    np.testing.assert_allclose(gained, place - np.log([2 / 3, 2 / 3, 1 / 3]))
    assert [state.view(seat).text for seat in range(3)] == ["(4, 1)", "(4, 1)", "(8, 1)"]
    assert len({state.view(seat).key for seat in range(3)}) == 3


def test_populations_do_not_mix() -> None:
    """Five seats in three populations: seats 0 and 3 are the first, whose shares are halves."""
    state = MeanField("python_mfg_predator_prey(seats=5)").start(0)
    assert state.walks.weights == [1 / 2, 1 / 2, 1.0, 1 / 2, 1 / 2]
    assert [native.mean_field_population() for native in state.walks.natives] == [0, 1, 2, 0, 1]


class Pool:
    def resolve(self, player: str) -> RandomAgent:
        return RandomAgent()


def test_a_population_in_play() -> None:
    spec = "openspiel:mfg_garnet(seats=20)"
    one, two = (Batch.concat(list(play(self_play(spec, "random", 20, 4, 1), Pool(), registry.game, in_flight=n))) for n in (4, 1))
    assert (one["match.end"] == PLAYED).all()
    assert len(one["turn.reward"]) == 4 * 20 * 10
    np.testing.assert_array_equal(one["seat.return"], two["seat.return"])
    assert np.unique(one["seat.return"]).size > 40


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        ("mfg_garnet(seats=0)", "mfg_garnet: seats is 0; expected an integer from 1 to 1000"),
        ("mfg_garnet(seats=many)", "mfg_garnet: seats is 'many'"),
        ("python_mfg_predator_prey(seats=2)", "seats is 2; expected an integer from 3"),
        ("mfg_garnet(sise=3)", "Unknown parameter 'sise'.*parameters of mfg_garnet: eta"),
    ],
)
def test_bad_input_is_told_in_one_line(spec: str, line: str) -> None:
    with pytest.raises(UserError, match=line) as caught:
        registry.game(f"openspiel:{spec}")
    assert "\n" not in str(caught.value)
