"""Ranks, skill at tables, and the welfare of groups: what is planted comes back, inside intervals as often as they say."""

import numpy as np
import pytest

from marl_llm.agent import answer
from marl_llm.intervals import resampled
from marl_llm.seeding import generator
from tests.tournaments.players import First
from tournaments.formats import Tournament
from tournaments.host import host
from tournaments.ranks import ranks
from tournaments.skill import skill
from tournaments.welfare import gini, groups


@pytest.mark.parametrize("true", [(0.0, 0.1, 0.2, 0.5), (0.0, 0.0, 0.0, 0.3), (1.0, 1.0, 1.0, 1.0)])
def test_true_ranks_are_inside_at_the_stated_rate(true):
    true, rng, runs, deals = np.array(true), generator(1), 200, 60
    inside, exact = np.zeros(4), 0
    for run in range(runs):
        values = true + rng.normal(0, 0.5, (deals, 4)) + rng.normal(0, 1, (deals, 1))  # the deal's luck is everyone's
        found = ranks(values.mean(0), resampled(values, 400, run) / deals, deals)
        best, worst = 1 + (true[None] > true[:, None]).sum(1), (true[None] >= true[:, None]).sum(1)
        inside += [low <= first and last <= high for (low, high), first, last in zip(found, best, worst, strict=True)]
        exact += found[3] == (1, 1)
    assert (inside / runs >= 0.95 - 0.031).all()  # two standard errors of 200 runs
    if true[3] >= 0.5 > true[2]:
        assert exact / runs > 0.4  # the best is known although its payoff alone is drowned in the luck of deals


def test_a_single_deal_tells_no_rank():
    assert ranks(np.array([1.0, 2.0]), np.ones((5, 2)), 1) == [(1, 2), (1, 2)]


def test_skill_at_tables_of_five_finds_the_order():
    rng, n = generator(3), 8
    player = np.array([rng.permutation(n)[:5] for _ in range(600)])
    payoff = player + rng.normal(0, 2, player.shape)
    found = skill(player, payoff, n)
    order = np.argsort([interval.mean for interval in found])
    assert np.corrcoef(order, np.arange(n))[0, 1] > 0.97
    assert all(interval.low < interval.mean < interval.high for interval in found)
    assert sum(interval.n for interval in found) == 600 * 5
    alone = skill(np.zeros((4, 3), int), np.ones((4, 3)), 2)
    assert alone[0].n == alone[1].n == 0


def test_gini_of_known_shares():
    assert gini(np.array([[1.0, 1, 1, 1], [0, 0, 0, 8], [0, 0, 0, 0]])).tolist() == [0, 0.75, 0]


def test_groups_of_known_payoffs():
    player = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    payoff = np.array([[1.0, 1.0], [0.0, 3.0], [5.0, 0.0], [2.0, 2.0]])
    found = groups(["giver", "taker"], player, payoff, np.array([1, 1, 2, 2]), low=0.0)
    assert [group.agents for group in found] == [("giver", "taker"), ("taker", "taker"), ("giver", "giver")]
    assert [group.welfare.mean for group in found] == [4, 4, 2]
    assert found[0].payoffs["giver"].mean == 0
    assert found[0].payoffs["taker"].mean == 4
    assert found[0].gini.mean == 0.5
    assert groups(["a"], np.zeros((1, 2), int), payoff[:1], np.array([1]), low=-1.0)[0].gini is None


def test_public_goods_with_mixed_teams(tmp_path):
    class Gives(First):
        def decide(self, request):
            return answer(request, request.legal.data[request.legal.starts[1:] - 1])

    live = {"keeps": First(), "gives": Gives()}
    report = host(Tournament(format="teams", game="public_goods(seats=3,levels=1,mpcr=0.5)", agents=tuple(live), rounds=2), live=live)
    welfare = {group.agents.count("gives"): group.welfare.mean for group in report.groups}
    assert [welfare[k + 1] - welfare[k] for k in range(3)] == pytest.approx([0.5] * 3)  # each gift costs 1 and brings 3 x 0.5
    mixed = next(group for group in report.groups if group.agents.count("gives") == 2)
    assert mixed.payoffs["keeps"].mean - mixed.payoffs["gives"].mean == pytest.approx(1)
    assert report.balance.whole
    assert {group["agents"].count("gives") for group in report.json()["groups"]} == {0, 1, 2, 3}
