"""Who sits where, and that nobody learns from a seat that is not its own."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from algorithms.composed import Composed
from algorithms.recipes.mars import recipe
from algorithms.samplers import Groups, LeaguePlay, SelfPlay
from marl_llm import registry
from marl_llm.agents.pool import AgentPool
from marl_llm.algorithm import Setup
from marl_llm.errors import UserError
from marl_llm.league import League
from marl_llm.play import play
from marl_llm.records import Batch
from tests.inference.models import random_agent


def composed(sampler, folder: Path, model: str = "tabular", games=("kuhn_poker",)) -> Composed:
    """A method with this sampler and a league in ``folder``."""
    league = League(folder / "league", lambda player, into: algorithm.save_past(player, into))
    algorithm = Composed(replace(recipe, sampler=sampler), Setup(games, registry.game, model, 7, league=league))
    return algorithm


def test_half_the_deals_are_against_the_past_in_every_seat(tmp_path):
    algorithm = composed(LeaguePlay(mirror=SelfPlay(matches=64), every=3, opponents=2), tmp_path)
    for step in range(5):
        matches = algorithm.plan(step)
    assert list(algorithm.setup.league.members) == ["self@0", "self@3"]
    seatings = Counter(match.players for match in matches)
    assert seatings["self", "self"] == 32
    assert sum(count for players, count in seatings.items() if players[0] == "self") == 48
    assert sum(count for players, count in seatings.items() if players[1] == "self") == 48
    assert all(match.learn == {seat for seat, name in enumerate(match.players) if name == "self"} for match in matches)
    mirror = SelfPlay(matches=64).plan(4, algorithm.setup, {})
    assert [match.seed for match in matches] == [match.seed for match in mirror]


def test_share_one_and_share_none(tmp_path):
    assert all("self@0" in match.players for match in composed(LeaguePlay(share_of_past=1.0), tmp_path).plan(0))
    mirror = SelfPlay(matches=32, opening=3)
    algorithm = composed(LeaguePlay(mirror=mirror, share_of_past=0.0), tmp_path)
    assert algorithm.plan(0) == mirror.plan(0, algorithm.setup, {})


def test_anchors_hold_the_seats_they_were_given(tmp_path):
    game = "kuhn_poker(players=3)"
    matches = composed(LeaguePlay(mirror=SelfPlay(matches=60), anchors={1: "random"}), tmp_path, games=(game,)).plan(0)
    seatings = Counter(match.players for match in matches)
    assert seatings == {("self", "random", "self"): 30, ("self", "random", "self@0"): 15, ("self@0", "random", "self"): 15}
    assert all(1 not in match.learn for match in matches)
    fixed = composed(LeaguePlay(mirror=SelfPlay(matches=8), anchors={0: "cfr"}), tmp_path).plan(0)
    assert {(match.players, match.learn) for match in fixed} == {(("cfr", "self"), frozenset({1}))}


@pytest.mark.parametrize("anchors", [{2: "random"}, {0: "random", 1: "random"}])
def test_anchors_leave_a_seat_and_take_one_that_is_there(tmp_path, anchors):
    with pytest.raises(UserError, match=r"sampler\.anchors .* kuhn_poker, which has 2"):
        composed(LeaguePlay(anchors=anchors), tmp_path).plan(0)


def test_a_deal_s_group_is_seated_alike(tmp_path):
    matches = composed(LeaguePlay(mirror=Groups(deals=8, size=4)), tmp_path).plan(0)
    seatings = {match.seed: match.players for match in matches}
    assert len(seatings) == 8
    assert all(match.players == seatings[match.seed] for match in matches)
    assert Counter(seatings.values()) == {("self", "self"): 4, ("self", "self@0"): 2, ("self@0", "self"): 2}


def test_no_league_is_told():
    with pytest.raises(UserError, match="marl-llm train"):
        LeaguePlay().plan(0, Setup(("kuhn_poker",), registry.game, "tabular", 0), {})


def spoiled(batch: Batch, learner: str = "self") -> Batch:
    """The same batch, in which all that the other players did, said and earned has become nonsense."""
    own = np.asarray(batch.tables["player"])[batch["seat.player"]] == learner
    columns = {}
    for name, values in batch.columns.items():
        level = name.split(".")[0]
        if level in ("turn", "token", "legal", "support") and values.dtype.kind == "f":
            columns[name] = np.where(own[batch.up(level, "seat")], values, 1e6).astype(values.dtype)
    columns["turn.action"] = np.where(own[batch.up("turn", "seat")], batch["turn.action"], 1 - batch["turn.action"])
    columns["seat.return"] = np.where(own, batch["seat.return"], 1e6)
    return batch.with_columns(**columns)


@pytest.mark.parametrize("kind", ["tabular", "language"])
def test_nothing_is_learned_from_frozen_seats(tmp_path, kind):
    """Whatever stands in frozen seats, the parameters come out the same, but for the rounding of running sums; in the player's
    own it matters."""
    model = "tabular"
    if kind == "language":
        model = str(tmp_path / "model")
        random_agent().save(Path(model))
    sampler = LeaguePlay(mirror=SelfPlay(matches=256), anchors={0: "cfr"})
    results = []
    for change in (lambda batch: batch, spoiled, lambda batch: spoiled(batch, "cfr")):
        algorithm = composed(sampler, tmp_path, model)
        pool = AgentPool(algorithm.agents, algorithm.setup.league.members)
        batch = Batch.concat(play(algorithm.plan(0), pool, registry.game))
        frozen = np.asarray(batch.tables["player"])[batch["seat.player"]] != "self"
        assert frozen.any()
        assert not batch["turn.learn"][frozen[batch.up("turn", "seat")]].any()
        algorithm.learn(change(batch))
        results.append([value.detach().clone() for value in algorithm.policy.parameters()])
    assert max((a - b).abs().max() for a, b in zip(results[0], results[1], strict=True)) < 1e-9
    assert max((a - b).abs().max() for a, b in zip(results[0], results[2], strict=True)) > 1e-4


def test_past_policies_play_as_they_were(tmp_path):
    """In matches against a member the recorded probabilities are those of the learner when it joined."""
    algorithm = composed(LeaguePlay(mirror=SelfPlay(matches=256), every=100), tmp_path)
    pool = AgentPool(algorithm.agents, algorithm.setup.league.members)
    for step in range(3):
        batch = Batch.concat(play(algorithm.plan(step), pool, registry.game))
        algorithm.learn(batch)
    player = np.asarray(batch.tables["player"])[batch["seat.player"]][batch.up("legal", "seat")]
    assert np.allclose(batch["legal.logp"][player == "self@0"], np.log(0.5))
    assert abs(batch["legal.logp"][player == "self"] - np.log(0.5)).max() > 0.001
