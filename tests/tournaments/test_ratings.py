"""Ratings recover what is planted, as often as their intervals say."""

from itertools import permutations

import numpy as np
import pytest

from marl_llm.intervals import means
from marl_llm.seeding import generator
from tests.tournaments.players import Duel, Strength
from tournaments.formats import Tournament
from tournaments.host import host
from tournaments.ratings import DRAW, ELO, LOSS, PRIOR, WIN, elo, strengths


def likelihood(x, wins, draws):
    """Log posterior of strengths and log nu, written from the model's definition."""
    total = -PRIOR * (x**2).sum() / 2
    for i in range(len(wins)):
        for j in range(len(wins)):
            d, nu = x[i] - x[j], np.exp(x[-1])
            z = np.exp(d / 2) + np.exp(-d / 2) + nu
            total += wins[i, j] * (d / 2 - np.log(z)) + draws[i, j] / 2 * np.log(nu / z)
    return total


def test_the_estimate_is_the_maximum():
    rng = generator(1)
    wins, draws = rng.poisson(9, (4, 4)) * (1 - np.eye(4)), rng.poisson(5, (4, 4)) * (1 - np.eye(4))
    draws = draws + draws.T
    best = strengths(wins, draws)
    assert best.sum() == pytest.approx(0)
    nu = np.linspace(-3, 3, 2001)
    x = np.append(best, nu[np.argmax([likelihood(np.append(best, value), wins, draws) for value in nu])])
    top = likelihood(x, wins, draws)
    for _ in range(200):
        nudge = rng.normal(size=4) * 0.05
        assert likelihood(np.append(best + nudge - nudge.mean(), x[-1]), wins, draws) < top
    many = strengths(np.stack([wins, wins.T]), np.stack([draws, draws]))
    assert np.allclose(many, [best, -best], atol=1e-5)


def test_planted_strengths_are_inside_the_intervals_at_the_stated_rate():
    tenths = {"a": 8, "b": 12, "c": 15, "d": 25}
    live = {name: Strength(value) for name, value in tenths.items()}
    truth = ELO * (np.array(list(tenths.values())) - 15) / 10
    hits, runs = 0, 30
    for run in range(runs):
        report = host(Tournament(game="duel", agents=tuple(tenths), rounds=40, seed=run), live=live, load=lambda spec: Duel())
        for standing, true in zip(report.standings, truth.tolist(), strict=True):
            hits += standing.elo.low <= true <= standing.elo.high
    assert 0.88 <= hits / (4 * runs) <= 0.99


def test_intervals_hold_over_many_simulated_tournaments():
    """Round robins of five agents in which deals, shared by all tables, favour a seat."""
    true, nu, runs, deals = np.array([-0.8, -0.2, 0.0, 0.3, 0.7]), 0.5, 120, 60
    rng, table = generator(11), np.array(list(permutations(range(5), 2)))
    luck = rng.normal(0, 0.5, (runs, deals, 1))
    lead = true[table[:, 0]] - true[table[:, 1]] + luck
    z = np.exp(lead / 2) + np.exp(-lead / 2) + nu
    u = rng.random(lead.shape) * z
    outcome = np.where(u < np.exp(lead / 2), WIN, np.where(u < np.exp(lead / 2) + nu, DRAW, LOSS))
    players, unit = np.tile(table, (deals, 1)), np.repeat(np.arange(deals), len(table))
    hits, off = 0, []
    for run in range(runs):
        found, _ = elo(players, outcome[run].reshape(-1), unit, 5, draws=300, seed=run)
        hits += sum(standing.low <= ELO * value <= standing.high for standing, value in zip(found, true.tolist(), strict=True))
        off.append([standing.mean - ELO * value for standing, value in zip(found, true.tolist(), strict=True)])
    assert 0.91 <= hits / (5 * runs) <= 0.98
    assert abs(np.mean(off, axis=0)).max() < 15  # luck that the model does not know flattens strengths by 3%


def test_a_deal_that_decides_every_match_widens_the_interval():
    rng = generator(3)
    deals = np.repeat(np.arange(100), 20).astype(np.uint64)
    players = np.tile([[0, 1], [1, 0]], (1000, 1))
    lucky = np.repeat(rng.integers(0, 2, 100), 20) * 2  # the first agent wins a whole deal or loses it
    first = np.where(players[:, 0] == 0, lucky, 2 - lucky)
    alone, together = (elo(players, first, units, 2)[0][0] for units in (np.arange(2000), deals))
    assert together.high - together.low > 3 * (alone.high - alone.low)


def test_unbeaten_agents_and_lone_draws_stay_finite():
    players = np.tile([[0, 1], [1, 0]], (50, 1))
    beaten, _ = elo(players, np.where(players[:, 0] == 0, 2, 0), np.arange(100), 2)
    assert 500 < beaten[0].mean - beaten[1].mean < 4000
    drawn, _ = elo(players, np.full(100, DRAW), np.arange(100), 2)
    assert drawn[0].mean == pytest.approx(0, abs=1e-6)
    assert elo(players[:2], np.array([2, 0]), np.zeros(2, int), 2)[0][0].high == np.inf  # one deal tells nothing of chance


def test_payoff_intervals_cover_the_truth_on_shared_deals():
    tenths = {"a": 10, "b": 14, "c": 18}
    live = {name: Strength(value) for name, value in tenths.items()}

    def expected(d, nu=0.5):
        return (np.exp(d / 2) - np.exp(-d / 2)) / (np.exp(d / 2) + np.exp(-d / 2) + nu)

    truth = np.mean([expected((14 - 10) / 10), expected((14 - 18) / 10)])
    hits = 0
    for run in range(60):
        report = host(Tournament(game="duel", agents=tuple(tenths), rounds=20, seed=run), live=live, load=lambda spec: Duel())
        payoff = report.standings[1].payoff
        hits += payoff.low <= truth <= payoff.high
    assert hits >= 53
    assert means([], [], np.zeros(0, int), 1)[0].n == 0
