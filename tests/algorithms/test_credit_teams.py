"""Credit for teams: a mixture of utilities, counterfactuals, and one learner a seat."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from algorithms.composed import Composed
from algorithms.counterfactual import latest_of
from algorithms.mixer import first_turns
from algorithms.team_critic import Moves, hashed
from marl_llm import registry
from marl_llm.agents.pool import AgentPool
from marl_llm.agents.saved import load_agent
from marl_llm.algorithm import Setup, Unsuitable
from marl_llm.errors import UserError
from marl_llm.play import play
from marl_llm.records import Batch
from tests.algorithms.batches import batch_of
from tests.inference.models import random_agent

CREDITS = {"vdn": ("mixer", {}), "qmix": ("mixer", {"mixer": "qmix"}), "counterfactual": ("counterfactual", {})}


def team(name: str, game: str = "tiny_hanabi", model: str = "tabular", matches: int = 256, **settings) -> Composed:
    recipe = registry.recipe(CREDITS[name][0])
    rate = replace(recipe.learner.rate, start=0.05, end=0.05)
    method = replace(
        recipe,
        sampler=replace(recipe.sampler, matches=matches),
        credit=replace(recipe.credit, **CREDITS[name][1], **settings),
        learner=replace(recipe.learner, rate=rate),
    )
    return Composed(method, Setup((game,), registry.game, model, 0))


def played(algorithm: Composed, step: int = 0) -> Batch:
    return Batch.concat(play(algorithm.plan(step), AgentPool(algorithm.agents), registry.game))


def credited(algorithm: Composed, batch: Batch) -> np.ndarray:
    batch = algorithm.method.reward.channels(batch, algorithm.units, {})
    return algorithm.credit.assign(batch, {}).advantage


def by_move(batch: Batch, advantage: np.ndarray) -> dict[tuple[int, int], np.ndarray]:
    """Advantages of every (view, move)."""
    rows = list(zip(batch["turn.key"].tolist(), batch["turn.action"].tolist(), strict=True))
    return {pair: advantage[[row == pair for row in rows]] for pair in set(rows)}


@given(st.integers(2, 5), st.integers(0, 2**31))
def test_a_move_s_advantage_is_zero_on_average(actions, seed):
    """Sum over legal a of pi(a) (Q(a) - sum pi Q) = 0, whatever Q and pi are."""
    rng = np.random.default_rng(seed)
    pi, batch = rng.dirichlet(np.ones(actions)), batch_of([[[0.0] * actions]])
    columns = {
        "turn.action": np.arange(actions),
        "legal.action": np.tile(np.arange(actions), actions),
        "legal.logp": np.tile(np.log(pi), actions),
    }
    starts = {**batch.starts, "legal": np.arange(actions + 1) * actions}
    moves = Moves(replace(batch, columns={**batch.columns, **columns}, starts=starts))
    q = torch.from_numpy(rng.normal(size=(1, actions)))
    advantage = moves.advantage(q, torch.zeros(actions, dtype=torch.int64)).numpy()
    assert pi @ advantage == pytest.approx(0, abs=1e-12)
    assert advantage - advantage[0] == pytest.approx(q[0].numpy() - q[0, 0].item())


def test_a_move_by_hand():
    """pi = (.2, .3, .5), Q = (1, 2, 4): the expectation is 2.8, so the moves are worth -1.8, -.8, 1.2; a move that was not drawn from
    known probabilities gets 0."""
    batch = batch_of([[[0.0] * 4]])
    columns = {
        "turn.action": np.asarray([0, 1, 2, 1]),
        "legal.action": np.tile(np.arange(3), 3),
        "legal.logp": np.tile(np.log([0.2, 0.3, 0.5]), 3),
    }
    moves = Moves(replace(batch, columns={**batch.columns, **columns}, starts={**batch.starts, "legal": np.asarray([0, 3, 6, 9, 9])}))
    found = moves.advantage(torch.tensor([[1.0, 2.0, 4.0]]), torch.zeros(4, dtype=torch.int64))
    assert found.tolist() == pytest.approx([-1.8, -0.8, 1.2, 0.0])


def test_who_moved_last_and_who_first():
    """Seats 0 and 1 move in turn, twice; then at once: what moves at once is seen, and one's own moves are not among the others'."""
    batch = batch_of([[[0.0, 0.0], [0.0, 0.0]], [[0.0], [0.0]]])
    batch = batch.with_columns(**{"turn.ply": np.asarray([0, 2, 1, 3, 0, 0]), "turn.action": np.zeros(6, np.int64)})
    turn, latest = latest_of(batch, 0)
    assert dict(zip(turn.tolist(), latest.tolist(), strict=True)) == {2: 0, 3: 1, 5: 4}
    turn, latest = latest_of(batch, 1)
    assert dict(zip(turn.tolist(), latest.tolist(), strict=True)) == {1: 2, 4: 5}
    assert first_turns(batch).tolist() == [0, 4, 5]


def test_views_that_read_alike_have_features_alike():
    a, b, c = hashed(["hints 3, deck 2. You: R1 Y2", "hints 3, deck 2. You: R1 Y1", "seat 9 of 7"], 256)
    assert a @ b > 0.5 * (a @ a)
    assert abs(a @ c) < 0.25 * (a @ a)
    assert (hashed(["x", "x"], 64)[0] == hashed(["y", "x"], 64)[1]).all()


@pytest.mark.parametrize("name", CREDITS)
def test_what_a_move_added_to_a_common_sum(name, tmp_path):
    """Four seats choose 0, 1 or 2 at once, and all are paid the sum: a choice of k adds k - 1 to what its seat does on average, however
    the others chose. Their choices are all the noise there is, and none of it is left."""
    np.save(tmp_path / "sum.npy", np.indices((3,) * 4).sum(0).astype(float))
    algorithm = team(name, f"matrix(payoffs='{tmp_path / 'sum.npy'}',team=True)", updates=150, lr=0.01)
    batch = played(algorithm)
    unit, found = next(iter(algorithm.units.values())), by_move(batch, credited(algorithm, batch))
    assert len(found) == 12
    for (_, move), advantage in found.items():
        assert advantage * unit == pytest.approx(np.full(len(advantage), move - 1), abs=0.25)


@pytest.mark.parametrize("name", CREDITS)
def test_it_trains_and_resumes_bit_for_bit(name, tmp_path):
    settings = {"minibatch": 50} if name == "counterfactual" else {}  # fewer turns a step than there are
    whole, parts, rest = (team(name, matches=64, **settings) for _ in range(3))
    for step in range(4):
        whole.learn(played(whole, step))
    for step in range(2):
        parts.learn(played(parts, step))
    parts.save(tmp_path)
    rest.load(tmp_path)
    for step in range(2, 4):
        rest.learn(played(rest, step))
    assert torch.equal(whole.policy.agent.logits, rest.policy.agent.logits)
    assert whole.policy.agent.logits.abs().max() > 0.05


@pytest.mark.parametrize("name", CREDITS)
def test_it_credits_language_models_that_choose(name, tmp_path):
    """The model's own probabilities of all moves are recorded, and an expectation over them is 0."""
    random_agent("tiny_hanabi").save(tmp_path)
    algorithm = team(name, model=str(tmp_path), matches=128)
    batch = played(algorithm)
    mass = batch.ragged("legal.logp")
    assert np.exp(mass.data).sum() == pytest.approx(len(mass))
    assert [np.sum(mass[t][batch.ragged("legal.action")[t] == batch["turn.action"][t]]) for t in range(20)] == pytest.approx(
        [batch.ragged("token.logp")[t].sum() for t in range(20)], abs=1e-4
    )
    assert np.isfinite(algorithm.learn(batch)["loss"])


@pytest.mark.parametrize("name", ["vdn", "counterfactual"])
def test_games_that_are_no_team_s_are_refused(name):
    with pytest.raises(Unsuitable, match=r"shares out what a team earns together.* kuhn_poker.* is zero_sum"):
        team(name, "kuhn_poker")


def test_free_replies_are_refused(tmp_path):
    recipe = registry.recipe("mixer")
    method = replace(recipe, language=replace(recipe.language, reply="free"))
    with pytest.raises(Unsuitable, match=r"legal\.action, which nothing before it writes; add --language\.reply choose"):
        Composed(method, Setup(("tiny_hanabi",), registry.game, "tabular", 0))


def by_seat(model: str = "tabular", game: str = "kuhn_poker", recipe: str = "mars") -> Composed:
    method = registry.recipe(recipe)
    rate = replace(method.learner.rate, start=0.05, end=0.05)
    method = replace(method, sampler=replace(method.sampler, matches=256), learner=replace(method.learner, rate=rate), learners="seat")
    return Composed(method, Setup((game,), registry.game, model, 0))


def test_every_seat_learns_its_own_policy(tmp_path):
    """Seat 0's table knows seat 0's keys alone; both are learned as one shared table learns them; a saved player plays the same."""
    algorithm = by_seat()
    shared = Composed(replace(algorithm.method, learners="shared"), algorithm.setup)
    for step in range(12):
        figures = algorithm.learn(played(algorithm, step))
        shared.learn(played(shared, step))
    first, second = (policy.agent for policy in algorithm.policy.policies)
    assert {key[0] for key in first.row} == {"0"}
    assert {key[0] for key in second.row} == {"1"}
    assert {"loss_0", "loss_1"} <= set(figures)
    (fold, call), (fold_shared, call_shared) = (
        table.logits[table.row["1:2b"], :2].softmax(0).tolist() for table in (second, shared.policy.agent)
    )
    assert call > 0.6 > fold
    assert call_shared > 0.6 > fold_shared
    algorithm.save_agent("self", tmp_path)
    again = load_agent(tmp_path)
    pools = AgentPool(algorithm.agents), AgentPool({"self": again})
    one, other = (Batch.concat(play(algorithm.plan(99), pool, registry.game)) for pool in pools)
    assert (one["turn.action"] == other["turn.action"]).all()


@pytest.mark.parametrize("recipe", ["mars", "turn-ppo"])
def test_seats_resume_bit_for_bit(recipe, tmp_path):
    whole, parts, rest = (by_seat(recipe=recipe) for _ in range(3))
    for step in range(4):
        whole.learn(played(whole, step))
    for step in range(2):
        parts.learn(played(parts, step))
    parts.save(tmp_path)
    rest.load(tmp_path)
    for step in range(2, 4):
        rest.learn(played(rest, step))
    assert all(torch.equal(a.agent.logits, b.agent.logits) for a, b in zip(whole.policy.policies, rest.policy.policies, strict=True))


def test_language_seats_learn_apart(tmp_path):
    random_agent().save(tmp_path)
    algorithm = by_seat(str(tmp_path))
    before = [[value.detach().clone() for value in policy.parameters()] for policy in algorithm.policy.policies]
    batch = played(algorithm)
    only = batch.with_columns(**{"turn.learn": batch["turn.learn"] & (batch["turn.seat"] == 1)})
    algorithm.learn(only)
    moved = [
        max((a - b).abs().max().item() for a, b in zip(old, policy.parameters(), strict=True))
        for old, policy in zip(before, algorithm.policy.policies, strict=True)
    ]
    assert moved[0] == 0 < moved[1]


def test_seats_of_games_that_differ_are_refused():
    method = replace(registry.recipe("mars"), learners="seat")
    with pytest.raises(Unsuitable, match=r"equally many seats; kuhn_poker has 2, kuhn_poker\(players=3\) has 3"):
        Composed(method, Setup(("kuhn_poker", "kuhn_poker(players=3)"), registry.game, str(Path("nowhere")), 0))


def test_a_player_by_seat_plays_games_of_as_many_seats():
    algorithm, game = by_seat(), registry.game("kuhn_poker(players=3)")
    matches = [replace(match, game=game.spec, players=("self",) * 3) for match in algorithm.plan(0)[:1]]
    with pytest.raises(UserError, match="for each of 2 seats cannot play"):
        list(play(matches, AgentPool(algorithm.agents), registry.game))
