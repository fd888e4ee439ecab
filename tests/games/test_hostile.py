"""Games that break each rule of the contract: the checker names the rule, and in play only the match that breaks it is lost."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from games.public_goods.game import PublicGoods
from marl_llm import registry
from marl_llm.agents.random import RandomAgent
from marl_llm.boards import Boards
from marl_llm.check import check_game
from marl_llm.game import Discrete, Game, GameInfo, State, View
from marl_llm.matches import Match
from marl_llm.play import play
from marl_llm.records import CUT, PLAYED, VOID, Batch

FIVE = 5


class Race(State):
    """A correct game: after a coin is tossed, two seats in turn add 1 or 2; whoever reaches 5 wins."""

    def __init__(self, bad: bool) -> None:
        self.bad, self.total, self.seat, self.coin, self.last = bad, 0, 0, -1, 0

    def to_act(self) -> Any:
        return () if self.total >= FIVE or self.coin < 0 else (self.seat,)

    def legal(self, seat: int) -> Any:
        return [0, 1]

    def apply(self, moves: Any) -> None:
        ((_, self.last),) = moves.items()
        self.total += self.last + 1
        self.seat = 1 - self.seat

    def returns(self) -> Any:
        won = [0.0, 0.0]
        if self.total >= FIVE:
            won[1 - self.seat], won[self.seat] = 1.0, -1.0
        return won

    def view(self, seat: int | None) -> View:
        return View(
            text=lambda: f"total {self.total}, coin {self.coin}",
            vector=lambda: np.asarray([self.total, self.coin]),
            key=lambda: f"{seat}:{self.total}:{self.coin}",
        )

    def chance(self) -> Any:
        return [(0, 0.5), (1, 0.5)] if self.coin < 0 else ()

    def apply_chance(self, outcome: int) -> None:
        self.coin = outcome

    def action_text(self, seat: int, action: int) -> str:
        return f"add {action + 1}"

    def clone(self) -> State:
        copy = type(self)(self.bad)
        copy.__dict__.update(self.__dict__)
        return copy

    def resample(self, seat: int, seed: int) -> State:
        return self.clone()


INFO = GameInfo(
    name="race",
    seats=2,
    returns=(-1.0, 1.0),
    max_decisions=5,
    action=Discrete(2),
    utility="zero_sum",
    vector=(2,),
    perfect_information=True,
    rewards_at_end=True,
    key_kind="state",
)


class RaceGame(Game):
    """``kind`` plays the matches with odd seeds, or all where ``always``."""

    def __init__(self, kind: type[Race], info: GameInfo = INFO, always: bool = False) -> None:
        self.info, self.kind, self.always = info, kind, always

    def start(self, seed: int) -> State:
        return self.kind(self.always or seed % 2 == 1)


@dataclass
class Hostile:
    rule: str
    methods: dict[str, Callable[..., Any]]
    info: dict[str, Any]
    in_play: str | None
    """What a match's error says; None where play has no reason to look."""

    def game(self, always: bool = False) -> Game:
        def method(name: str) -> Callable[..., Any]:
            bad, good = self.methods[name], getattr(Race, name)
            return lambda state, *arguments: (bad if state.bad else good)(state, *arguments)

        kind = type("HostileRace", (Race,), {name: method(name) for name in self.methods})
        return RaceGame(kind, replace(INFO, **self.info), always)


def hostile(rule: str, in_play: str | None = None, info: dict[str, Any] | None = None, **methods: Callable[..., Any]) -> Hostile:
    return Hostile(rule, methods, info or {}, in_play)


def raises(error: BaseException) -> Callable[..., Any]:
    def method(*_: Any) -> Any:
        raise error

    return method


def view_with(**parts: Any) -> Callable[..., Any]:
    def view(state: Race, seat: int | None) -> View:
        known: dict[str, Any] = {
            "text": lambda: f"total {state.total}, coin {state.coin}",
            "vector": lambda: np.asarray([state.total, 0.0]),
        }
        known["key"] = lambda: f"{seat}:{state.total}:{state.coin}"
        known.update({name: (lambda part=part: part(state, seat)) for name, part in parts.items()})
        return View(**known)

    return view


def returns_at_end(*values: Any) -> Callable[..., Any]:
    return lambda state: list(values) if state.total >= FIVE else [0.0, 0.0]


def moves_globals(state: Race, moves: Any) -> None:
    random.random()
    Race.apply(state, moves)


def adds_forever(state: Race, moves: Any) -> None:
    state.seat = 1 - state.seat


def adds_by_random(state: Race, moves: Any) -> None:
    Race.apply(state, moves)
    state.total += ord(os.urandom(1)) % 3


def shares_state(state: Race) -> State:
    return state


def forgets(state: Race) -> State:
    copy = type(state)(state.bad)
    copy.__dict__.update({**state.__dict__, "total": 0})
    return copy


def other_world(state: Race, seat: int, seed: int) -> State:
    copy = state.clone()
    copy.__dict__["total"] = 4 - state.total
    return copy


def hides(state: Race, seat: int) -> str:
    return f"{seat}:{state.total // 2}"


GAMES = {
    "apply raises": hostile("apply", "ZeroDivisionError", apply=raises(ZeroDivisionError("division by zero"))),
    "apply exits": hostile("apply", "SystemExit", apply=raises(SystemExit(3))),
    "to_act is a list": hostile("to_act", "to_act() returned [0]", to_act=lambda s: [s.seat]),
    "to_act is None": hostile("to_act", "to_act() returned None", to_act=lambda s: None),
    "to_act twice the same": hostile("to_act", "(0, 0)", to_act=lambda s: (0, 0)),
    "to_act no such seat": hostile("to_act", "(7,)", to_act=lambda s: (7,)),
    "to_act during chance": hostile("to_act", None, to_act=lambda s: (s.seat,)),
    "legal raises": hostile("legal", "KeyError", legal=raises(KeyError("x"))),
    "legal empty": hostile("legal", "legal(0) is empty", legal=lambda s, seat: []),
    "legal negative": hostile("legal", "expected integers in 0..1", legal=lambda s, seat: [-1, 0]),
    "legal too large": hostile("legal", "expected integers in 0..1", legal=lambda s, seat: [0, 2]),
    "legal repeats": hostile("legal", "no repeats", legal=lambda s, seat: [0, 0]),
    "legal strings": hostile("legal", "expected integers", legal=lambda s, seat: ["a"]),
    "legal None": hostile("legal", "TypeError", legal=lambda s, seat: None),
    "legal refused": hostile(
        "apply", "ValueError", apply=lambda s, moves: raises(ValueError("not 1"))() if 1 in moves.values() else Race.apply(s, moves)
    ),
    "legal by hidden": hostile("legal_by_key", None, legal=lambda s, seat: [s.last]),
    "returns NaN": hostile("returns", "finite", returns=returns_at_end(float("nan"), 0.0)),
    "returns infinite": hostile("returns", "finite", returns=returns_at_end(float("inf"), 0.0)),
    "returns short": hostile("returns", "expected 2 finite numbers", returns=returns_at_end(0.0)),
    "returns None": hostile("returns", "TypeError", returns=lambda s: None),
    "returns outside": hostile("returns", None, returns=returns_at_end(-9.0, 9.0)),
    "not zero-sum": hostile("zero_sum", None, returns=returns_at_end(1.0, 1.0)),
    "not a team": hostile("team", None, info={"utility": "team"}, returns=returns_at_end(1.0, 0.0)),
    "rewards early": hostile("rewards_at_end", None, returns=lambda s: [1.0, -1.0]),
    "endless": hostile("max_decisions", "cut", apply=adds_forever),
    "too long": hostile("max_decisions", "cut", info={"max_decisions": 1}),
    "chance sum": hostile("chance", "sum to 0.9", chance=lambda s: [(0, 0.9)] if s.coin < 0 else ()),
    "chance negative": hostile("chance", None, chance=lambda s: [(0, -0.5), (1, 1.5)] if s.coin < 0 else ()),
    "chance endless": hostile("chance", "in a row", apply_chance=lambda s, outcome: None),
    "chance raises": hostile("chance", "RuntimeError", apply_chance=raises(RuntimeError("no"))),
    "view raises": hostile("text", "view() raised", view=raises(RuntimeError("no"))),
    "view None": hostile("text", "view() returned None", view=lambda s, seat: None),
    "text raises": hostile("text", None, view=view_with(text=raises(ValueError("no")))),
    "text bytes": hostile("text", None, view=view_with(text=lambda s, seat: b"total")),
    "text tells more": hostile("text", None, view=view_with(key=hides)),
    "key raises": hostile("key", "ValueError", view=view_with(key=raises(ValueError("no")))),
    "key missing": hostile("key", None, view=lambda s, seat: View(text=lambda: "x", vector=lambda: np.zeros(2))),
    "key shared": hostile("key", None, view=view_with(key=lambda s, seat: "one", text=lambda s, seat: "x")),
    "vector shape": hostile("vector", None, view=view_with(vector=lambda s, seat: np.zeros(3))),
    "vector NaN": hostile("vector", None, view=view_with(vector=lambda s, seat: np.asarray([np.nan, 0]))),
    "view changes": hostile(
        "views", None, view=lambda s, seat: setattr(s, "last", s.last + 1) or view_with(text=lambda s, seat: str(s.last))(s, seat)
    ),
    "actions alike": hostile("action_text", None, action_text=lambda s, seat, action: "add"),
    "forgets itself": hostile("perfect_recall", None, info={"key_kind": "information"}),
    "own dice": hostile("seed", None, apply=adds_by_random),
    "clone shares": hostile("clone", None, clone=shares_state),
    "clone forgets": hostile("clone", None, clone=forgets, resample=raises(NotImplementedError())),
    "clone is None": hostile("clone", None, clone=lambda s: None),
    "other world": hostile("resample", None, resample=other_world),
    "moves globals": hostile("globals", None, apply=moves_globals),
    "info seats": hostile("info", None, info={"seats": 0}),
    "info returns": hostile("info", None, info={"returns": (1.0, -1.0)}),
    "info teams": hostile("info", None, info={"teams": ((0,), (0, 1))}),
    "info utility": hostile("info", None, info={"utility": "zero-sum"}),
}


@pytest.fixture(autouse=True)
def _keep_globals() -> Any:
    state = random.getstate()
    yield
    random.setstate(state)


def test_correct_game_keeps_every_rule() -> None:
    report = check_game(RaceGame(Race))
    report.require()
    untested = {finding.rule for finding in report.findings if finding.holds is None}
    assert untested == {"team", "perfect_recall", "enumerable", "boards", "next_legal", "table"}
    unrolled = check_game(RaceGame(Race, replace(INFO, enumerable=True)))
    unrolled.require()
    assert {finding.rule for finding in unrolled.findings if finding.holds is None} == {"team", "perfect_recall", "next_legal", "table"}


@pytest.mark.parametrize("name", GAMES)
def test_checker_names_the_rule(name: str) -> None:
    case = GAMES[name]
    broken = check_game(case.game()).broken
    assert broken is not None
    allowed = {case.rule, "clone"} if name in ("own dice", "view changes") else {case.rule}
    assert broken.rule in allowed, broken
    assert broken.problem
    assert "\n" not in broken.problem
    if case.rule != "info":
        assert broken.seed is not None


def test_shown_moves_lead_to_the_breach() -> None:
    def refuses_four(state: Race, moves: Any) -> None:
        if state.total == 3:
            raise ValueError("three")
        Race.apply(state, moves)

    broken = check_game(hostile("apply", apply=refuses_four).game()).broken
    assert broken is not None
    assert broken.seed is not None
    state = RaceGame(Race).start(broken.seed)
    for _, action in broken.moves[:-1]:
        state.apply({0: action})
    assert state.total == 3


class Leaky(Race):
    """Which seat wins depends on the start's seed, and no chance outcome tells."""

    def returns(self) -> Any:
        return [-value for value in super().returns()] if self.bad else super().returns()


class Unstartable(RaceGame):
    def start(self, seed: int) -> Any:
        return None if seed % 2 else sys.exit(1)


def test_games_that_break_rules() -> None:
    for game, rule in ((Unstartable(Race), "start"), (RaceGame(Leaky, replace(INFO, enumerable=True)), "enumerable")):
        broken = check_game(game).broken
        assert broken is not None
        assert broken.rule == rule


def test_info_missing() -> None:
    class NoInfo(Game):
        def start(self, seed: int) -> State:
            return Race(False)

    broken = check_game(NoInfo()).broken
    assert broken is not None
    assert broken.rule == "info"


def test_wrong_array_boards_are_found() -> None:
    class Generous(PublicGoods):
        def boards(self, rows: int) -> Boards:
            return PublicGoods(self.seats, self.mpcr / 2, self.levels, self.rounds).boards(rows)

    check_game(PublicGoods(seats=3, levels=1, rounds=2)).require()
    broken = check_game(Generous(seats=3, levels=1, rounds=2)).broken
    assert broken is not None
    assert broken.rule == "boards"
    assert "returns()" in broken.problem


class Pool:
    def resolve(self, player: str) -> RandomAgent:
        return RandomAgent()


def played(game: Game, in_flight: int) -> Batch:
    """Eight matches of ``game`` and eight of Kuhn poker, in turn."""
    kuhn = registry.game("kuhn_poker")
    plan = [Match(game=spec, seed=k, players=("a", "b"), learn=frozenset({0, 1})) for k in range(8) for spec in ("hostile", "kuhn")]
    loaded = {"hostile": game, "kuhn": kuhn}
    return Batch.concat(list(play(plan, Pool(), loaded.__getitem__, in_flight=in_flight)))


@pytest.mark.parametrize("name", [name for name, case in GAMES.items() if case.in_play is not None])
@pytest.mark.parametrize("in_flight", [1, 16])
def test_play_loses_only_the_match_that_breaks(name: str, in_flight: int) -> None:
    case = GAMES[name]
    batch = played(case.game(), in_flight)
    assert sorted(batch["match.plan"].tolist()) == list(range(16))
    hostile_, odd = batch["match.plan"] % 2 == 0, batch["match.seed"] % 2 == 1
    bad = hostile_ & odd if case.methods else hostile_
    if case.in_play == "cut":
        assert (batch["match.end"][bad] == CUT).all()
    else:
        wrong = batch["match.end"] == VOID
        # a rule may go unbroken by the moves of one match
        assert wrong.any()
        assert not (wrong & ~bad).any()
        for code in batch["match.error"][wrong].tolist():
            assert str(case.in_play) in batch.tables["error"][code]
        assert not batch["seat.learn"][wrong[batch.up("seat", "match")]].any()
        assert not batch["turn.learn"][wrong[batch.up("turn", "match")]].any()
    assert (batch["match.end"][~bad] == PLAYED).all()


@pytest.mark.parametrize("name", ["apply raises", "legal negative", "returns NaN", "view raises", "chance raises"])
def test_an_enumerable_hostile_game_loses_its_matches_only(name: str) -> None:
    case = GAMES[name]
    game = Hostile(case.rule, case.methods, {"enumerable": True}, None).game(always=True)
    batch = played(game, 16)
    assert (batch["match.end"][batch["match.plan"] % 2 == 1] == PLAYED).all()
    assert (batch["match.end"][batch["match.plan"] % 2 == 0] == VOID).all()


@pytest.mark.parametrize("enumerable", [False, True])
def test_a_text_that_raises_when_an_agent_reads_it(enumerable: bool) -> None:
    class Reader(RandomAgent):
        def decide(self, request: Any) -> Any:
            request.views.texts()
            return super().decide(request)

    class ReaderPool:
        def resolve(self, player: str) -> RandomAgent:
            return Reader()

    def text(state: Race, seat: int | None) -> str:
        if state.total == 2:
            raise ValueError("no text at 2")
        return f"total {state.total}"

    game = hostile("text", None, {"enumerable": enumerable}, view=view_with(text=text)).game(always=True)
    plan = [Match(game="hostile", seed=k, players=("a", "b")) for k in range(16)]
    batch = Batch.concat(list(play(plan, ReaderPool(), lambda spec: game, in_flight=8)))
    assert len(batch) == 16
    void = batch["match.end"] == VOID
    assert void.any()
    assert (batch["match.end"][~void] == PLAYED).all()
    assert all("no text at 2" in error for error in batch.tables["error"])


def test_a_start_that_raises_ends_its_match() -> None:
    class Broken(RaceGame):
        def start(self, seed: int) -> State:
            if seed % 2:
                raise OSError("no such file")
            return super().start(seed)

    for in_flight in (1, 3):
        plan = [Match(game="hostile", seed=seed, players=("a", "b")) for seed in (1, 3, 5, 2, 7, 4)]
        batch = Batch.concat(list(play(plan, Pool(), lambda spec: Broken(Race), in_flight=in_flight)))
        assert (batch["match.end"] == np.where(batch["match.seed"] % 2 == 1, VOID, PLAYED)).all()
        assert len(batch) == 6


class AtOnce(Race):
    """Both seats move at once, one time; with an odd seed neither can see."""

    def to_act(self) -> Any:
        return () if self.total else (0, 1)

    def apply(self, moves: Any) -> None:
        self.total = 1

    def returns(self) -> Any:
        return [0.0, 0.0]

    def chance(self) -> Any:
        return ()

    def view(self, seat: int | None) -> View:
        if self.bad:
            raise ValueError("dark")
        return super().view(seat)


def test_two_seats_that_cannot_see_end_their_match_once() -> None:
    game = RaceGame(AtOnce, replace(INFO, simultaneous=True))
    for in_flight in (1, 3, 20):
        plan = [Match(game="hostile", seed=seed, players=("a", "b")) for seed in range(20)]
        batch = Batch.concat(list(play(plan, Pool(), lambda spec: game, in_flight=in_flight)))
        assert sorted(batch["match.plan"].tolist()) == list(range(20))
        assert (batch["match.end"] == np.where(batch["match.seed"] % 2 == 1, VOID, PLAYED)).all()
