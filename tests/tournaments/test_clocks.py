"""Clocks: late answers and none at all are timeouts of their own matches, and nobody pays for another's time."""

import time

import numpy as np
import pytest

from marl_llm import registry
from marl_llm.agent import OK, TIMEOUT, Immediate, Request, answer
from marl_llm.agents.guarded import Guarded
from marl_llm.agents.random import RandomAgent
from marl_llm.boards import BrokenView
from marl_llm.errors import UserError
from marl_llm.matches import Rules
from tests.tournaments.players import First
from tests.tournaments.test_host import by_name
from tournaments.clocks import Clock, Clocked
from tournaments.formats import Tournament
from tournaments.host import host


class Sleeps(Immediate):
    """Thinks ``seconds`` about every decision of which ``when`` is true of the turn."""

    def __init__(self, seconds, when=lambda turn: True):
        super().__init__()
        self.seconds, self.when = seconds, when

    def decide(self, request):
        time.sleep(self.seconds * sum(map(self.when, request.turn.tolist())))
        return answer(request, request.legal.data[request.legal.starts[:-1]])


class Silent(RandomAgent):
    """Never answers a first turn; answers others at once."""

    def submit(self, request):
        rows = np.flatnonzero(request.turn > 0)
        if len(rows):
            super().submit(request.take(rows))


class Later(RandomAgent):
    """Answers a question ``seconds`` after it was asked, as a process of its own does, all questions side by side."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds, self.due = seconds, []

    def submit(self, request):
        self.due.append((time.monotonic() + self.seconds, self.decide(request)))

    def poll(self, wait_s):
        time.sleep(wait_s if self.due else 0)
        now = time.monotonic()
        ready = [decision for due, decision in self.due if due <= now]
        self.due = [(due, decision) for due, decision in self.due if due > now]
        return ready


AT_ONCE = Rules(0, "forfeit")


def played(live, clock, *, rounds=4, game="kuhn_poker", rules=AT_ONCE, in_flight=256):
    report = host(Tournament(game=game, agents=tuple(live), rounds=rounds, clock=clock, rules=rules), live=live, in_flight=in_flight)
    return report, by_name(report)


@pytest.mark.parametrize("in_flight", [1, 64])
def test_a_late_move_loses_for_the_offender_alone(in_flight):
    live = {"slow": Sleeps(0.4), "a": First(), "b": RandomAgent()}
    report, standing = played(live, Clock(move_s=0.2), rounds=1, in_flight=in_flight)
    assert standing["slow"].faults == {"timeout": 4}
    assert standing["slow"].payoff.mean == -2
    assert standing["a"].faults == standing["b"].faults == {}
    assert report.void == 0


def test_enough_time_is_no_fault_however_many_are_asked_at_once():
    for in_flight in (1, 64):
        _, standing = played({"slow": Sleeps(0.02), "a": First()}, Clock(move_s=0.2), in_flight=in_flight)
        assert standing["slow"].faults == {}


def test_a_silent_agent_ends_in_timeouts_and_the_host_goes_on():
    begun = time.monotonic()
    report, standing = played({"silent": Silent(), "a": First(), "b": RandomAgent()}, Clock(move_s=0.1))
    assert standing["silent"].faults == {"timeout": 16}
    assert standing["a"].faults == standing["b"].faults == {}
    assert report.matches == report.planned == 24
    assert time.monotonic() - begun < 10


def test_a_retry_after_a_timeout_has_its_own_time():
    turns = iter(range(1000))
    agent = Sleeps(0.3, lambda turn: next(turns) % 2 == 0)  # late every other time it is asked
    _, standing = played({"hasty": agent, "a": First()}, Clock(move_s=0.2), rounds=1, rules=Rules(1, "forfeit"), in_flight=1)
    assert standing["hasty"].payoff.mean > -2
    assert standing["hasty"].faults["timeout"] >= 2


def test_the_time_of_a_match_adds_up_over_its_moves():
    live = {"slow": Sleeps(0.3), "a": First()}
    _, standing = played(live, Clock(match_s=0.75), game="connect_four", rounds=1)
    assert standing["slow"].faults == {"timeout": 2}
    assert standing["slow"].turns == 6  # two moves and the late one, in each seat


def test_out_of_time_other_moves_follow_as_the_rules_say():
    live = {"slow": Sleeps(0.3), "a": First()}
    begun = time.monotonic()
    _, standing = played(live, Clock(match_s=0.2), game="connect_four", rounds=1, rules=Rules(0, "random"))
    assert standing["slow"].payoff.n == 2
    assert standing["slow"].faults["timeout"] >= 6
    assert standing["a"].faults == {}
    assert time.monotonic() - begun < 4  # after the first move it is not even asked


def test_answers_that_come_after_their_time_are_dropped():
    _, standing = played({"later": Later(0.5), "a": First()}, Clock(move_s=0.2), rounds=1, in_flight=1)
    assert standing["later"].faults == {"timeout": 2}
    _, standing = played({"later": Later(0.01), "a": First()}, Clock(move_s=0.3), rounds=2)
    assert standing["later"].faults == {}


def test_nobody_pays_for_the_time_of_another():
    class Blocks(First):
        """Holds up the host while the other's answers have long been there."""

        def decide(self, request):
            time.sleep(0.3)
            return super().decide(request)

    # both clocks are the same, and the one that blocks answers several matches in a breath
    clocked, blocks = Clocked(Guarded(Later(0.05), "later"), Clock(move_s=0.2)), Blocks()
    game = registry.game("kuhn_poker")
    boards, rows = game.boards(4), np.arange(4)
    boards.start(rows, rows.astype(np.uint64))
    request = request_for(boards)
    clocked.submit(request)
    blocks.submit(request)
    (decision,) = clocked.poll(0.0)
    assert decision.fault.tolist() == [OK] * 4


def request_for(boards):
    row, seat = boards.acting()
    none = np.zeros(len(row), np.int64)
    views, legal = boards.views(row, seat), boards.legal(row, seat)
    return Request(np.arange(len(row)), seat, none, none.astype(np.uint64), views, legal, [None] * len(row), none.astype(np.int8))


def test_memory_passes_through_the_clock():
    class Counts(RandomAgent):
        def decide(self, request):
            seen.append(list(request.memory))
            assert request.budget_s is not None
            assert request.budget_s <= 1
            return answer(request, request.legal.data[request.legal.starts[:-1]], memory=[(m or 0) + 1 for m in request.memory])

    seen = []
    played({"counts": Counts(), "a": RandomAgent()}, Clock(move_s=1.0), game="connect_four", rounds=1, in_flight=1)
    assert [m[0] for m in seen[:3]] == [None, 1, 2]


def test_a_view_that_breaks_leaves_no_question_behind():
    class Reads(First):
        """Looks where its game breaks."""

        def decide(self, request):
            raise BrokenView(0, ValueError("nothing to see"))

    clocked = Clocked(Guarded(Reads(), "reads"), Clock(move_s=0.05))
    boards = registry.game("kuhn_poker").boards(2)
    boards.start(np.arange(2), np.arange(2).astype(np.uint64))
    with pytest.raises(BrokenView):
        clocked.submit(request_for(boards))
    time.sleep(0.15)
    assert list(clocked.poll(0.0)) == list(clocked.poll(0.0)) == []


def test_what_is_left():
    assert Clock().left(5) == float("inf")
    assert Clock(1, 3).left(2.5) == 0.5
    assert Clock(1, 3).left(0.5) == 1
    assert not Clock().runs


def test_a_question_that_is_overdue_ends_with_its_code():
    clocked = Clocked(Guarded(Silent(), "silent"), Clock(move_s=0.1))
    boards = registry.game("kuhn_poker").boards(2)
    boards.start(np.arange(2), np.arange(2).astype(np.uint64))
    clocked.submit(request_for(boards))
    assert list(clocked.poll(0.0)) == []
    time.sleep(0.25)  # two questions may take 0.2 s together
    (decision,) = clocked.poll(0.0)
    assert decision.fault.tolist() == [TIMEOUT] * 2
    assert list(clocked.poll(0.0)) == []


@pytest.mark.parametrize("wrong", [{"move_s": 0}, {"match_s": -1}, {"move_s": float("inf")}])
def test_times_that_are_none(wrong):
    with pytest.raises(UserError, match="--clock"):
        Clock(**wrong)
