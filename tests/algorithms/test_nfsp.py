"""NFSP: both losses by hand, both memories, who plays when, exact resuming, and what is refused."""

from __future__ import annotations

from math import log
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from algorithms.nfsp import LEARNER, NFSP, Store, pi_loss, q_loss
from algorithms.parts import PLAYER
from marl_llm import registry
from marl_llm.agents.pool import AgentPool
from marl_llm.agents.saved import load_agent
from marl_llm.algorithm import Setup, Unsuitable
from marl_llm.errors import UserError
from marl_llm.exact import exploitability, policy_of, request_of
from marl_llm.game import Box, Discrete, GameInfo
from marl_llm.play import play
from marl_llm.records import Batch
from marl_llm.tree import tree_of

SMALL = NFSP(horizon=8, matches=128, minibatch=64, updates=4, hidden=(16,), target_every=5, replay=300, reservoir=60, eta=0.5)


def build(settings=SMALL, game="kuhn_poker", seed=100):
    return settings.build(Setup((game,), registry.game, None, seed))


def batch_of(algorithm, step):
    return Batch.concat(play(algorithm.plan(step), AgentPool(algorithm.agents), registry.game))


def train(algorithm, steps):
    return [algorithm.learn(batch_of(algorithm, step)) for step in steps]


def table(*rows):
    """A network whose outputs for the one-hot input k are ``rows[k]``."""
    linear = nn.Linear(len(rows), len(rows[0]), bias=False)
    linear.weight.data = torch.tensor(rows).T.contiguous()
    return linear


def test_losses_by_hand():
    """Two transitions: from the first one goes on, where the best value is illegal; the second is a last one."""
    batch = {
        "seen": torch.eye(2),
        "action": torch.tensor([1, 0]),
        "reward": torch.tensor([0.5, -1.0]),
        "next_seen": torch.tensor([[0.0, 1.0], [0.0, 1.0]]),
        "next_legal": torch.tensor([[True, True, False], [True, True, True]]),
        "over": torch.tensor([False, True]),
        "legal": torch.tensor([[True, True, False], [True, True, True]]),
    }
    q, older = table([1.0, 2.0, 9.0], [3.0, 0.0, 0.0]), table([0.0, 0.0, 0.0], [1.0, 4.0, 8.0])
    loss = q_loss(q, older, batch)
    assert loss.item() == pytest.approx(((2 - (0.5 + 4)) ** 2 + (3 - -1) ** 2) / 2)
    loss.backward()
    assert older.weight.grad is None
    pi = table([0.0, log(3), 5.0], [0.0, 0.0, log(2)])
    assert pi_loss(pi, batch).item() == pytest.approx(-(log(3 / 4) + log(1 / 4)) / 2)


def test_a_circular_memory_keeps_the_newest():
    store = Store(5)
    for start in (0, 3, 6):
        store.newest({"x": np.arange(start, start + 3)}, 3)
    assert sorted(store.columns["x"].tolist()) == [4, 5, 6, 7, 8]


def test_a_reservoir_keeps_every_entry_equally_often():
    kept = np.zeros(60)
    for seed in range(3000):
        store = Store(12)
        for part in range(6):
            store.reservoir({"x": np.arange(10 * part, 10 * part + 10)}, 10, seed, part)
        assert len(store) == 12
        kept[store.columns["x"]] += 1
    assert kept / 3000 == pytest.approx(np.full(60, 0.2), abs=0.035)


def test_a_seat_plays_by_one_network_for_the_match_as_often_as_eta_says():
    algorithm = build(NFSP(matches=4000, eta=0.3, epsilon=0))
    batch = batch_of(algorithm, 0)
    pair, best = batch.up("turn", "seat"), batch["turn.best"]
    turns = np.bincount(pair, minlength=batch.size("seat"))
    share = np.bincount(pair, best, minlength=batch.size("seat"))[turns > 0] / turns[turns > 0]
    assert set(share.tolist()) == {0.0, 1.0}
    assert turns.max() == 2
    assert share.mean() == pytest.approx(0.3, abs=0.02)
    with torch.no_grad():
        q = algorithm.q(torch.from_numpy(batch["turn.seen"][best])).numpy()
    assert np.array_equal(batch["turn.action"][best], q.argmax(1))
    assert 0.3 < batch["turn.action"][~best].mean() < 0.7


def test_memories_hold_what_was_played():
    algorithm = build(NFSP(matches=200, replay=10_000, eta=0.5))
    batch = batch_of(algorithm, 0)
    algorithm.remember(batch)
    count = batch.size("turn")
    kept = {name: values[:count] for name, values in algorithm.replay.columns.items()}
    last = np.append(np.diff(batch.up("turn", "seat")) > 0, True)
    assert len(algorithm.replay) == count
    assert np.array_equal(kept["over"], last)
    assert np.array_equal(kept["next_seen"][~last], batch["turn.seen"][np.flatnonzero(~last) + 1])
    assert kept["reward"].sum() == pytest.approx(batch["seat.return"].sum())
    assert kept["reward"][last] == pytest.approx(batch["seat.return"][batch.up("turn", "seat")[last]])
    assert (kept["reward"][~last] == 0).all()
    assert len(algorithm.moves) == batch["turn.best"].sum()
    assert np.array_equal(algorithm.moves.columns["action"][: len(algorithm.moves)], batch["turn.action"][batch["turn.best"]])


def test_resuming_is_exact_and_the_seed_decides(tmp_path):
    straight, first, resumed, other = build(), build(), build(), build(seed=101)
    train(straight, range(8))
    train(first, range(3))
    first.save(tmp_path)
    resumed.load(tmp_path)
    train(resumed, range(3, 8))
    train(other, range(8))

    def weights(algorithm):
        return torch.cat([value.flatten() for net in (algorithm.q, algorithm.pi, algorithm.older) for value in net.state_dict().values()])

    assert torch.equal(weights(straight), weights(resumed))
    assert not torch.equal(weights(straight), weights(other))
    assert straight.moves.added == resumed.moves.added > SMALL.reservoir
    for name, values in straight.moves.columns.items():
        assert np.array_equal(values, resumed.moves.columns[name])


def test_the_average_is_on_offer_and_a_saved_one_plays_the_same(tmp_path):
    algorithm = build()
    train(algorithm, range(2))
    assert list(algorithm.agents) == [PLAYER, LEARNER]
    algorithm.save_agent(PLAYER, tmp_path)
    saved = load_agent(tmp_path)
    tree = tree_of(registry.game("kuhn_poker"))
    policy = algorithm.agents[PLAYER].policy(request_of(tree))
    assert policy.sum() == pytest.approx(np.ones(len(tree.keys)))
    assert np.array_equal(saved.policy(request_of(tree)).data, policy.data)
    assert saved.version == 2
    with pytest.raises(UserError, match=r"views of 11 numbers, 2 actions and 2 seats cannot play leduc_poker; train one"):
        saved.policy(request_of(tree_of(registry.game("leduc_poker"))))


def test_refusals():
    def setup(info, games=("one",)):
        return Setup(games, lambda spec: SimpleNamespace(info=info), None, 0)

    with pytest.raises(Unsuitable, match="nfsp needs a vector view; blind gives none"):
        NFSP().build(setup(GameInfo(name="blind", seats=2, returns=(-1, 1), max_decisions=9, action=Discrete(2))))
    with pytest.raises(Unsuitable, match="nfsp needs Discrete actions; arm has Box"):
        NFSP().build(setup(GameInfo(name="arm", seats=1, returns=(0, 1), max_decisions=9, action=Box(-1, 1, (2,)), vector=(3,))))
    with pytest.raises(Unsuitable, match="one game at a time"):
        NFSP().build(setup(None, ("kuhn_poker", "leduc_poker")))
    with pytest.raises(UserError, match="--eta is 0; expected a share above 0"):
        build(NFSP(eta=0))


def test_kuhn_poker_is_learned():
    """Uniform play has exploitability 0.458."""
    algorithm = build(NFSP(horizon=120, q_lr=3e-3, pi_lr=3e-3, hidden=(32,)))
    train(algorithm, range(120))
    tree = tree_of(registry.game("kuhn_poker"))
    assert exploitability(tree, policy_of(tree, algorithm.agents[PLAYER])) < 0.2
