"""PPO with other critics, weights, actions and memory: what is learned, what is recorded, exact resuming, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from algorithms.neural import NeuralAgent
from algorithms.parts import PLAYER
from algorithms.ppo import PPO
from algorithms.recipes.mappo import recipe as mappo
from algorithms.samplers import LeaguePlay, SelfPlay
from marl_llm import registry
from marl_llm.agents.random import RandomAgent
from marl_llm.agents.saved import load_agent
from marl_llm.algorithm import Setup, Unsuitable
from marl_llm.errors import UserError
from marl_llm.exact import policy_of
from marl_llm.matches import self_play
from marl_llm.play import play
from marl_llm.records import Batch
from marl_llm.tree import tree_of
from tests.algorithms.ppo_games import Cournot, Maze, Pairs

GAMES = {"pairs": Pairs(), "cournot": Cournot(), "maze": Maze()}
SMALL = PPO(horizon=6, sampler=SelfPlay(matches=64), minibatch=48, epochs=2, hidden=(16,), alpha=0.3, proximal=1.0)


def load(spec):
    return GAMES[spec] if spec in GAMES else registry.game(spec)


def build(settings, game, seed=100):
    return settings.build(Setup((game,), load, None, seed))


def played(algorithm, step, matches=None, **others):
    pool = SimpleNamespace(resolve={**algorithm.agents, **others}.__getitem__)
    return Batch.concat(play(algorithm.plan(step) if matches is None else matches, pool, load))


def train(algorithm, steps):
    for step in steps:
        algorithm.learn(played(algorithm, step))
    return algorithm


def weights(algorithm):
    networks = (algorithm.network, algorithm.magnet)
    return torch.cat([value.flatten() for network in networks for value in network.state_dict().values()])


CASES = {
    "factored": (SMALL, "pairs"),
    "box": (SMALL, "cournot"),
    "memory": (replace(SMALL, memory=8), "maze"),
    "table": (replace(SMALL, critic="table"), "two_step"),
    "separate": (replace(SMALL, shared=False), "kuhn_poker"),
    "all": (replace(SMALL, critic="table", memory=8, shared=False), "two_step"),
}


@pytest.mark.parametrize("name", CASES)
def test_resuming_is_exact_and_a_saved_agent_plays_the_same(name, tmp_path):
    settings, game = CASES[name]
    straight = train(build(settings, game), range(4))
    first, resumed = train(build(settings, game), range(2)), build(settings, game)
    first.save(tmp_path)
    resumed.load(tmp_path)
    train(resumed, range(2, 4))
    assert torch.equal(weights(straight), weights(resumed))
    (tmp_path / "agent").mkdir()
    straight.save_agent(PLAYER, tmp_path / "agent")
    saved = load_agent(tmp_path / "agent")
    assert isinstance(saved, NeuralAgent)
    assert saved.network.sizes == straight.network.sizes
    matches = list(self_play(game, PLAYER, load(game).info.seats, 20, 5))
    again = Batch.concat(play(matches, SimpleNamespace(resolve=lambda name: saved), load))
    assert np.array_equal(again["turn.action"], played(straight, 0, matches)["turn.action"])


@pytest.mark.parametrize("name", CASES)
def test_what_was_recorded_is_computed_again(name):
    """Before the first step every probability ratio is 1 and the policy, like its magnet, is the one that sampled."""
    settings, game = CASES[name]
    algorithm = train(build(settings, game), range(2))
    batch = played(algorithm, 2)
    rows = np.flatnonzero(batch["turn.learn"])
    sample, _ = algorithm.sample(batch, np.zeros(batch.size("seat"), bool), rows)
    sample = sample.take(np.arange(len(rows))[1::2])
    network = algorithm.network
    with torch.no_grad():
        out, _ = network.policy(sample.inputs_STI, sample.seat_S, network.fresh(len(sample.seat_S)))
        value, _ = network.value(sample.central_STI, sample.seat_S, network.fresh(len(sample.seat_S)))
    again = network.head.distribution(out.flatten(0, 1)[sample.place_B], sample.old_BP)
    assert network.head.kl(again, sample.old_BP).abs().max() < 1e-5
    assert network.head.logp(again, sample.action_B).tolist() == pytest.approx(network.head.logp(sample.old_BP, sample.action_B), abs=1e-5)
    assert value.flatten()[sample.place_B].tolist() == pytest.approx(batch["turn.value"][rows[1::2]], abs=1e-5)


def test_factored_actions_are_drawn_among_what_may_follow():
    algorithm = build(SMALL, "pairs")
    batch = played(algorithm, 0)
    action, legal = batch["turn.action"], batch.ragged("legal.action")
    assert (action[:, 0] != action[:, 1]).all()
    assert set(map(tuple, action.tolist())) == {(a, b) for a in range(3) for b in range(3) if a != b}
    for (first, _), entries in zip(action.tolist(), legal, strict=True):
        assert entries.tolist() == [0, 1, 2, *(3 + value for value in range(3) if value != first)]
    assert np.exp(batch.ragged("legal.logp").data).sum() == pytest.approx(2 * len(action))


def test_factored_actions_are_learned():
    algorithm = train(build(replace(SMALL, sampler=SelfPlay(matches=128), lr=1e-2, alpha=0, proximal=0, horizon=25), "pairs"), range(25))
    assert played(algorithm, 25)["seat.return"].mean() > 4.5


def test_continuous_actions_are_learned():
    settings = PPO(sampler=SelfPlay(matches=256), hidden=(16,), lr=1e-2, alpha=0, proximal=0, entropy=0, horizon=30)
    algorithm = train(build(settings, "cournot"), range(30))
    batch = played(algorithm, 30)
    assert batch["turn.action"].mean() == pytest.approx(1 / 3, abs=0.05)
    outside = np.abs(batch["turn.drawn"]) > 1
    assert np.isin(batch["turn.action"][outside], (0, 1)).all()


def test_a_corridor_needs_memory():
    settings = PPO(sampler=SelfPlay(matches=96), minibatch=96, hidden=(16,), lr=2e-2, alpha=0, proximal=0, horizon=14)
    scores = [played(train(build(replace(settings, memory=size), "maze"), range(14)), 14)["seat.return"].mean() for size in (0, 8)]
    assert abs(scores[0]) < 0.4
    assert scores[1] > 0.9


def test_a_memory_begins_where_the_agent_takes_over():
    """An opening at random is another agent's; the first turn after it is the first that is remembered."""
    algorithm = build(replace(SMALL, memory=8), "maze")
    batch = played(algorithm, 0, list(self_play("maze", PLAYER, 1, 40, 3, opening=1)))
    unseen = np.isnan(batch["turn.value"])
    assert 0 < unseen.sum() < 40
    assert algorithm.learn(batch)["learned_turns"] == 2 * 40
    rows = np.flatnonzero(batch["turn.learn"])
    sample, _ = algorithm.sample(batch, np.zeros(40, bool), rows)
    with torch.no_grad():
        out, _ = build(replace(SMALL, memory=8), "maze").network.policy(sample.inputs_STI, sample.seat_S, algorithm.network.fresh(40))
    again = algorithm.network.head.distribution(out.flatten(0, 1)[sample.place_B], sample.old_BP)
    assert algorithm.network.head.kl(again, sample.old_BP).abs().max() < 1e-5


def test_seats_with_weights_of_their_own_do_not_move_each_other():
    algorithm = build(replace(SMALL, shared=False), "kuhn_poker")
    before = [value.clone() for value in algorithm.network.policy.bodies[1].parameters()]
    matches = [replace(match, learn=frozenset({0})) for match in algorithm.plan(0)]
    algorithm.learn(played(algorithm, 0, matches))
    assert all(torch.equal(a, b) for a, b in zip(before, algorithm.network.policy.bodies[1].parameters(), strict=True))
    first, fresh = algorithm.network.policy.bodies[0], build(replace(SMALL, shared=False), "kuhn_poker").network.policy.bodies[0]
    assert not torch.equal(first.out[0].weight, fresh.out[0].weight)
    policy_of(tree_of(registry.game("kuhn_poker")), algorithm.agent)


def test_only_the_critic_sees_the_table():
    algorithm = train(build(replace(mappo, sampler=SelfPlay(matches=32)), "two_step"), range(1))
    batch = played(algorithm, 1)
    changed = batch.with_columns(**{"turn.table": batch["turn.table"] + 1})
    rows = np.arange(batch.size("turn"))
    one, other = (algorithm.sample(data, np.zeros(64, bool), rows)[0] for data in (batch, changed))
    assert torch.equal(one.inputs_STI, other.inputs_STI)
    assert not torch.equal(one.central_STI, other.central_STI)
    state = np.argmax(batch["turn.view"][:, :3], 1)
    assert np.array_equal(np.argmax(batch["turn.table"], 1), state)


def test_frozen_opponents_are_not_learned_from():
    class Kept:
        """A league of one random player."""

        members = ()

        def add(self, player, step):
            self.added = step

        def draw(self, how, player, spec, count, seed):
            return ["self@0"] * count

    league = Kept()
    settings = replace(SMALL, sampler=LeaguePlay(mirror=SelfPlay(matches=64), share_of_past=0.5))
    algorithm = settings.build(Setup(("kuhn_poker",), load, None, 100, league=league))
    batch = played(algorithm, 0, **{"self@0": RandomAgent()})
    assert league.added == 0
    mine = np.asarray(batch.tables["player"])[batch["seat.player"]][batch.up("turn", "seat")] == PLAYER
    assert (~mine).sum() > 0
    assert algorithm.learn(batch)["learned_turns"] == mine.sum()
    assert np.isfinite(weights(algorithm)).all()


def test_refusals():
    with pytest.raises(Unsuitable, match="ppo with critic=table needs a view of the whole table as numbers; maze gives none"):
        build(replace(SMALL, critic="table"), "maze")
    with pytest.raises(UserError, match="device is 'abacus', which torch has none of here; expected cpu, or cuda"):
        build(replace(SMALL, device="abacus"), "maze")
    with pytest.raises(UserError, match="memory is -1; expected"):
        PPO(memory=-1)
    with pytest.raises(UserError, match="minibatch is 0; expected at least 1"):
        PPO(minibatch=0)
    with pytest.raises(UserError, match="the sampler plans no matches"):
        build(PPO(sampler=SelfPlay(matches=0)), "maze").plan(0)
    tree = tree_of(registry.game("kuhn_poker"))
    with pytest.raises(TypeError, match="remembers its match, so it has no policy by the view alone"):
        policy_of(tree, build(replace(SMALL, memory=4), "kuhn_poker").agent)
    saved = build(SMALL, "pairs").agent
    with pytest.raises(UserError, match=r"actions Factored\(sizes=\(3, 3\)\) and 2 seats cannot play cournot"):
        Batch.concat(play(self_play("cournot", PLAYER, 2, 1, 0), SimpleNamespace(resolve=lambda name: saved), load))
