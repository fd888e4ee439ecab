"""The host: paired and balanced, the same however it is batched, and unmoved by agents that misbehave."""

from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from marl_llm import registry
from marl_llm.agent import FAULTS
from marl_llm.agents.random import RandomAgent
from marl_llm.errors import UserError
from marl_llm.matches import Rules
from tests.tournaments.players import Blind, First, Formless, Illegal, Raises, Strength
from tournaments.formats import Tournament
from tournaments.host import host, round_robin
from tournaments.report import Report
from tournaments.shown import show
from tournaments.store import RESULTS


def lines(folder):
    return sorted((folder / RESULTS).read_bytes().splitlines())


def by_name(report: Report):
    return {standing.name: standing for standing in report.standings}


class Spy(RandomAgent):
    """Notes, for every stream of a first decision, what was seen."""

    def __init__(self, seen):
        super().__init__()
        self.seen = seen

    def decide(self, request):
        keys = [request.views.codes[code] for code in request.views.keys().tolist()]
        for seed, seat, turn, key in zip(request.seed.tolist(), request.seat.tolist(), request.turn.tolist(), keys, strict=True):
            if seat == turn == 0:
                self.seen.setdefault(seed, []).append(key)
        return super().decide(request)


def test_every_seating_plays_the_same_deals():
    seen = {}
    report = round_robin("leduc_poker", ["a", "b", "c"], 12, live={name: Spy(seen) for name in "abc"})
    assert len(seen) == 12  # the stream of a decision is the deal's, so a deal has one
    assert all(len(keys) == 6 and len(set(keys)) == 1 for keys in seen.values())
    assert len({keys[0] for keys in seen.values()}) > 3
    assert report.balance.whole
    assert report.balance.deals == (12, 12)
    assert {standing.seats for standing in report.standings} == {(24, 24)}


@pytest.mark.filterwarnings("ignore:agent c raised")
@pytest.mark.parametrize("game", ["kuhn_poker", "connect_four"])
def test_matches_in_flight_change_nothing(tmp_path, game):
    live = {"a": RandomAgent(), "b": First(), "c": Raises(7)}
    tournament = Tournament(game=game, agents=("a", "b", "c"), rounds=10, seed=3)
    one = host(tournament, live=live, folder=tmp_path / "1", in_flight=1)
    for count in (2, 8, 64):
        many = host(tournament, live=live, folder=tmp_path / str(count), in_flight=count)
        assert lines(tmp_path / "1") == lines(tmp_path / str(count))
        assert one.json() == many.json()


@pytest.mark.filterwarnings("ignore:agent crashes raised")
@pytest.mark.parametrize("error", [RuntimeError, SystemExit, MemoryError])
def test_a_crash_is_a_fault_of_its_own_rows(tmp_path, error):
    live = {"a": RandomAgent(), "b": First(), "crashes": Raises(5, error)}
    with_it = host(Tournament(game="kuhn_poker", agents=tuple(live), rounds=40), live=live, folder=tmp_path / "with")
    host(Tournament(game="kuhn_poker", agents=("a", "b"), rounds=40), live=live, folder=tmp_path / "without")
    standing = by_name(with_it)
    assert 0.1 < standing["crashes"].faults["crash"] / standing["crashes"].turns < 0.35
    assert standing["a"].faults == standing["b"].faults == {}
    assert set(lines(tmp_path / "without")) < set(lines(tmp_path / "with"))  # others are untouched


@pytest.mark.parametrize(
    "change",
    [
        {"id": np.asarray([77])},
        {"id": None},
        {"action": np.zeros(0)},
        {"memory": []},
        {"fault": np.zeros((0,), np.int8)},
    ],
)
def test_an_answer_out_of_form_is_a_crash(change):
    with pytest.warns(UserWarning, match="agent formless"):
        report = round_robin("kuhn_poker", ["a", "formless"], 5, live={"a": RandomAgent(), "formless": Formless(change)})
    standing = by_name(report)
    assert standing["formless"].faults == {"crash": standing["formless"].turns}
    assert report.matches == 10


def test_illegal_moves_lose_for_the_offender_alone():
    report = round_robin("kuhn_poker(players=3)", ["a", "b", "illegal"], 6, live={"a": RandomAgent(), "b": First(), "illegal": Illegal()})
    standing = by_name(report)
    low = registry.game("kuhn_poker(players=3)").info.returns[0]
    assert standing["illegal"].payoff.mean == low
    assert standing["a"].payoff.mean == standing["b"].payoff.mean == -low / 2
    assert standing["illegal"].faults == {"illegal": 2 * report.matches}  # one retry
    assert standing["a"].faults == {}


def test_kinds_of_faults_are_counted_apart(capsys):
    kinds = [kind for kind in FAULTS if kind != "ok"]
    live = {kind: Formless({"fault": np.full(1, FAULTS.index(kind), np.int8)}) for kind in kinds} | {"a": First()}
    tournament = Tournament(format="gauntlet", game="kuhn_poker", agents=("a", *kinds), rounds=3, rules=Rules(0, "forfeit"))
    report = host(tournament, live=live, in_flight=1)
    standing = by_name(report)
    for kind in kinds:
        assert standing[kind].faults == {kind: 6}
    assert standing["a"].faults == {}
    assert report.void == 6  # an outage is nobody's loss
    assert standing["outage"].payoff.n == 0
    assert standing["a"].payoff.mean == 2
    show(report, Console(width=200))
    head = capsys.readouterr().out.splitlines()[1].split()
    assert [word for word in head if word in kinds] == kinds


@pytest.mark.parametrize(("then", "void"), [("random", 0), ("void", 20)])
def test_the_rules_decide_what_follows_a_fault(then, void):
    tournament = Tournament(game="tic_tac_toe", agents=("first", "illegal"), rounds=10, rules=Rules(0, then))
    report = host(tournament, live={"first": First(), "illegal": Illegal()})
    assert report.void == void
    assert report.matches == 20 - void
    if not void:
        assert by_name(report)["illegal"].payoff.mean > -1  # its random moves play on


def test_a_broken_view_is_the_games_fault_not_the_agents():
    tournament = Tournament(game="blind", agents=("weak", "strong"), rounds=8)
    report = host(tournament, live={"weak": Strength(10), "strong": Strength(30)}, load=lambda spec: Blind())
    assert report.void == 8  # where the weak one speaks first
    assert report.matches == 8
    assert "nothing to see" in report.errors[0]
    assert all(standing.faults == {} for standing in report.standings)
    assert not report.balance.whole
    assert "NOT balanced" in str(report.balance)


def test_more_seats_than_agents():
    live = {"a": RandomAgent(), "b": First()}
    report = round_robin("kuhn_poker(players=3)", ["a", "b"], 4, live=live)
    assert report.matches == 4 * 6  # every ordered table of three with both at it
    assert report.balance.whole
    assert sum(standing.payoff.mean * standing.payoff.n for standing in report.standings) == pytest.approx(0)
    assert report.against[0][0].n == report.against[1][1].n > 0
    assert all(standing.elo is None for standing in report.standings)


def test_stakes_of_several_sizes_have_no_wins():
    live = {"a": RandomAgent(), "b": First()}
    assert round_robin("leduc_poker", ["a", "b"], 30, live=live).standings[0].elo is None
    rated = round_robin("tic_tac_toe", ["a", "b"], 30, live=live).standings[0]
    assert rated.elo is not None
    assert sum(rated.outcomes) == rated.payoff.n == 60


def test_an_unsuitable_agent_leaves_nothing_behind(tmp_path):
    with pytest.raises(UserError, match="minimax"):
        host(Tournament(game="kuhn_poker", agents=("random", "minimax"), rounds=2), folder=tmp_path / "out")
    host(Tournament(game="kuhn_poker", agents=("random", "cfr"), rounds=2), folder=tmp_path / "out")


def test_more_rounds_go_on_from_fewer(tmp_path):
    live = {"a": RandomAgent(), "b": First()}
    short = Tournament(game="kuhn_poker", agents=("a", "b"), rounds=5)
    host(short, live=live, folder=tmp_path / "grown")
    before = lines(tmp_path / "grown")
    host(replace(short, rounds=9), live=live, folder=tmp_path / "grown", resume=True)
    host(replace(short, rounds=9), live=live, folder=tmp_path / "whole")
    assert lines(tmp_path / "grown") == lines(tmp_path / "whole")
    assert set(before) < set(lines(tmp_path / "grown"))
