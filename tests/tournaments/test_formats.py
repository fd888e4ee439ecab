"""Formats: everyone in every seat on the same deals, whoever else meets, and adaptive ones the same however they are batched."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from marl_llm import registry
from marl_llm.agents.random import RandomAgent
from marl_llm.errors import UserError
from tests.tournaments.players import Duel, First, Illegal, Strength
from tournaments import tables
from tournaments.formats import FORMATS, Tournament
from tournaments.host import host
from tournaments.results import Results
from tournaments.store import RESULTS
from tournaments.swiss import Standings

NAMES = ("a", "b", "c", "d", "e")


def agents(names):
    return {name: First() if name == "a" else RandomAgent() for name in names}


@pytest.mark.parametrize(
    ("form", "game", "names", "rounds"),
    [
        ("round-robin", "kuhn_poker", "abc", 4),
        ("round-robin", "kuhn_poker(players=3)", "abc", 4),
        ("gauntlet", "kuhn_poker", "abcd", 4),
        ("gauntlet", "kuhn_poker(players=3)", "ab", 4),
        ("tables", "kuhn_poker(players=3)", "abcde", 5),
        ("teams", "kuhn_poker(players=3)", "abc", 3),
        ("swiss", "kuhn_poker", "abcde", 5),
        ("swiss", "kuhn_poker(players=3)", "abcde", 5),
        ("sprt", "kuhn_poker", "ab", 20),
    ],
)
def test_every_format_balances_seats_and_counts_its_matches(form, game, names, rounds):
    tournament = Tournament(format=form, game=game, agents=tuple(names), rounds=rounds, stage=4)
    report = host(tournament, live=agents(names))
    assert report.balance.whole, str(report.balance)
    assert all(standing.payoff.n for standing in report.standings)
    if form != "sprt" or report.verdict.answer == "undecided":
        assert report.matches == report.planned
    assert set(FORMATS) >= {form}


def test_the_audit_sees_a_seat_that_is_missing():
    tournament = Tournament(game="kuhn_poker", agents=("a", "illegal"), rounds=5, rules=replace(Tournament.rules, then="void"))
    report = host(tournament, live={"a": RandomAgent(), "illegal": Illegal()})
    assert report.void == 10
    assert not report.balance.whole
    assert report.balance.deals == (0, 5)


def test_a_gauntlet_is_of_the_new_agent_alone():
    seated = tables.against_pool(("new", "x", "y"), 2)
    assert sorted(seated) == [("new", "x"), ("new", "y"), ("x", "new"), ("y", "new")]
    assert len(tables.against_pool(("new", "x", "y"), 3)) == 6
    assert len(tables.against_pool(("new", "x"), 3)) == 3  # with two copies of x


def test_shuffled_tables_seat_all_equally_in_changing_company():
    seats, n = 3, len(NAMES)
    dealt = [tables.balanced(NAMES, seats, 7, k) for k in range(10 * n)]
    sat = Counter((name, seat) for seated in dealt for table in seated for seat, name in enumerate(table))
    assert set(sat.values()) == {10 * seats}
    companies = {frozenset(table) for seated in dealt for table in seated}
    assert len(companies) == 10  # all threes of five meet
    assert tables.balanced(NAMES, seats, 7, 3) == dealt[3]


def test_teams_hold_a_side_or_mix_in_all_proportions():
    info = registry.game("kuhn_poker(players=4)").info
    mixed = tables.mixed_teams(("a", "b"), info)
    shares = Counter(table.count("a") for table in mixed)
    assert shares == {4: 1, 0: 1, 1: 4, 2: 4, 3: 4}
    for k in (1, 2, 3):
        sat = np.sum([[name == "a" for name in table] for table in mixed if table.count("a") == k], axis=0)
        assert len(set(sat.tolist())) == 1
    sides = tables.mixed_teams(("a", "b"), replace(info, teams=((0, 2), (1, 3))))
    assert sides == [("a", "b", "a", "b"), ("b", "a", "b", "a")]


@pytest.mark.parametrize("form", ["round-robin", "gauntlet"])
def test_too_many_seatings_are_refused_with_the_format_that_fits(form):
    for players, names, fit in ((10, "abcdefghij", "'tables' has 10 matches a deal"), (10, "abcd", "'teams' has fewer")):
        tournament = Tournament(format=form, game=f"kuhn_poker(players={players})", agents=tuple(names), rounds=1)
        with pytest.raises(UserError, match=f"ways, too many for every deal; format {fit}"):
            host(tournament, live=dict.fromkeys(names, First()))


def test_formats_that_do_not_fit_say_so():
    for form, game, names, expected in (
        ("sprt", "kuhn_poker", "abc", "'sprt' is for 2 agents on 2 seats; got 3 agents"),
        ("sprt", "kuhn_poker(players=3)", "ab", "has 3 seats"),
        ("tables", "kuhn_poker(players=3)", "ab", "fills tables of 3"),
        ("swiss", "kuhn_poker(players=3)", "ab", "fills tables of 3"),
    ):
        with pytest.raises(UserError, match=expected):
            host(Tournament(format=form, game=game, agents=tuple(names), rounds=2), live=agents(names))


def test_swiss_avoids_meeting_again_and_passes_byes_round():
    standings = Standings(tuple("abcdefg"))
    met, byes = Counter(), Counter()
    for _ in range(7):
        paired = standings.pair(2)
        met.update(tuple(sorted(table)) for table in paired)
        byes.update(set(range(7)) - {i for table in paired for i in table})
        standings.add(paired, Results.empty(2))
    assert set(byes.values()) == {1}
    assert len(met) == 21  # seven rounds of three: everyone met everyone once


def test_swiss_brings_like_to_like_and_finds_the_order():
    tenths = {name: 3 * i for i, name in enumerate("hgfedcba")}
    live = {name: Strength(value) for name, value in tenths.items()}
    tournament = Tournament(format="swiss", game="duel", agents=tuple(sorted(live)), rounds=5, stage=40, seed=2)
    report = host(tournament, live=live, load=lambda spec: Duel())
    elos = [standing.elo.mean for standing in report.standings]
    assert np.corrcoef(elos, [tenths[name] for name in report.names])[0, 1] > 0.97
    assert report.standings[0].rank[0] == 1  # the strongest is named first
    assert report.against[0][1].n  # the two best have met
    assert report.matches == report.planned == 5 * 40 * 8


@pytest.mark.parametrize(("form", "names", "rounds"), [("swiss", "abcde", 4), ("sprt", "ab", 60)])
def test_adaptive_formats_are_the_same_in_any_batches_and_after_any_cut(tmp_path, form, names, rounds):
    tournament = Tournament(format=form, game="kuhn_poker", agents=tuple(names), rounds=rounds, stage=4)
    one = host(tournament, live=agents(names), folder=tmp_path / "one", in_flight=3)
    many = host(tournament, live=agents(names), folder=tmp_path / "many", in_flight=500)
    whole = (tmp_path / "one" / RESULTS).read_bytes()
    assert one.json() == many.json()
    assert sorted(whole.splitlines()) == sorted((tmp_path / "many" / RESULTS).read_bytes().splitlines())
    for cut in (len(whole) // 3, len(whole) // 2 + 1, len(whole) - 2):
        (tmp_path / "one" / RESULTS).write_bytes(whole[:cut])
        assert host(tournament, live=agents(names), folder=tmp_path / "one", resume=True).json() == one.json()
