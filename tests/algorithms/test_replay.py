"""League replay: what is learned from a past policy's turns, and the credits that go with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from algorithms.composed import Composed
from algorithms.estimators import Centre
from algorithms.losses import Reinforce
from algorithms.parts import Choices
from algorithms.replay import Balanced, Emphasise, SoftMean
from algorithms.samplers import Groups
from algorithms.terms import Term, Terms
from marl_llm import registry
from marl_llm.agents.pool import AgentPool
from marl_llm.algorithm import Setup
from marl_llm.iteration import played
from marl_llm.league import League
from tests.algorithms.batches import batch_of
from tests.inference.models import random_agent

RECIPES = ["opmd", "asymre", "rec", "red-drop", "red-weight"]


def deal_of(outcomes):
    batch = batch_of([[[float(r)]] for r in outcomes])
    columns = {"match.seed": np.zeros(len(outcomes), np.uint64), "seat.return": np.asarray(outcomes, float)}
    return batch.with_columns(**columns, **{"match.id": np.arange(len(outcomes), dtype=np.uint64)})


def advantage(outcomes, estimator, *finish, weight=1.0):
    return Terms(terms=(Term(estimator=estimator, weight=weight),), finish=finish).assign(deal_of(outcomes), {}).advantage


def test_baselines_by_hand():
    """r = [1,0,0,1], tau 1: log mean exp is .620115; the shifted mean is .4."""
    assert advantage([1, 0, 0, 1], SoftMean()) == pytest.approx([0.37989, -0.62011, -0.62011, 0.37989], abs=1e-5)
    assert advantage([1, 0, 0, 1], Centre(shift=-0.1)) == pytest.approx([0.6, -0.4, -0.4, 0.6])
    assert advantage([1, 0, 0, 1], Centre(), Emphasise()) == pytest.approx([0.824361, -0.303265, -0.303265, 0.824361], abs=1e-6)


def test_the_soft_mean_lies_between_the_mean_and_the_best():
    assert advantage([1, 0, 0, 1], SoftMean(tau=1e6)) == pytest.approx([0.5, -0.5, -0.5, 0.5], abs=1e-5)
    assert advantage([900, 0, 0, 1], SoftMean(tau=0.01)) == pytest.approx([0, -900, -900, -899], abs=0.1)


def test_opmd_by_hand():
    """A is +-.5 and halved by 1 + tau; log-probabilities -1 and -2: -.125."""
    gain = torch.from_numpy(advantage([1, 0], Centre(), weight=0.5))
    logp = torch.tensor([[-1.0], [-2.0]], dtype=torch.float64)
    choices = Choices.of(np.arange(2), np.zeros(2, np.int64), np.arange(2), logp)
    assert Reinforce().value(logp, choices, gain, None, 0.0)[0].item() == pytest.approx(-0.125)


def test_no_more_bad_than_good():
    left = Balanced(inner=Groups()).accept(deal_of([1, -1, -1, -1, -1]), {})["turn.learn"]
    assert left[0]
    assert left.sum() == 2
    assert Balanced().accept(deal_of([1, 1, 1, -1]), {})["turn.learn"].all(), "good ones stay, however many"
    assert Balanced().accept(deal_of([-1, -1, -1]), {})["turn.learn"].all(), "nothing to balance"


def built(recipe, folder, model="tabular", rate=0.05):
    league = League(folder / "league", lambda player, into: algorithm.save_past(player, into))
    recipe = replace(recipe, learner=replace(recipe.learner, rate=replace(recipe.learner.rate, start=rate, end=rate)))
    algorithm = Composed(recipe, Setup(("kuhn_poker",), registry.game, model, 5, league=league))
    return algorithm, AgentPool(algorithm.agents, league.members)


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_learn_on_kuhn_poker(name, tmp_path):
    algorithm, pool = built(registry.recipe(name), tmp_path)
    for step in range(16):
        figures = algorithm.learn(played(algorithm, step, pool, registry.game, in_flight=1024))
    assert figures["accepted"] == 1
    fold, call = algorithm.policy.agent.logits.detach()[algorithm.policy.agent.row["1:2b"], :2].softmax(0).tolist()
    assert call > 0.6 > fold


@pytest.mark.parametrize("kind", ["tabular", "language"])
def test_every_choice_has_the_probability_of_whoever_made_it(kind, tmp_path):
    """Steps after joining the past policy is another one: its turns are learned from as it drew them, the player's as it does."""
    model = "tabular"
    if kind == "language":
        model = str(tmp_path / "model")
        random_agent().save(tmp_path / "model")
    recipe = registry.recipe("opmd")
    recipe = replace(recipe, sampler=replace(recipe.sampler, mirror=Groups(deals=16, size=4), every=100))
    algorithm, pool = built(recipe, tmp_path, model)
    for step in range(3):
        batch = played(algorithm, step, pool, registry.game, in_flight=1024)
        if step < 2:
            algorithm.learn(batch)
    player = np.asarray(batch.tables["player"])[batch["seat.player"]][batch.up("turn", "seat")]
    assert batch["turn.learn"][player == "self@0"].all()
    choices = algorithm.policy.choices(batch)
    context, who = choices.context.numpy(), player[choices.turn]
    assert set(who) == {"self", "self@0"}
    assert all(len(set(who[context == c])) == 1 for c in range(len(choices.old))), "nobody shares a context"
    now, _ = algorithm.policy.forward(np.arange(len(choices.old)))
    gap = (now.detach()[choices.context, choices.place] - choices.logp).abs().numpy()
    assert gap[who == "self"].max() < 1e-4
    assert gap[who == "self@0"].max() > 1e-3
    if kind == "tabular":
        assert choices.logp.numpy()[who == "self@0"] == pytest.approx(np.log(0.5)), "as it played before anything was learned"


def test_two_iterations_of_league_replay_with_a_language_model_learn_from_both(tmp_path):
    random_agent().save(tmp_path / "model")
    recipe = registry.recipe("rec")
    recipe = replace(recipe, sampler=replace(recipe.sampler, mirror=Groups(deals=8, size=4)))
    algorithm, pool = built(recipe, tmp_path, str(tmp_path / "model"), 1e-3)
    for step in range(2):
        figures = algorithm.learn(played(algorithm, step, pool, registry.game, in_flight=1024))
    assert figures["skipped"] == 0
    assert np.isfinite(figures["loss"])
