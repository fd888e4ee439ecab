"""Answers that no list gives: Box, Factored and Text actions, and messages beside Discrete ones, from the rules to the record."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from marl_llm import registry
from marl_llm.agent import ILLEGAL, OK, UNPARSABLE
from marl_llm.agents.callable import CallableAgent
from marl_llm.agents.random import RandomAgent
from marl_llm.answers import WORDS, fit
from marl_llm.boards import StateBoards
from marl_llm.check import check_game
from marl_llm.game import Action, Box, Discrete, Factored, Game, GameInfo, Seat, State, Text, View
from marl_llm.inference.reply import read_open
from marl_llm.matches import Match, Rules
from marl_llm.play import play
from marl_llm.records import FORFEIT, PLAYED, Batch
from marl_llm.replay import seen
from tournaments.results import Result, Results, lines

KINDS = {"Aim": Box(-1.0, 2.0, (2, 2)), "Slots": Factored((3, 3, 2)), "Essay": Text(6), "Talk": Discrete(2)}


class Once(State):
    """Every seat answers once, in turn; in ``Talk`` each says something first. What was answered is public."""

    def __init__(self, kind: str) -> None:
        self.kind, self.done = kind, []  # type: ignore[var-annotated]

    def to_act(self) -> tuple[Seat, ...]:
        return (len(self.done) % 2,) if len(self.done) < (4 if self.kind == "Talk" else 2) else ()

    def legal(self, seat: Seat) -> Sequence[int]:
        return (0, 1) if self.kind == "Talk" and len(self.done) >= 2 else ()

    def next_legal(self, seat: Seat, chosen: tuple[int, ...]) -> Sequence[int]:
        """No slot may repeat the first."""
        return [value for value in range(KINDS["Slots"].sizes[len(chosen)]) if value not in chosen[:1]]  # type: ignore[union-attr]

    def apply(self, moves: Mapping[Seat, Action]) -> None:
        ((_, action),) = moves.items()
        self.done = [*self.done, action]

    def returns(self) -> Sequence[float]:
        worth = [float(np.sum(action)) if not isinstance(action, str) else float(len(action.split())) for action in self.done]
        return [sum(worth[0::2]), sum(worth[1::2])]

    def view(self, seat: Seat | None) -> View:
        said = [action.tolist() if isinstance(action, np.ndarray) else action for action in self.done]
        return View(text=lambda: f"so far {said}", key=lambda: f"{seat}: {said}")


class Open(Game):
    def __init__(self, kind: str) -> None:
        message = Text(5) if kind == "Talk" else None
        self.kind = kind
        self.info = GameInfo(name=kind, seats=2, returns=(-4, 8), max_decisions=4, action=KINDS[kind], message=message)

    def start(self, seed: int) -> State:
        return Once(self.kind)


STRICT = Rules(retries=0, then="forfeit")


class Pool:
    def __init__(self, **agents: Any) -> None:
        self.agents = agents

    def resolve(self, player: str) -> Any:
        return self.agents[player]


def played(game: Game, *agents: Any, count: int = 40, rules: Rules = STRICT) -> Batch:
    names = tuple(f"agent{i}" for i in range(len(agents)))
    matches = [Match(game="open", seed=seed, players=names, rules=rules) for seed in range(count)]
    pool = Pool(**dict(zip(names, agents, strict=True)))
    return Batch.concat(list(play(iter(matches), pool, lambda spec: game, in_flight=16)))


@pytest.mark.parametrize("kind", KINDS)
def test_the_contract_holds(kind: str) -> None:
    report = check_game(Open(kind))
    report.require()
    assert {finding.rule for finding in report.findings if finding.holds} >= {"legal", "apply", "seed", "clone", "perfect_recall"}
    if kind == "Slots":
        assert any(finding.rule == "next_legal" and finding.holds for finding in report.findings)


class NoSlot(Once):
    def next_legal(self, seat: Seat, chosen: tuple[int, ...]) -> Sequence[int]:
        return [] if chosen == (1,) else super().next_legal(seat, chosen)


class Listed(Once):
    def legal(self, seat: Seat) -> Sequence[int]:
        return [0]


@pytest.mark.parametrize(("state", "rule"), [(NoSlot, "next_legal"), (Listed, "legal")])
def test_a_broken_rule_is_named(state: type[State], rule: str) -> None:
    game = Open("Slots")
    game.start = lambda seed: state("Slots")  # type: ignore[method-assign, call-arg]
    broken = check_game(game).broken
    assert broken is not None
    assert broken.rule == rule


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"action": Box(1.0, 0.0, (2,))}, "bounds"),
        ({"action": Factored(())}, "factor"),
        ({"action": Text(0)}, "token"),
        ({"action": "buttons"}, "Discrete, Factored, Box or Text"),
        ({"action": Box(0.0, 1.0, (1,)), "message": Text(3)}, "Discrete actions"),
    ],
)
def test_wrong_kinds_are_named(change: dict[str, Any], says: str) -> None:
    game = Open("Aim")
    game.info = replace(game.info, **change)
    broken = check_game(game).broken
    assert broken is not None
    assert broken.rule == "info"
    assert says in broken.problem


@pytest.mark.parametrize("kind", KINDS)
def test_at_random_everything_is_legal_and_varied(kind: str) -> None:
    batch = played(Open(kind), RandomAgent(), RandomAgent(), count=400)
    assert (batch["match.end"] == PLAYED).all()
    answers = batch.answers()
    if kind == "Aim":
        values = np.asarray(answers)
        assert batch["turn.action"].dtype == np.float32
        assert values.shape[1:] == (2, 2)
        assert -1 <= values.min() < -0.9
        assert 1.9 < values.max() <= 2
        assert values.mean(0) == pytest.approx(np.full((2, 2), 0.5), abs=0.15)
    elif kind == "Slots":
        assert set(map(tuple, answers)) == {(a, b, c) for a in range(3) for b in range(3) for c in range(2) if b != a and c != a}
    else:
        assert {answer for answer in answers if isinstance(answer, str)} == set(WORDS)
        assert {answer for answer in answers if not isinstance(answer, str)} == ({0, 1} if kind == "Talk" else set())
    returns = np.asarray(batch["seat.return"])
    assert np.bincount(batch.up("turn", "seat"), batch["turn.reward"]) + batch["seat.initial"] == pytest.approx(returns, abs=1e-5)


def test_records_come_back_and_replay(tmp_path: Any) -> None:
    for kind in KINDS:
        game = Open(kind)
        batch = played(game, RandomAgent(), RandomAgent())
        batch.save(tmp_path / "batch.npz")
        again = Batch.load(tmp_path / "batch.npz")
        assert again.answers() == batch.answers()
        one = Result.parse(next(lines(batch, Results.played(batch))).encode())
        assert one.moves == tuple(batch.episode(0).moves[k].action for k in range(len(one.moves)))
        spec = f"{__file__}:{kind}"
        episode = replace(batch.episode(3), game=spec)
        told = [decision.did for decision in seen(episode)]
        assert len(told) == len(episode.moves)
        assert all(did.startswith(("says:", "plays:")) for did in told)
        assert "so far" in next(seen(episode)).text
        assert json.dumps([move.action for move in episode.moves])


class Aim(Open):
    def __init__(self) -> None:
        super().__init__(type(self).__name__)


class Slots(Aim):
    pass


class Essay(Aim):
    pass


class Talk(Aim):
    pass


GOOD: dict[str, Callable[[str, Sequence[str]], Any]] = {
    "Aim": lambda text, legal: [[0, 1], [2, -1]],
    "Slots": lambda text, legal: "1 0 0",
    "Essay": lambda text, legal: "six words are not too many",
    "Talk": lambda text, legal: legal[1] if legal else "hello",
}
BAD: dict[str, list[Any]] = {
    "Aim": [[0, 1, 2, -1], [[0, 1], [2, 2.5]], [[0, 1], [2, float("nan")]], "left", None, [["a", "b"], ["c", "d"]]],
    "Slots": [(1, 1, 0), (0, 1, 2), (0, 1), (0, 1.5, 1), "0 1", 7, (-1, 0, 0)],
    "Essay": ["but seven words are one too many", 3, None],
    "Talk": [None, 2, "far far far far far away"],
}


@pytest.mark.parametrize("kind", KINDS)
def test_functions_answer(kind: str) -> None:
    batch = played(Open(kind), CallableAgent(GOOD[kind]), RandomAgent(), count=5)
    assert (batch["match.end"] == PLAYED).all()
    for bad in BAD[kind]:
        batch = played(Open(kind), CallableAgent(lambda text, legal, bad=bad: bad), RandomAgent(), count=3)
        assert (batch["match.end"] == FORFEIT).all(), bad
        assert (batch["turn.fault"] == ILLEGAL).any(), bad
        replaced = played(Open(kind), CallableAgent(lambda text, legal, bad=bad: bad), RandomAgent(), rules=Rules(retries=0, then="random"))
        assert (replaced["match.end"] == PLAYED).all(), bad


def test_what_fits_is_told_row_by_row() -> None:
    game = Open("Slots")
    boards = StateBoards(game, 4)
    boards.start(np.arange(4), np.arange(4).astype(np.uint64))
    views = boards.views(np.arange(4), np.zeros(4, np.int64))
    rows = np.asarray([[0, 1, 1], [0, 0, 1], [0, 3, 1], [2, 1, 0]])
    assert fit(KINDS["Slots"], rows, views).tolist() == [True, False, False, True]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reply", "kind", "answer", "fault"),
    [
        ("<think>hm</think> I agree. ", Text(9), "I agree.", OK),
        ("so <move>1, 0 1</move>", Factored((2, 2, 2)), [1, 0, 1], OK),
        ("<move>1.5 0 1</move>", Factored((2, 2, 2)), None, ILLEGAL),
        ("<move>[-0.5, 2e-1]</move>", Box(-1, 1, (2,)), [-0.5, 0.2], OK),
        ("<move>0.5</move>", Box(-1, 1, (2,)), None, ILLEGAL),
        ("0.5 0.5", Box(-1, 1, (2,)), None, UNPARSABLE),
    ],
)
def test_reading_open_replies(reply: str, kind: Any, answer: Any, fault: int) -> None:
    found, why = read_open(reply, kind)
    assert why == fault
    assert (found.tolist() if isinstance(found, np.ndarray) else found) == (pytest.approx(answer) if isinstance(answer, list) else answer)


def test_algorithms_refuse_what_they_cannot_answer() -> None:
    from marl_llm.algorithm import Requires, Unsuitable

    for kind in ("Aim", "Slots", "Essay"):
        with pytest.raises(Unsuitable, match="needs Discrete actions"):
            Requires().check("some", Open(kind).info)
    with pytest.raises(Unsuitable, match="cannot speak"):
        Requires().check("some", Open("Talk").info)
    assert registry.game("kuhn_poker").info.message is None
