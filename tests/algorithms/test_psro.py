"""PSRO: the double oracle ends at an equilibrium, who plays whom, what the table holds, exact resuming, and what is refused."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from algorithms.parts import PLAYER
from algorithms.psro import ORACLE, PSRO, save_table
from marl_llm import registry
from marl_llm.agents.pool import AgentPool
from marl_llm.agents.saved import load_agent
from marl_llm.algorithm import Setup, Unsuitable
from marl_llm.errors import UserError
from marl_llm.exact import best_responses, expected_returns, exploitability, policy_of
from marl_llm.play import play
from marl_llm.records import Batch
from marl_llm.tree import tree_of

SMALL = PSRO(oracle="ppo --horizon 3 --sampler.matches 64 --minibatch 64 --hidden 16", epochs=3, deals=20)
EXACT = PSRO(oracle="exact", epochs=8, deals=5)


def build(settings=SMALL, game="kuhn_poker", seed=100, model=None):
    return settings.build(Setup((game,), registry.game, model, seed))


def batch_of(algorithm, step):
    return Batch.concat(play(algorithm.plan(step), AgentPool(algorithm.agents), registry.game))


def train(algorithm, steps):
    return [algorithm.learn(batch_of(algorithm, step)) for step in steps]


def exploit(algorithm, game="kuhn_poker"):
    tree = tree_of(registry.game(game))
    return exploitability(tree, policy_of(tree, algorithm.agents[PLAYER]))


@pytest.mark.parametrize("game", ["kuhn_poker", "openspiel:matrix_rps"])
def test_the_double_oracle_falls_with_every_epoch_and_ends_at_an_equilibrium(game):
    algorithm = build(EXACT, game)
    found, gains = [exploit(algorithm, game)], []
    for epoch in range(EXACT.epochs):
        gains.append(train(algorithm, [epoch])[0]["oracle_gain"])
        found.append(exploit(algorithm, game))
    assert gains == pytest.approx(found[:-1], abs=1e-9), "what an exact best response gains is exploitability"
    assert found[-1] == pytest.approx(0, abs=1e-6)
    falls = [b < a - 1e-6 for a, b in pairwise(found) if a > 1e-6]
    assert all(falls)


def test_uniform_is_fictitious_self_play():
    algorithm = build(PSRO(oracle="exact", solver="uniform", epochs=20, deals=1))
    start = exploit(algorithm)
    train(algorithm, range(20))
    assert algorithm.meta.weights == pytest.approx(np.full((2, 21), 1 / 21))
    assert exploit(algorithm) < 0.15 < start


def test_dynamics_solve_games_of_three_seats():
    algorithm = build(PSRO(oracle="exact", solver="prd", epochs=3, deals=2), "kuhn_poker(players=3)")
    start = exploit(algorithm, "kuhn_poker(players=3)")
    train(algorithm, range(3))
    assert algorithm.payoffs().shape == (3, 4, 4, 4)
    assert exploit(algorithm, "kuhn_poker(players=3)") < 0.8 * start


def test_an_exact_table_holds_expected_returns():
    algorithm = build(EXACT)
    train(algorithm, range(2))
    tree = tree_of(registry.game("kuhn_poker"))
    uniform = expected_returns(tree, tree.uniform_policy())
    assert algorithm.payoffs()[:, 0, 0] == pytest.approx(uniform)
    assert algorithm.payoffs()[:, 0, 0].tolist() == pytest.approx([0.125, -0.125])
    best = best_responses(tree, tree.uniform_policy())
    assert [algorithm.payoffs()[0, 1, 0], algorithm.payoffs()[1, 0, 1]] == pytest.approx(best.tolist())


def test_the_oracle_holds_one_seat_of_each_deal_and_learns_from_it_alone():
    algorithm = build()
    batch = batch_of(algorithm, 0)
    names = np.asarray(batch.tables["player"])[batch["seat.player"]].reshape(-1, 2)
    assert ((names == ORACLE).sum(1) == 1).all()
    assert (names == ORACLE).sum(0).tolist() == [32, 32]
    mine = (names == ORACLE).reshape(-1)
    assert np.array_equal(batch["seat.learn"], mine)
    assert algorithm.learn(batch)["learned_turns"] == mine[batch.up("turn", "seat")].sum()


def test_deals_of_epochs_differ():
    algorithm = build()
    first = {match.seed for match in algorithm.plan(0)}
    train(algorithm, range(4))
    assert not first & {match.seed for match in algorithm.plan(4)}


def test_evaluation_games_are_paired_and_counted_and_only_new_seatings_are_played():
    algorithm = build()
    train(algorithm, range(3))
    games = algorithm.plan(3)
    assert not any(match.learn for match in games)
    deals = {}
    for match in games:
        deals.setdefault(match.seed, []).append(match.players)
    every = [(a, b) for a in ("member0", "member1") for b in ("member0", "member1")]
    assert len(deals) == 20
    assert all(sorted(tables) == every for tables in deals.values())
    batch = batch_of(algorithm, 3)
    algorithm.learn(batch)
    assert {seating.matches for seating in algorithm.games.seatings.values()} == {20}
    returns, names = batch["seat.return"].reshape(-1, 2), np.asarray(batch.tables["player"])[batch["seat.player"]].reshape(-1, 2)
    here = (names == ["member1", "member0"]).all(1)
    assert algorithm.payoffs()[:, 1, 0] == pytest.approx(returns[here].mean(0))
    train(algorithm, range(4, 7))
    new = {match.players for match in algorithm.plan(7)}
    assert len(new) == 5
    assert all("member2" in table for table in new)


@pytest.mark.parametrize("at", [2, 3, 4, 6])
def test_resuming_is_exact(at, tmp_path):
    straight, first, resumed = build(), build(), build()
    train(straight, range(9))
    train(first, range(at))
    first.plan(at)  # an interrupted iteration leaves nothing behind
    first.save(tmp_path)
    resumed.load(tmp_path)
    train(resumed, range(at, 9))
    assert np.array_equal(straight.meta.weights, resumed.meta.weights)
    assert straight.earned == resumed.earned
    assert straight.games.json() == resumed.games.json()
    one, other = (
        torch.cat([value.flatten() for value in algorithm.oracle.network.state_dict().values()]) for algorithm in (straight, resumed)
    )
    assert torch.equal(one, other)
    assert exploit(straight) == exploit(resumed)
    different = build(seed=101)
    train(different, range(9))
    assert different.earned != straight.earned


def test_the_agent_on_offer_is_the_meta_strategy_and_saves(tmp_path):
    algorithm = build(EXACT)
    agent = algorithm.agents[PLAYER]
    train(algorithm, range(6))
    assert next(iter(algorithm.agents.items())) == (PLAYER, agent)
    algorithm.save_agent(PLAYER, tmp_path)
    tree = tree_of(registry.game("kuhn_poker"))
    assert exploitability(tree, policy_of(tree, load_agent(tmp_path))) == pytest.approx(0, abs=1e-6)


def test_an_exploiter_is_one_epoch_against_a_population_of_one(tmp_path):
    """How to train an exploiter of a frozen agent: ``start`` is its folder, and the newest member is the exploiter."""
    tree = tree_of(registry.game("kuhn_poker"))
    bets = np.zeros(len(tree.legal.data))
    bets[tree.legal.starts[1:] - 1] = 1
    save_table(tree, bets, tmp_path)
    best = (best_responses(tree, bets) - expected_returns(tree, bets)).mean()
    exact = build(PSRO(oracle="exact", epochs=1, deals=2, start=str(tmp_path)))
    assert policy_of(tree, exact.agents[PLAYER]) == pytest.approx(bets)
    assert train(exact, [0])[0]["oracle_gain"] == pytest.approx(best)
    oracle = "ppo --horizon 10 --sampler.matches 256 --alpha 0 --proximal 0 --lr 5e-3"
    settings = PSRO(oracle=oracle, epochs=1, deals=500, start=str(tmp_path))
    learned = train(build(settings), range(settings.horizon))[-1]["oracle_gain"]
    assert 0.7 * best < learned < 1.3 * best


def test_a_language_recipe_is_an_oracle_too():
    oracle = "mars --sampler.matches 128 --horizon 4 --learner.rate.start 0.3 --learner.rate.end 0.1"  # steps for a table
    settings = PSRO(oracle=oracle, epochs=2, deals=50)
    algorithm = build(settings, model="tabular")
    logs = train(algorithm, range(settings.horizon))
    assert logs[4]["oracle_gain"] > 0.1
    assert logs[-1]["population"] == 3


def test_refusals(tmp_path):
    with pytest.raises(Unsuitable, match=r"one game at a time; got kuhn_poker, leduc_poker"):
        SMALL.build(Setup(("kuhn_poker", "leduc_poker"), registry.game, None, 0))
    with pytest.raises(Unsuitable, match=r"nash needs a zero-sum game of 2 seats; .* with 3: give --solver prd"):
        build(game="kuhn_poker(players=3)")
    with pytest.raises(Unsuitable, match=r"expected a game of 2 to 4 seats, public_goods.* has 6"):
        build(PSRO(solver="uniform"), "public_goods(seats=6)")
    with pytest.raises(Unsuitable, match=r"perfect recall, and tic_tac_toe is none; name a recipe as --oracle"):
        build(EXACT, "tic_tac_toe")
    with pytest.raises(UserError, match="did you mean ppo"):
        build(PSRO(oracle="pppo"))
    with pytest.raises(UserError, match="expected the folder of a saved agent"):
        build(PSRO(start=str(tmp_path)))
    with pytest.raises(UserError, match="deals 0 and epochs 12; expected at least 1"):
        build(PSRO(deals=0))
