"""Alpha-rank, Nash averaging and the split into ladder and circles, on tables whose answers are known."""

import numpy as np
import pytest
from open_spiel.python.egt import alpharank

from marl_llm.agent import answer
from marl_llm.seeding import generator
from tests.tournaments.players import First
from tournaments.analysis import MUTATION, alpha_rank, analysis, hodge, nash_average
from tournaments.formats import Tournament
from tournaments.host import host

ROCK = np.array([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]])
"""Rock, paper, scissors."""


def ladder(*rating):
    return np.subtract.outer(np.array(rating, float), np.array(rating, float))


def test_alpha_rank_in_closed_form():
    assert alpha_rank(ROCK) == pytest.approx(np.full(3, 1 / 3))
    two = alpha_rank(np.array([[0.0, 1], [-1, 0]]))  # detailed balance: the loser is left at rate 1 - m and entered at rate m
    assert two == pytest.approx([1 - MUTATION, MUTATION])
    assert alpha_rank(np.zeros((4, 4))) == pytest.approx(np.full(4, 1 / 4))
    four = np.zeros((4, 4))
    four[:3, :3] = ROCK
    four[:3, 3], four[3, :3] = 1, -1  # a fourth that all beat
    share = alpha_rank(four)
    assert share[3] < 2 * MUTATION
    assert share[:3] == pytest.approx(np.full(3, share[0]))
    assert alpha_rank(np.stack([ROCK, -ROCK])).shape == (2, 3)


def test_alpha_rank_agrees_with_openspiel():
    table = generator(4).normal(size=(6, 6))
    table = table - table.T
    theirs = alpharank.compute([table], use_inf_alpha=True, inf_alpha_eps=MUTATION)[2]
    assert alpha_rank(table) == pytest.approx(theirs, abs=1e-6)


def test_nash_averaging_in_closed_form():
    share, skill = nash_average(ROCK)
    assert share == pytest.approx(np.full(3, 1 / 3), abs=1e-6)
    assert skill == pytest.approx(np.zeros(3), abs=1e-6)
    weighted = np.array([[0.0, -1, 2], [1, 0, -3], [-2, 3, 0]])  # shares are as the payoffs of the other two: 3, 2, 1
    assert nash_average(weighted)[0] == pytest.approx(np.array([3, 2, 1]) / 6, abs=1e-6)
    share, skill = nash_average(ladder(0, 1, 3))
    assert share == pytest.approx([0, 0, 1], abs=1e-6)
    assert skill == pytest.approx([-3, -2, 0], abs=1e-6)
    assert nash_average(np.zeros((3, 3)))[0] == pytest.approx(np.full(3, 1 / 3), abs=1e-6)


def test_copies_of_an_agent_share_its_weight_and_change_no_skill():
    copied = ROCK[np.ix_([0, 0, 1, 2], [0, 0, 1, 2])]
    share, skill = nash_average(copied)
    assert share == pytest.approx([1 / 6, 1 / 6, 1 / 3, 1 / 3], abs=1e-4)
    assert skill == pytest.approx(np.zeros(4), abs=1e-5)


def test_payoffs_split_into_a_ladder_and_circles():
    assert hodge(ladder(0, 1, 3)).cyclic == pytest.approx(0, abs=1e-12)
    assert hodge(ladder(0, 1, 3)).rating == pytest.approx(np.array([0, 1, 3]) - 4 / 3)
    assert hodge(ladder(0, 1, 3)).triples == ()
    assert hodge(ROCK).cyclic == pytest.approx(1)
    (circle,) = hodge(ROCK).triples
    assert circle.agents == (0, 2, 1)  # rock beats scissors beat paper
    assert circle.least == 1
    both = hodge(ladder(0, 1, 2) + 2 * ROCK)
    assert both.cyclic == pytest.approx(24 / (24 + 12))  # squares of orthogonal parts add up
    apart = np.where(np.arange(4)[:, None] + np.arange(4) == 3, np.nan, ladder(0, 1, 2, 4))  # 0 and 3, 1 and 2 never met
    assert hodge(apart).rating == pytest.approx(np.array([0, 1, 2, 4]) - 7 / 4)


def test_circles_of_luck_are_told_from_planted_ones():
    rng = generator(5)
    true = ladder(*range(6)) / 5

    def noisy(table, size):
        noise = rng.normal(0, 0.15, (*size, 6, 6))
        return table + noise - noise.swapaxes(-1, -2)

    shares, lucks = zip(
        *((split.cyclic, split.luck) for split in (hodge(seen, noisy(seen, (200,))) for seen in noisy(true, (40,)))), strict=True
    )
    assert np.mean(shares) == pytest.approx(np.mean(lucks), rel=0.15)
    assert hodge(noisy(np.kron(np.ones((2, 2)), ROCK), ()), noisy(true, (200,)) - true + np.kron(np.ones((2, 2)), ROCK)).cyclic > 0.5
    assert analysis(ROCK[:2, :2], np.zeros((5, 2, 2)), zero_sum=True) is None


class Always(First):
    """Always the same move."""

    def __init__(self, move):
        super().__init__()
        self.move = move

    def policy(self, request):
        raise TypeError("none")

    def decide(self, request):
        return answer(request, np.full(len(request), self.move))


def test_a_planted_rock_paper_scissors_is_found_in_a_tournament():
    live = {name: Always(move) for move, name in enumerate(("rock", "paper", "scissors"))}
    report = host(Tournament(game="openspiel:matrix_rps", agents=tuple(live), rounds=10), live=live)
    assert report.analysis.split.cyclic == pytest.approx(1)
    assert report.analysis.split.luck == pytest.approx(0, abs=1e-9)
    assert report.analysis.alpha[:, 0] == pytest.approx(np.full(3, 1 / 3))
    assert report.analysis.nash[0] == pytest.approx(np.full(3, 1 / 3), abs=1e-6)
    found = report.json()["analysis"]["triples"]
    assert found == [{"agents": ["rock", "scissors", "paper"], "least": 1.0}]
    assert any("rock beats scissors beats paper beats rock" in line for line in report.analysis.lines(report.names))
