"""Evaluation: exact where it can be, sampled with intervals elsewhere, the two in agreement, and what people are shown."""

from __future__ import annotations

import json

import numpy as np
import pytest

from marl_llm import registry
from marl_llm.agents.random import RandomAgent
from marl_llm.anchors import anchors_of, computed, played, policy_in
from marl_llm.cli import main
from marl_llm.evaluate import Evaluation, evaluate, truth_of
from marl_llm.exact import exploitability
from marl_llm.figures import show
from marl_llm.tree import tree_of

QUICK = Evaluation(deals=20, response_deals=40)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of a few iterations on Kuhn poker."""
    out = tmp_path_factory.mktemp("runs") / "kuhn"
    flags = ["--model", "tabular", "--out", str(out), "--sampler.matches", "64", "--steps", "2"]
    assert main(["train", "mars", "--game", "kuhn_poker", *flags]) == 0
    return out


def test_random_tic_tac_toe_is_computed_whole():
    """Random against itself as published (and walked through in test_exact), and never a win against perfect play."""
    figures = evaluate(RandomAgent(), registry.game("tic_tac_toe"), [], QUICK)
    assert list(figures["anchors"]) == ["random", "minimax"]
    chances = [[seat[name]["mean"] for name in ("win", "draw", "loss")] for seat in figures["anchors"]["random"]["seats"]]
    assert chances[0] == pytest.approx([0.585, 0.127, 0.288], abs=5e-4)
    assert chances[1] == pytest.approx(chances[0][::-1])
    minimax = figures["anchors"]["minimax"]
    assert [seat["win"]["mean"] for seat in minimax["seats"]] == [0, 0]
    assert minimax["exact"]
    assert minimax["low"] == minimax["mean"] == minimax["high"]
    assert minimax["mean"] == pytest.approx(-np.mean([seat["loss"]["mean"] for seat in minimax["seats"]]))
    assert figures["exploitability"] == pytest.approx(1.9196594 / 2)
    assert figures["best_response"] == pytest.approx([0.9947917, 0.9248677], abs=1e-6)
    assert "private_tv" not in figures
    assert "exploitability_estimate" not in figures


@pytest.mark.parametrize("spec", ["leduc_poker", "kuhn_poker(players=3)"])
def test_computed_and_played_agree(spec):
    game, agent, anchor = registry.game(spec), RandomAgent(), registry.agent("cfr")
    exact = computed(game, policy_in(game, agent), anchor)
    done: list[int] = []
    sampled = played(game, agent, anchor, 4000, 7, advance=done.append)
    assert sum(done) == 4000 * game.info.seats
    assert sampled.gain.low < exact.gain.mean < sampled.gain.high
    assert exact.gain.mean == pytest.approx(np.mean([score.gain.mean for score in exact.seats]))
    outside = 0
    for one, other in zip(exact.seats, sampled.seats, strict=True):
        assert sum(chance.mean for chance in one.results) == pytest.approx(1)
        pairs = [(one.gain, other.gain), *zip(one.results, other.results, strict=True)]
        outside += sum(not sample.low <= truth.mean <= sample.high for truth, sample in pairs)
        assert all(sample.low < sample.mean < sample.high for _, sample in pairs if sample.mean)
    assert outside <= 1


@pytest.mark.parametrize(
    ("spec", "anchors"),
    [
        ("tic_tac_toe", ["random", "minimax"]),
        ("kuhn_poker(players=3)", ["random", "cfr"]),
        ("connect_four", ["random", "mcts:100"]),
        ("openspiel:pig(winscore=8)", ["random", "mcts:100"]),
        ("openspiel:matrix_rps", ["random"]),
        ("openspiel:liars_dice", ["random"]),
        ("public_goods", ["random"]),
    ],
)
def test_anchors_are_those_that_can_play(spec, anchors):
    assert anchors_of(registry.game(spec)) == anchors


def test_truth_of_a_small_game():
    """Exploitability is what the seats' best responses gain; of hidden cards it is told whether play depends on them."""
    game = registry.game("leduc_poker")
    figures = truth_of(game, RandomAgent()).measure(RandomAgent())
    tree = tree_of(game)
    assert figures["exploitability"] == pytest.approx(exploitability(tree, tree.uniform_policy()))
    assert figures["best_response_0"] + figures["best_response_1"] == pytest.approx(2 * figures["exploitability"])  # zero-sum
    assert figures["private_tv"] == 0
    assert truth_of(game, registry.agent("cfr")).measure(registry.agent("cfr"))["private_tv"] > 0.2


@pytest.mark.parametrize(("spec", "agent"), [("connect_four", "random"), ("kuhn_poker", "ismcts:10")])
def test_an_estimate_where_nothing_is_exact(spec, agent, capsys):
    """A game too large, and a player that states no policy."""
    figures = evaluate(registry.agent(agent), registry.game(spec), ["random"], QUICK)
    assert figures["exploitability"] is None
    assert not {"best_response", "private_tv"} & figures.keys()
    found = figures["exploitability_estimate"]
    assert found["low"] <= found["mean"] <= found["high"]
    assert [seat["games"] for seat in found["seats"]] == [20, 20]
    assert not figures["anchors"]["random"]["exact"]
    assert figures["anchors"]["random"]["games"] == 40
    show(spec, figures)
    said = capsys.readouterr().err
    assert "estimate: sampled response" in said
    assert "random (40 games)" in said
    assert "exact" not in said


def test_the_estimate_can_be_left_out():
    figures = evaluate(RandomAgent(), registry.game("connect_four"), ["random"], Evaluation(deals=2, response_deals=0))
    assert "exploitability_estimate" not in figures


def test_a_general_sum_game_has_no_winners(capsys):
    figures = evaluate(RandomAgent(), registry.game("public_goods(seats=3,mpcr=0.5,levels=2,rounds=1)"), [], QUICK)
    assert all("win" not in seat for seat in figures["anchors"]["random"]["seats"])
    show("public_goods", figures)
    assert "win" not in capsys.readouterr().err


def test_blind_play_is_called_collapse(capsys):
    game = registry.game("kuhn_poker")
    show("uniform", evaluate(RandomAgent(), game, ["random"], QUICK))
    assert "COLLAPSE" in capsys.readouterr().err
    show("cfr", evaluate(registry.agent("cfr"), game, ["random"], QUICK))
    assert "COLLAPSE" not in capsys.readouterr().err


def test_a_run_is_shown_and_printed(run, capsys):
    capsys.readouterr()
    other = "public_goods(seats=3,mpcr=0.5,levels=1,rounds=1)"
    assert main(["evaluate", str(run), "--games", f"kuhn_poker,{other}", "--deals", "2", "--response-deals", "8", "--json"]) == 0
    out = capsys.readouterr()
    found = json.loads(out.out.splitlines()[-1])
    assert found["step"] == 2
    assert list(found["games"]) == ["kuhn_poker", other]
    assert found["games"]["kuhn_poker"]["exploitability_average"] is not None
    assert found["games"][other]["exploitability_average"] is None
    assert set(found["games"]["kuhn_poker"]["anchors"]) == {"random", "cfr"}
    for phrase in ("exploitability of the average", "best response in seat 0", "private_tv", "cfr (exact)", "win", other):
        assert phrase in out.err


def test_a_game_with_other_actions_is_refused_in_one_line(run, capsys):
    capsys.readouterr()
    assert main(["evaluate", str(run), "--games", "connect_four", "--deals", "2", "--response-deals", "4"]) == 2
    (said,) = [text for text in capsys.readouterr().err.splitlines() if text.startswith("marl-llm:")]
    assert "a table for 2 actions cannot play connect_four" in said


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["--games", "kuhn_pokr"], "did you mean kuhn_poker"),
        (["--anchors", "random,cfrr"], "did you mean cfr"),
        (["--anchors", "mcts:10"], "would see the hidden information of kuhn_poker"),
        (["--deals", "1"], "--deals is 1; expected at least 2"),
        (["--response-deals", "3"], "--response-deals is 3; expected at least 4"),
    ],
)
def test_wrong_usage_is_one_line(run, capsys, flags, line):
    capsys.readouterr()
    assert main(["evaluate", str(run), *flags]) == 2
    (said,) = [text for text in capsys.readouterr().err.splitlines() if text.startswith("marl-llm:")]
    assert line in said


def test_no_run_is_one_line(tmp_path, capsys):
    assert main(["evaluate", str(tmp_path)]) == 2
    assert "has no checkpoint; expected a folder that marl-llm train wrote" in capsys.readouterr().err
    assert main(["evaluate", "--json"]) == 2
    assert "evaluate needs a run" in capsys.readouterr().err
