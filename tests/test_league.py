"""The league: payoffs, draws, members on disk and in memory, and the alarm for a collapse."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from marl_llm import registry
from marl_llm.agent import Decision, Immediate, Request
from marl_llm.agents import pool as pools
from marl_llm.agents.pool import AgentPool
from marl_llm.agents.random import RandomAgent
from marl_llm.checkpoint import Damaged
from marl_llm.cli import main
from marl_llm.collapse import CollapseAlarm
from marl_llm.errors import UserError
from marl_llm.intervals import Interval
from marl_llm.league import League
from marl_llm.matches import round_robin, self_play
from marl_llm.metrics import read
from marl_llm.payoffs import Payoffs
from marl_llm.play import play
from marl_llm.records import VOID, Batch
from marl_llm.watch import Watch, self_play_return
from tests.test_train import bits, small_model  # noqa: F401 (a fixture)


def matches(rows: list[tuple[tuple[str, ...], tuple[float, ...]]], ends: list[int] | None = None) -> Batch:
    """Finished matches of one game, ``(players, returns)`` each."""
    names = sorted({name for players, _ in rows for name in players})
    seats = len(rows[0][0])
    return Batch(
        columns={
            "match.game": np.zeros(len(rows), np.int64),
            "match.end": np.asarray(ends or [0] * len(rows)),
            "match.seed": np.arange(len(rows), dtype=np.uint64),
            "seat.player": np.asarray([names.index(name) for players, _ in rows for name in players]),
            "seat.return": np.asarray([value for _, returns in rows for value in returns], float),
        },
        starts={"seat": np.arange(len(rows) + 1) * seats},
        tables={"game": ["g"], "player": names},
    )


def save_random(player: str, folder: Path) -> None:
    """An agent folder of the ordinary kind: a policy table without rows."""
    (folder / "agent.json").write_text(json.dumps({"loader": "tabular", "actions": 2, "rows": {}, "logits": []}))


@pytest.fixture
def league(tmp_path: Path) -> League:
    made = League(tmp_path / "league", save_random)
    for step in (0, 10, 20):
        made.add("self", step)
    return made


def test_payoffs_are_counts_and_sums_per_ordered_seating() -> None:
    payoffs = Payoffs()
    payoffs.observe(
        matches([(("a", "b"), (2, -2)), (("b", "a"), (1, -1)), (("a", "b"), (0, 0)), (("a", "b"), (9, -9))], [0, 0, 0, VOID]), {}
    )
    first, second = payoffs.seatings["g", ("a", "b")], payoffs.seatings["g", ("b", "a")]
    assert (first.matches, first.total.tolist(), first.squares.tolist(), first.ahead.tolist()) == (2, [2, -2], [4, 4], [1.5, 0.5])
    assert (second.matches, second.total.tolist()) == (1, [1, -1])
    assert payoffs.ahead("g", "a", "b") == (1.5, 3)
    matrix = payoffs.matrix("g", ["a"])
    assert (matrix.columns, matrix.matches.tolist()) == (["b"], [[3]])
    assert matrix.mean[0, 0] == pytest.approx(1 / 3)
    assert matrix.half[0, 0] == pytest.approx(1.96 * np.std([2, -1, 0], ddof=1) / np.sqrt(3))


def test_payoffs_of_more_than_two_seats() -> None:
    payoffs = Payoffs()
    payoffs.observe(matches([(("a", "b", "b"), (3, 0, 3)), (("b", "a", "c"), (0, 1, 5))]), {"c": "C"})
    assert payoffs.ahead("g", "a", "b") == (1, 2)  # 3 against a mean of 1.5; 1 against 2.5
    assert payoffs.ahead("g", "b", "a") == (1, 3)  # 0 against 3, 3 against 1.5, and 0 against 3
    matrix = payoffs.matrix("g", ["a", "b"])
    assert matrix.columns == ["a", "b", "C"]
    assert matrix.matches.tolist() == [[0, 2, 1], [3, 0, 1]]
    assert matrix.mean[0, 1:].tolist() == [2, 1]


def test_training_and_evaluation_games_are_apart_and_the_learner_s_name_follows_it(league: League) -> None:
    league.observe(matches([(("self", "self@0"), (1, -1))]))
    league.add("self", 30)
    league.observe(matches([(("self", "self@0"), (-1, 1))]))
    assert league.training.seatings["g", ("self@20+", "self@0")].total.tolist() == [1, -1]
    assert league.training.seatings["g", ("self@30+", "self@0")].total.tolist() == [-1, 1]
    assert not league.evaluation.seatings


def test_draws(league: League) -> None:
    assert sorted(league.draw("uniform", "self", "g", 6, 1)) == sorted(2 * list(league.members))
    won = {"self@0": 9, "self@10": 4, "self@20": 0}
    for member, count in won.items():
        league.observe(matches([(("self", member), (1, -1) if k < count else (-1, 1)) for k in range(10)]))
    weights = np.asarray([(1 - (count + 1) / 12) ** 2 for count in won.values()])
    drawn = [league.draw("prioritised", "self", "g", 4, seed) for seed in range(2000)]
    share = np.asarray([sum(names.count(member) for names in drawn) for member in won]) / 8000
    assert share == pytest.approx(weights / weights.sum(), abs=0.01)
    assert league.draw("prioritised", "self", "other game", 3, 5) == list(won), "unmet members are equally likely"


def test_nobody_to_draw(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no members"):
        League(tmp_path, save_random).draw("uniform", "self", "g", 1, 0)


def test_saved_and_restored_without_loss(league: League, tmp_path: Path) -> None:
    league.observe(matches([(("self", "self@0"), (1 / 3, -1 / 3)), (("self@10", "self"), (0.1, -0.1))]))
    league.evaluation.observe(matches([(("x", "random"), (1e-300, 0))]), {"x": "self@0"})
    league.save(tmp_path / "league.json")
    again = League(tmp_path / "league", save_random)
    again.load(tmp_path / "league.json")
    again.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "league.json").read_bytes()
    assert again.members == league.members
    (league.members["self@10"] / "agent.json").write_text("{}")
    with pytest.raises(Damaged, match=r"self@10: agent\.json"):
        again.load(tmp_path / "league.json")


def test_members_are_made_on_demand_and_the_least_recently_used_gives_way(league: League, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "RESIDENT", 2)
    live = RandomAgent()
    pool = AgentPool({"self": live}, league.members)
    first, second = pool.resolve("self@0"), pool.resolve("self@10")
    assert pool.resolve("self@0") is first
    pool.resolve("self@20")
    assert pool.resolve("self@0") is first, "used after self@10"
    assert pool.resolve("self@10") is not second
    assert pool.resolve("self") is live
    with pytest.raises(UserError, match="self@5"):
        pool.resolve("self@5")
    league.add("self", 5)
    assert pool.resolve("self@5")
    pool.release()
    assert pool.resolve("self@10") is not second


def replayed(series: list[tuple[float, float]], half: float = 0.1, own_half: float = 0.02) -> list[bool]:
    """The alarm over evaluations ``(return against the anchor, self-play return)``."""
    alarm = CollapseAlarm()
    return [
        alarm.watch("random", Interval(met, met - half, met + half, 200), Interval(own, own - own_half, own + own_half, 4096))
        for met, own in series
    ]


def test_the_alarm_on_a_run_that_collapses() -> None:
    """Against the anchor it rises, falls, recovers for a moment and falls for good, while self-play stays at 0."""
    series = [(0.0, 0.0), (0.3, 0.003), (0.6, 0.0), (0.3, -0.004), (0.45, 0.0), (0.2, 0.0), (0.1, 0.005), (0.0, 0.0), (0.55, 0.0)]
    assert replayed(series) == [False, False, False, False, False, False, True, True, False]


def test_no_alarm_on_a_run_that_does_not() -> None:
    noisy = [(0.0, 0.0), (0.3, 0.0), (0.5, 0.0), (0.35, 0.0), (0.55, 0.0), (0.4, 0.0), (0.42, 0.0)]
    assert not any(replayed(noisy)), "every interval reaches the best lower end"
    assert not any(replayed([(0.6, 0.0), (0.2, 0.0), (0.6, 0.0), (0.2, 0.0), (0.6, 0.0)])), "never twice running"
    seen = [(0.6, 0.5), (0.2, 0.2), (0.1, 0.1), (0.0, 0.0)]
    assert not any(replayed(seen)), "the self-play return shows it"


def test_the_alarm_goes_on_after_a_restart() -> None:
    alarm, again = CollapseAlarm(), CollapseAlarm()
    own, low = Interval(0, 0, 0, 100), Interval(0.1, 0.0, 0.2, 100)
    alarm.watch("random", Interval(0.6, 0.5, 0.7, 100), own)
    assert not alarm.watch("random", low, own)
    again.load(json.loads(json.dumps(alarm.json())))
    assert again.watch("random", low, own)


class Fading(Immediate):
    """Plays perfectly until it forgets everything."""

    def __init__(self) -> None:
        super().__init__()
        self.now = registry.agent("minimax")

    def decide(self, request: Request) -> Decision:
        self.now.submit(request)
        (decision,) = self.now.poll(1.0)
        return decision


def test_a_collapse_is_in_the_metrics_and_told() -> None:
    """Perfect play that becomes random: against random it falls, and in self-play the mean over seats is 0 throughout."""
    game, agent, told = registry.game("tic_tac_toe"), Fading(), []
    watch = Watch([game], agent, "self", ["random"], 40, 0, payoffs := Payoffs())
    judged = []
    for step in range(4):
        figures = watch.measure(step)
        batch = Batch.concat(play(self_play("tic_tac_toe", "self", 2, 64, step), AgentPool({"self": agent}), registry.game))
        judged.append(watch.judge(batch, step, told.append)["collapse"])
        assert figures["anchor/random_low"] <= figures["anchor/random"] <= figures["anchor/random_high"]
        agent.now = RandomAgent()
    assert judged == [0, 0, 1, 1]
    assert len(told) == 1
    assert told[0].startswith("step 2: COLLAPSE: the return against random has fallen to ")
    assert payoffs.seatings["tic_tac_toe", ("self@0", "random")].matches == 40
    assert payoffs.seatings["tic_tac_toe", ("random", "self@3")].matches == 40


def test_the_self_play_return_counts_mirror_matches_only() -> None:
    batch = matches([(("self", "self"), (3, 1)), (("self", "x"), (9, 9)), (("self", "self"), (1, 1)), (("x", "x"), (7, 7))])
    assert self_play_return(batch, "g", "self").mean == 1.5
    plan = round_robin("kuhn_poker", ["random", "cfr"], 2, 4, 0)
    assert self_play_return(Batch.concat(play(plan, AgentPool(), registry.game)), "kuhn_poker", "self") == (0, 0, 0, 0)


LEAGUE = ["--sampler.mirror.matches", "128", "--sampler.every", "2", "--horizon", "8", "--evaluate-every", "2", "--checkpoint-every", "2"]


def train(out: Path, *flags: str, model: str = "tabular") -> int:
    anchors = ["--anchors", "random", "cfr", "--anchor-deals", "10"]
    return main(["train", "mars-league", "--game", "kuhn_poker", "--model", model, "--out", str(out), *LEAGUE, *anchors, *flags])


@pytest.mark.parametrize("kind", ["tabular", "language"])
def test_resumed_equals_uninterrupted(tmp_path: Path, kind: str, small_model: str) -> None:  # noqa: F811
    model = "tabular" if kind == "tabular" else small_model
    assert train(tmp_path / "whole", "--steps", "6", model=model) == 0
    assert train(tmp_path / "parts", "--steps", "3", model=model) == 0
    assert train(tmp_path / "parts", "--steps", "6", "--resume", model=model) == 0
    whole, parts = bits(tmp_path / "whole"), bits(tmp_path / "parts")
    assert whole[0].keys() == parts[0].keys()
    assert [name for name in whole[0] if whole[0][name] != parts[0][name]] == []
    assert whole[1] == parts[1]
    folders = [
        {path.name: (path / "agent.json").read_bytes() for path in (tmp_path / run / "league").iterdir()} for run in ("whole", "parts")
    ]
    assert folders[0] == folders[1]
    assert sorted(folders[0]) == ["self@0", "self@2", "self@4"]
    saved = json.loads(whole[0]["league.json"])
    assert {"random", "cfr"} == {name for one in saved["evaluation"] for name in one["players"] if not name.startswith("self")}
    assert {name for one in saved["training"] for name in one["players"] if name.endswith("+")} == {"self@0+", "self@2+", "self@4+"}


def test_a_run_shows_its_anchors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(tmp_path / "run", "--steps", "3") == 0
    assert "step 3: return against cfr " in capsys.readouterr().err
    records = read(tmp_path / "run")
    assert [record["step"] for record in records if "anchor/cfr" in record] == [0, 2, 3]
    assert [record["collapse"] for record in records if "collapse" in record] == [0, 0]


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["--anchors", "minimax"], "minimax"),
        (["--anchors", "radnom"], "did you mean random"),
        (["--anchor-deals", "1"], "--anchor-deals is 1"),
        (["--sampler.share-of-past", "2"], "sampler.share_of_past is 2"),
        (["--sampler.every", "0"], "sampler.every is 0"),
    ],
)
def test_wrong_settings_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], line: str) -> None:
    base = ["train", "mars-league", "--game", "kuhn_poker", "--model", "tabular", "--out", str(tmp_path / "run")]
    assert main([*base, *flags]) == 2
    said = capsys.readouterr().err.strip()
    assert line in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "run").exists()
