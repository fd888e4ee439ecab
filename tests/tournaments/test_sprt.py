"""The sequential test: the likelihood ratio it claims, and no more false answers than it promises."""

import numpy as np
import pytest
from scipy.optimize import minimize

from marl_llm.errors import UserError
from marl_llm.seeding import generator
from tests.tournaments.players import Duel, Strength
from tournaments.formats import Tournament
from tournaments.host import host
from tournaments.ratings import ELO
from tournaments.sprt import GRID, Sprt, expected, llr


def test_the_ratio_is_that_of_the_nearest_distributions():
    counts = np.array([3.0, 11.0, 40.0, 20.0, 9.0])

    def best(s):
        """Highest log likelihood among distributions of mean ``s``, by a general optimiser."""
        found = minimize(
            lambda q: -(counts * np.log(q)).sum(),
            np.full(5, 0.2),
            bounds=[(1e-9, 1)] * 5,
            constraints=[{"type": "eq", "fun": lambda q: q.sum() - 1}, {"type": "eq", "fun": lambda q: q @ GRID - s}],
            options={"ftol": 1e-14, "maxiter": 1000},
        )
        return -found.fun

    assert float(llr(counts, GRID, 0.5, 0.53)) == pytest.approx(best(0.53) - best(0.5), abs=1e-3)
    assert float(llr(counts, GRID, 0.55, 0.5)) == pytest.approx(best(0.5) - best(0.55), abs=1e-3)
    assert llr(np.array([[0.0, 0, 8, 0, 0]]), GRID, 0.5, 0.53) < 0


def simulated(elo, test, runs, pairs, look, seed):
    """Share of answers 'stronger', 'not stronger' and the pairs they took, for agents ``elo`` apart; pairs share their luck."""
    d, nu = elo / ELO, 0.6
    rng = generator(seed)
    luck = rng.normal(0, 0.8, (runs, pairs, 1))  # a deal that is good for one seat
    lead = np.concatenate([d + luck, d - luck], axis=2)
    z = np.exp(lead / 2) + np.exp(-lead / 2) + nu
    win, draw = np.exp(lead / 2) / z, nu / z
    u = rng.random((runs, pairs, 2))
    score = ((u < win) + 0.5 * ((u >= win) & (u < win + draw))).mean(2)
    mean = float((win + draw / 2).mean())
    counts = np.cumsum(score[..., None] == GRID, axis=1)[:, look - 1 :: look]
    ratio = llr(counts.astype(float), GRID, expected(test.elo0), expected(test.elo1))
    low, high = test.bounds
    ended = (ratio <= low) | (ratio >= high)
    first = np.where(ended.any(1), ended.argmax(1), -1)
    at = ratio[np.arange(runs), first]
    return float(((first >= 0) & (at >= high)).mean()), float(((first >= 0) & (at <= low)).mean()), float(first.mean() + 1) * look, mean


@pytest.mark.parametrize("look", [8, 16])
def test_error_rates_hold(look):
    test = Sprt(elo0=0, elo1=80)
    stronger, weaker, pairs, mean = simulated(0, test, 1000, 480, look, 1)
    assert mean == pytest.approx(0.5, abs=0.005)
    assert stronger <= 0.05 + 0.014  # two standard errors of 1,000 runs
    assert weaker >= 0.93
    assert pairs < 300
    half = np.log(10) * 80 / 400  # of an expected score of elo1, as the test means it
    true = find_elo(1 / (1 + np.exp(-half)))
    stronger, weaker, _, mean = simulated(true, test, 1000, 480, look, 2)
    assert mean == pytest.approx(expected(80), abs=0.005)
    assert weaker <= 0.05 + 0.014
    assert stronger >= 0.93


def find_elo(score):
    """The strength at which the simulated agents score ``score``, draws and luck included."""
    low, high = 0.0, 400.0
    for _ in range(12):
        mid = (low + high) / 2
        if simulated(mid, Sprt(), 50, 2000, 2000, 3)[3] < score:
            low = mid
        else:
            high = mid
    return (low + high) / 2


def test_a_tournament_stops_when_it_is_sure_and_not_before():
    live = {"new": Strength(20), "old": Strength(10)}
    settings = {"format": "sprt", "game": "duel", "rounds": 2000, "sprt": Sprt(0, 40)}
    report = host(Tournament(agents=("new", "old"), **settings), live=live, load=lambda spec: Duel())
    assert report.verdict.answer == "stronger"
    assert report.matches < 400
    assert sum(report.verdict.pairs.values()) * 2 == report.matches == report.planned
    turned = host(Tournament(agents=("old", "new"), **settings), live=live, load=lambda spec: Duel())
    assert turned.verdict.answer == "not stronger"
    short = host(Tournament(agents=("new", "old"), **settings | {"rounds": 3}), live=live, load=lambda spec: Duel())
    assert short.verdict.answer == "undecided"
    assert short.json()["sprt"]["answer"] == "undecided"


def test_payoffs_of_any_size_can_be_tested():
    report = host(Tournament(format="sprt", game="leduc_poker", agents=("cfr", "random"), rounds=400, sprt=Sprt(0, 10)))
    assert report.verdict.answer == "stronger"
    assert len(report.verdict.pairs) > 5


@pytest.mark.parametrize("wrong", [{"elo0": 5, "elo1": 5}, {"alpha": 0}, {"beta": 0.7}])
def test_hypotheses_that_make_no_test(wrong):
    with pytest.raises(UserError, match="--sprt"):
        Sprt(**wrong)
