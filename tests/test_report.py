"""``report.html``: every figure is drawn, what agents and games say stays text, and replays show what was recorded."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from marl_llm import registry
from marl_llm.agent import Request
from marl_llm.agents.pool import AgentPool
from marl_llm.cli import main
from marl_llm.matches import self_play
from marl_llm.metrics import read
from marl_llm.play import play
from marl_llm.ragged import Ragged
from marl_llm.records import Batch
from marl_llm.report import charts
from marl_llm.report.episodes import Option, shown
from marl_llm.report.page import write, write_report
from tests.inference.models import random_agent

VOID = {"meta", "br"}


class Page(HTMLParser):
    """Every element with its attributes, the text of each (``texts`` are tag, class or id, text), and the points drawn of each figure."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[tuple[str, str | None, list[str]]] = []
        self.texts: list[tuple[str, str | None, str]] = []
        self.drawn: dict[str, dict[str, list[str]]] = {}
        self.figure = ""
        self.feed(text)
        self.close()
        assert not self.open, "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        about = dict(attrs)
        self.elements.append((tag, about))
        self.figure = about.get("data-figure") or self.figure
        if tag in ("polyline", "polygon"):
            self.drawn.setdefault(self.figure, {}).setdefault(tag, []).extend((about["points"] or "").split())
        if tag not in VOID:
            self.open.append((tag, about.get("class") or about.get("id"), []))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_data(self, data: str) -> None:
        if self.open:
            self.open[-1][2].append(data)

    def handle_endtag(self, tag: str) -> None:
        opened, about, said = self.open.pop()
        assert opened == tag
        self.texts.append((tag, about, "".join(said)))

    def all(self, tag: str, kind: str | None) -> list[str]:
        return [text for name, about, text in self.texts if (name, about) == (tag, kind)]


def page(run: Path) -> Page:
    return Page((run / "report.html").read_text())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run with a league and anchors, evaluated."""
    out = tmp_path_factory.mktemp("report") / "run"
    flags = ["--sampler.mirror.matches", "64", "--sampler.every", "2", "--evaluate-every", "2", "--anchor-deals", "4"]
    base = ["train", "mars-league", "--game", "kuhn_poker", "--model", "tabular", "--out", str(out), "--steps", "5"]
    assert main([*base, "--anchors", "random", "cfr", *flags]) == 0
    return out


def test_every_figure_is_drawn_with_every_value(run: Path) -> None:
    records, drawn = read(run), page(run).drawn
    names = {name for record in records for name in record if name != "step"}
    ends = {name for name in names if name.endswith(("_low", "_high"))}
    assert {"anchor/cfr_low", "anchor/cfr_high"} <= ends
    assert set(drawn) == names - ends
    for name in names - ends:
        values = [record[name] for record in records if record.get(name) is not None]
        assert len(drawn[name]["polyline"]) == len(values), name
        if f"{name}_low" in ends:
            assert len(drawn[name]["polygon"]) == 2 * len(values)


def test_figures_that_belong_together_share_a_chart(run: Path) -> None:
    found = {section: [chart.title for chart in drawn] for section, drawn in charts.sections(read(run)).items()}
    assert found["Exploitability"] == ["exploitability", "best_response", "private_tv"]
    assert found["Anchors"] == ["anchor/random", "anchor/cfr", "collapse"]
    assert {"loss", "entropy", "learning_rate"} <= set(found["Learning"])
    assert {"information_sets", "return"} <= set(found["Data"])


def test_a_line_breaks_where_a_value_is_missing() -> None:
    records = [{"step": k, "loss": value} for k, value in enumerate([0.0, 1.0, None, 0.5])]
    ((chart,),) = charts.sections(records).values()
    assert [run.count(",") for run in chart.lines[0].runs] == [2, 1]
    (x0, y0), (x1, y1) = (map(float, point.split(",")) for point in chart.lines[0].runs[0].split())
    assert (x0, y0, y1) == (charts.LEFT, charts.HEIGHT - charts.BOTTOM, charts.TOP)
    assert x1 == pytest.approx(charts.LEFT + (charts.WIDTH - charts.RIGHT - charts.LEFT) / 3, abs=0.1)
    assert charts.sections([{"step": 0, "loss": None}])["Learning"][0].lines[0].last == "-"


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (-3.0, 7.0, [-2, 0, 2, 4, 6]),
        (0.458, 0.46, [0.458, 0.4585, 0.459, 0.4595, 0.46]),
        (5, 5, [5]),
    ],
)
def test_ticks_are_round(low: float, high: float, expected: list[float]) -> None:
    assert charts.ticks(low, high) == pytest.approx(expected)


def test_one_file_that_needs_nothing_else(run: Path) -> None:
    for tag, about in page(run).elements:
        assert tag not in ("link", "iframe", "img", "object", "embed")
        assert not {"src", "href", "srcset", "action"} & about.keys()
    text = (run / "report.html").read_text()
    assert "://" not in text
    assert "@import" not in text


def test_settings_and_payoffs_stand_there(run: Path) -> None:
    found = page(run)
    assert found.all("pre", "settings") == [(run / "config.yaml").read_text()]
    text = (run / "report.html").read_text()
    training, evaluation = text.split("kuhn_poker: training games against")[1].split("kuhn_poker: evaluation games against")
    assert "<th>self@4+</th>" in training
    assert "<th>self@2</th>" in training
    assert "<th>self@4+</th>" not in evaluation
    assert "<th>cfr</th>" in evaluation
    assert found.elements.count(("table", {"class": "heat"})) == 2


def test_evaluate_writes_it_too(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "report.html").unlink()
    assert main(["evaluate", str(run), "--anchors", "random", "--deals", "4", "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [about["data-anchor"] for tag, about in page(run).elements if "data-anchor" in about] == ["random"] * 3
    text = (run / "report.html").read_text()
    assert "Evaluation of step 5" in text
    assert f"<td>{told['exploitability']:.4f}</td>" in text


def test_probabilities_of_a_table_are_those_recorded(run: Path) -> None:
    matches = shown(run)
    assert {match.step for match in matches} == {0, 2, 4}
    turns = [turn for match in matches for turn in match.turns]
    assert all(sum(option.probability or 0 for option in turn.options) == pytest.approx(1) for turn in turns if turn.player != "cfr")
    assert any(not turn.learned for turn in turns)
    assert all(turn.text.startswith(f"You are player {turn.seat + 1}.") for turn in turns)
    first = next(turn for match in matches if match.step == 0 for turn in match.turns)
    assert first.options == [Option("pass", pytest.approx(0.5)), Option("bet", pytest.approx(0.5))]
    assert first.prompt is None


OWN = """
from marl_llm.game import Discrete, Game, GameInfo, State, View

NAMES = ["bet 1", "bet 2", "pass", "fold"]

class Hostile(Game):
    info = GameInfo(name="hostile", seats=1, returns=(0, 3), max_decisions=1, action=Discrete(4), key_kind="state",
                    summary="Say one of: bet 1, bet 2, pass, fold.")
    def start(self, seed):
        return Round()

class Round(State):
    done = None
    def to_act(self): return () if self.done is not None else (0,)
    def legal(self, seat): return range(4)
    def apply(self, moves): self.done = moves[0]
    def returns(self): return [float(self.done or 0)]
    def view(self, seat): return View(text=lambda: "Moves: bet 1, bet 2. </pre><script>view()</script>", key=lambda: "k")
    def action_text(self, seat, action): return NAMES[action]
"""
ATTACK = "</pre></details><script>alert('x')</script> &amp; <b>bold</b>"


@pytest.fixture
def spoken(tmp_path: Path) -> tuple[Path, str, object]:
    """A run of a language model on a game with moves that begin alike: its folder, the game and the agent."""
    (tmp_path / "own.py").write_text(OWN)
    spec = registry.game(f"{tmp_path / 'own.py'}:Hostile").spec
    agent = random_agent(spec)
    run = tmp_path / "run"
    (run / "episodes").mkdir(parents=True)
    saved = run / "checkpoints" / "000001" / "agents" / "self"
    saved.mkdir(parents=True)
    agent.save(saved)
    batch = Batch.concat(play(self_play(spec, "self", 1, 8, 1), AgentPool({"self": agent}), registry.game))
    batch.save(run / "episodes" / "000000.npz")
    return run, spec, agent


def test_probabilities_of_a_language_model_are_its_policy_where_they_were_told_apart(spoken) -> None:
    run, spec, agent = spoken
    boards = registry.game(spec).boards(1)
    boards.start(np.zeros(1, np.int64), np.zeros(1, np.uint64))
    views, legal = boards.views(np.zeros(1, np.int64), np.zeros(1, np.int64)), boards.legal(np.zeros(1, np.int64), np.zeros(1, np.int64))
    one = np.zeros(1, np.int64)
    policy = agent.policy(Request(one, one, one, one.astype(np.uint64), views, legal, [None], one.astype(np.int8))).data
    turns = [turn for match in shown(run) for turn in match.turns]
    assert len({turn.chosen for turn in turns}) > 1
    for turn in turns:
        assert turn.probability == pytest.approx(policy[turn.chosen], rel=1e-5)
        together = turn.chosen > 1  # then "bet" was left as one
        expected = [policy[:2].sum()] * 2 if together else policy[:2].tolist()
        found = [option.probability for option in turn.options]
        assert found == pytest.approx([*expected, *policy[2:]], rel=1e-5)
        assert [option.shared for option in turn.options] == [together, together, False, False]
    assert "Say one of: bet 1" in (turns[0].prompt or "")
    assert turns[0].reply == f"{turns[0].options[turns[0].chosen].text}{agent.tokenizer.eos_token}"


def test_what_agents_and_games_say_is_text(spoken) -> None:
    """A reply, a prompt and a view full of markup, and a player's name: no element comes of them."""
    run, _, agent = spoken
    batch = Batch.load(run / "episodes" / "000000.npz")
    ids = agent.tokenizer.encode(ATTACK, add_special_tokens=False)
    tokens = Ragged.of([ids] * batch.size("turn"), np.int32)
    support = np.zeros(len(tokens.data) + 1, np.int64)
    columns = {name: values for name, values in batch.columns.items() if not name.startswith(("token.", "support."))}
    columns |= {"token.id": tokens.data, "token.logp": np.zeros(len(tokens.data), np.float32)}
    columns |= {"turn.stream": np.zeros(batch.size("turn"), np.int64), "turn.prompt_end": np.full(batch.size("turn"), len(ids))}
    tables = {**batch.tables, "stream": Ragged.of([ids], np.int32), "player": ["<script>me</script>"]}
    Batch(columns, {**batch.starts, "token": tokens.starts, "support": support}, tables).save(run / "episodes" / "000000.npz")
    write(run)
    found = page(run)
    assert [tag for tag, _ in found.elements].count("script") == 1
    assert not [tag for tag, _ in found.elements if tag == "b"]
    assert found.all("pre", "reply") == [ATTACK] * 8
    assert found.all("pre", "prompt") == [ATTACK] * 8
    assert found.all("pre", "view") == ["Moves: bet 1, bet 2. </pre><script>view()</script>"] * 8
    assert sum("<script>me</script>" in text for tag, _, text in found.texts if tag == "h3") == 8


def test_without_a_tokenizer_replies_are_left_out(spoken) -> None:
    run, _, _ = spoken
    for file in (run / "checkpoints" / "000001" / "agents" / "self").glob("tokenizer*"):
        file.unlink()
    turn = shown(run)[0].turns[0]
    assert (turn.prompt, turn.reply) == (None, None)
    assert [option.probability for option in turn.options] == [None] * 4
    assert 0 < turn.probability < 1


def test_a_report_that_fails_ends_nothing(tmp_path: Path) -> None:
    told: list[str] = []
    (tmp_path / "report.html").mkdir()
    write_report(tmp_path, told.append)
    assert len(told) == 1
    assert "report.html could not be written: " in told[0]


def test_an_empty_run_has_one_too(tmp_path: Path) -> None:
    assert page(write(tmp_path).parent).all("pre", "settings") == [""]


def test_a_collapse_stands_at_the_head(tmp_path: Path, run: Path) -> None:
    rows = [{"step": step, "collapse": float(step > 10)} for step in (0, 10, 20, 30)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (told,) = page(write(tmp_path).parent).all("p", "alarm")
    assert "from step\n20 on, at 2 evaluations, the last at step 30" in told
    assert "Collapse" not in (run / "report.html").read_text()


def test_the_words_of_faults_are_there(tmp_path: Path) -> None:
    """An agent that answers illegally: each attempt is a turn with its fault, the move that followed is chosen."""
    (tmp_path / "bot.py").write_text("def choose(text, legal):\n    return 'nonsense'\n")
    plan = self_play("kuhn_poker", f"{tmp_path / 'bot.py'}:choose", 2, 2, 1)
    batch = Batch.concat(play(plan, AgentPool(), registry.game))
    (tmp_path / "episodes").mkdir()
    batch.save(tmp_path / "episodes" / "000003.npz")
    turns = shown(tmp_path)[0].turns
    assert [turn.fault for turn in turns[:3]] == ["illegal", "illegal", "ok"]
    assert [turn.chosen is None for turn in turns[:3]] == [True, True, False]
    write(tmp_path)
    assert "illegal" in page(tmp_path).all("p", "alarm")
