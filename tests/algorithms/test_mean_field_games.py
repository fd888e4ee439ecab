"""Finite mean-field games: known equilibria, known exploitabilities of fictitious play and mirror descent, and OpenSpiel's own."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import pyspiel
import pytest
from open_spiel.python.mfg.algorithms import fictitious_play as their_play
from open_spiel.python.mfg.algorithms import mirror_descent as their_descent
from open_spiel.python.mfg.algorithms.nash_conv import NashConv

from algorithms.mean_field_games import action_values, exploitability, fictitious_play, flow, mirror_descent, softmax, uniform, value
from games.mean_field_games import CrowdModelling, left_right, rock_paper_scissors
from games.openspiel.mean_field_model import MeanFieldModel
from marl_llm.errors import UserError


def after(policies: Iterator[Any], iterations: int) -> Any:
    return next(islice(policies, iterations - 1, None))


@pytest.mark.parametrize(
    ("game", "shares", "worth", "loose"),
    [
        (left_right(), np.asarray([2, 1]) / 3, -2 / 3, 1 / 4),
        (rock_paper_scissors(), np.asarray([26, 20, 31]) / 77, 6 / 11, 1 / 3),
    ],
)
def test_equilibria_of_mfglib(game, shares, worth, loose):
    """T7 and T8: the equilibrium is known, so is what uniform play loses, and mirror descent finds the one from the other."""
    pi = uniform(game)
    assert exploitability(game, pi) == pytest.approx(loose)
    pi[0, 0] = shares
    assert flow(game, pi)[1, 1:] == pytest.approx(shares)
    assert exploitability(game, pi) == pytest.approx(0, abs=1e-12)
    assert value(game, pi) == pytest.approx(worth)
    found = after(mirror_descent(game, 0.1), 1000)
    assert found[0, 0] == pytest.approx(shares, abs=1e-4)
    assert value(game, found) == pytest.approx(worth, abs=1e-6)


@pytest.mark.parametrize(
    ("game", "played", "descended"),
    [
        (left_right(), [0.0310, 0.00331, 0.000333], [0.0951, 0.00014, 0.0]),
        (rock_paper_scissors(), [0.275, 0.0144, 0.0083], [0.161, 0.0808, 2.4e-7]),
    ],
)
def test_exploitability_after_10_100_and_1000_iterations(game, played, descended):
    for k, one, other in zip((10, 100, 1000), played, descended, strict=True):
        assert exploitability(game, after(fictitious_play(game), k)) == pytest.approx(one, rel=0.01)
        assert exploitability(game, after(mirror_descent(game, 0.1), k)) == pytest.approx(other, rel=0.02, abs=1e-12)


def test_crowd_modelling_by_its_rules():
    """The cost of a move belongs to the move. Fictitious play's figures depend on how it breaks ties, those of mirror descent do not."""
    game = CrowdModelling()
    assert exploitability(game, uniform(game)) == pytest.approx(2.7867, abs=5e-5)
    for rate, known in ((1.0, [0.3645, 0.01225]), (0.1, [0.643, 0.475]), (0.01, [2.297, 1.197])):
        found = [exploitability(game, after(mirror_descent(game, rate), k)) for k in (10, 50)]
        assert found == pytest.approx(known, rel=1e-3)
    falling = [exploitability(game, pi) for pi in islice(fictitious_play(game), 200)]
    assert falling[9] < 0.35
    assert falling[49] < 0.07
    assert falling[199] < 0.02


def test_one_step_by_hand():
    """Left-right: after one step of fictitious play half the players have moved to the right, which loses as much as the left gains."""
    game = left_right()
    pi = after(fictitious_play(game), 1)  # the uniform policy loses 1/2 on the left, 1 on the right, so the response is left
    assert pi[0, 0] == pytest.approx([0.75, 0.25])
    q = action_values(game, flow(game, pi))
    assert q[0, 0] == pytest.approx([-0.75, -0.5])
    assert exploitability(game, pi) == pytest.approx(0.75 * 0.25)
    step = after(mirror_descent(game, 1.0), 1)
    assert step[0, 0] == pytest.approx(softmax(np.asarray([-0.5, -1.0])))
    assert after(fictitious_play(game, rate=1.0, temperature=0.5), 1)[0, 0] == pytest.approx(softmax(np.asarray([-1.0, -2.0])))


@pytest.fixture(scope="module")
def crowd() -> MeanFieldModel:
    return MeanFieldModel("mfg_crowd_modelling")


def theirs(solver: Any) -> float:
    for _ in range(10):
        solver.iteration()
    return NashConv(pyspiel.load_game("mfg_crowd_modelling"), solver.get_policy()).nash_conv()


@pytest.mark.parametrize(("settings", "known"), [({}, 0.991), ({"temperature": 1.0}, 1.062), ({"rate": 1.0}, 55.745)])
def test_fictitious_play_as_openspiel_has_it(crowd, settings, known):
    """T6, and OpenSpiel's own solver where it is quick."""
    ours = exploitability(crowd, after(fictitious_play(crowd, **settings), 10))
    assert ours == pytest.approx(known, abs=5e-4)
    if settings.get("rate"):
        assert ours == pytest.approx(theirs(their_play.FictitiousPlay(pyspiel.load_game("mfg_crowd_modelling"), lr=1.0)), abs=1e-9)


def test_mirror_descent_as_openspiel_has_it(crowd):
    """T6. OpenSpiel's solver changes the sums that its policy reads while it evaluates that policy; ours does not."""
    ours = exploitability(crowd, after(mirror_descent(crowd, 0.01), 10))
    library = theirs(their_descent.MirrorDescent(pyspiel.load_game("mfg_crowd_modelling"), lr=0.01))
    assert library == pytest.approx(2.27303, abs=1e-5)
    assert ours == pytest.approx(2.27366, abs=1e-5)


@pytest.mark.parametrize(
    ("name", "states"), [("mfg_crowd_modelling_2d(size=5,horizon=5)", 25), ("python_mfg_crowd_modelling", 10), ("mfg_garnet", 10)]
)
def test_other_games_of_openspiel_give_its_own_exploitability(name, states):
    from open_spiel.python.mfg.games import crowd_modelling  # noqa: F401  # registers the Python one
    from open_spiel.python.policy import UniformRandomPolicy

    game, native = MeanFieldModel(name), pyspiel.load_game(name)
    assert game.states == states
    assert exploitability(game, uniform(game)) == pytest.approx(NashConv(native, UniformRandomPolicy(native)).nash_conv())


@pytest.mark.parametrize("name", ["kuhn_poker", "python_mfg_predator_prey"])
def test_what_is_no_such_game_is_refused(name):
    from open_spiel.python.mfg.games import predator_prey  # noqa: F401

    with pytest.raises(UserError, match=f"{name} is no mean-field game of one population"):
        MeanFieldModel(name)
