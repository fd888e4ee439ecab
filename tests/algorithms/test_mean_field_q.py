"""MF-Q and MF-AC: loss and samples by hand, fixed points, exact resuming, refusals, and what they learn in seconds."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from algorithms.mean_field_q import MeanFieldQ, Networks, Sizes, losses, samples
from algorithms.parts import PLAYER
from games.ising import magnetisation
from games.squeeze import Squeeze
from marl_llm import registry
from marl_llm.agents.saved import load_agent
from marl_llm.algorithm import Setup, Unsuitable
from marl_llm.errors import UserError
from marl_llm.matches import self_play
from marl_llm.play import play
from marl_llm.records import Batch

SMALL = MeanFieldQ(horizon=6, matches=4, hidden=(8,), minibatch=64, epochs=2)


def build(settings=SMALL, game="squeeze(seats=10,mu=20,sigma=10)", seed=100):
    return settings.build(Setup((game,), registry.game, None, seed))


def played(algorithm, matches):
    return Batch.concat(play(matches, SimpleNamespace(resolve=algorithm.agents.__getitem__), registry.game, keys=False))


def train(algorithm, steps):
    for step in steps:
        log_ = algorithm.learn(played(algorithm, algorithm.plan(step)))
    return log_


def weights(algorithm):
    return torch.cat([value.flatten() for value in algorithm.networks.state_dict().values()])


def linear(actor, iterations=0, temperature=1.0):
    """Q(a, abar) = abar_a and an actor with logits 2 abar_a, in units of 3."""
    networks = Networks(Sizes(2, (), 3.0, actor, temperature, iterations), torch.Generator())
    with torch.no_grad():
        networks.q[0].weight.copy_(torch.eye(2))
        networks.actor[0].weight.copy_(2 * torch.eye(2))
    return networks


def test_loss_by_hand():
    before, abar = torch.tensor([[1.0, 0.0], [0.5, 0.5]]), torch.tensor([[0.25, 0.75], [1.0, 0.0]])
    action, reward = torch.tensor([1, 0]), torch.tensor([0.5, 0.0])
    q_loss = 0.5 * ((0.75 - 0.5) ** 2 + 1) / 2
    got = losses(linear(actor=False), before, action, reward, abar)
    assert {name: value.item() for name, value in got.items()} == pytest.approx({"q_loss": q_loss, "loss": q_loss})
    got = losses(linear(actor=True, temperature=1.5), before, action, reward, abar)
    p = 1 / (1 + np.exp(-2))  # of action 0 by the first turn's actor; the second's is 1/2
    gain = 3 * ((p * -0.25 + (1 - p) * 0.25) + 0.5 * (0.5 - 0.5)) / 2
    assert got["gain"].item() == pytest.approx(gain)
    entropy = (-p * np.log(p) - (1 - p) * np.log(1 - p) + np.log(2)) / 2
    assert got["entropy"].item() == pytest.approx(entropy)
    assert got["loss"].item() == pytest.approx(q_loss - gain - 1.5 * entropy)
    networks = linear(actor=True)
    losses(networks, before, action, reward, abar)["gain"].backward()
    assert networks.q[0].weight.grad is None  # the actor does not teach the critic


def test_policies_by_hand():
    abar = torch.tensor([[0.8, 0.2]])
    p = 1 / (1 + np.exp(-3 * 0.6 / 2))
    assert linear(False, temperature=2.0).policy(abar)[0].tolist() == pytest.approx([p, 1 - p])
    p = 1 / (1 + np.exp(-2 * 0.6))
    assert linear(True).policy(abar)[0].tolist() == pytest.approx([p, 1 - p])
    q = 0.8 + (1 / (1 + np.exp(-3 * 0.6)) - 0.8) / 2  # one iteration, halfway to the answer
    p = 1 / (1 + np.exp(-3 * (2 * q - 1)))
    assert linear(False, iterations=1).policy(abar)[0].tolist() == pytest.approx([p, 1 - p])


def test_a_turn_is_sampled_with_what_the_neighbours_did_at_the_same_time():
    algorithm = build()
    batch = played(algorithm, algorithm.plan(0))
    before, action, reward, abar = (column.numpy() for column in samples(batch, algorithm.networks.sizes.unit))
    assert len(action) == 4 * 10 * 9  # matches, recorded seats, rounds but the last
    assert before[0] == pytest.approx([0.1] * 10)
    total = 9 * abar @ np.arange(10) + action
    paid = Squeeze(seats=10, mu=20, sigma=10).paid(np.rint(total).astype(int))
    assert reward * algorithm.networks.sizes.unit == pytest.approx(paid, abs=1e-4)
    assert np.array_equal(before[1], abar[0])


def test_resuming_is_exact_and_the_seed_decides(tmp_path):
    straight, first, resumed = build(), build(), build()
    train(straight, range(4))
    train(first, range(2))
    first.save(tmp_path)
    resumed.load(tmp_path)
    train(resumed, range(2, 4))
    assert torch.equal(weights(straight), weights(resumed))
    other = build(seed=101)
    train(other, range(4))
    assert not torch.equal(weights(straight), weights(other))


def test_a_saved_agent_plays_the_same_at_another_size_and_no_other_game(tmp_path):
    algorithm = build(replace(SMALL, actor=True))
    train(algorithm, range(1))
    algorithm.save_agent(PLAYER, tmp_path)
    pool = SimpleNamespace(resolve=lambda player: load_agent(tmp_path))
    plan = [*self_play("squeeze(seats=30,mu=20,sigma=10)", PLAYER, 30, 2, 0)]
    again = Batch.concat(play(plan, pool, registry.game, keys=False))
    assert np.array_equal(played(algorithm, plan)["turn.action"], again["turn.action"])
    with pytest.raises(UserError, match=r"for 10 actions cannot play ising\(side=3,rounds=50\)"):
        list(play(self_play("ising(side=3)", PLAYER, 9, 1, 0), pool, registry.game))


def test_refusals():
    with pytest.raises(Unsuitable, match=r"mf-q needs a population .* see the mean of their neighbours' last actions.*congestion"):
        build(game="congestion(seats=6,sites=6)")
    with pytest.raises(Unsuitable, match="mf-ac needs Discrete actions; aggregation"):
        build(replace(SMALL, actor=True), "aggregation(seats=3)")
    with pytest.raises(Unsuitable, match=r"a match of squeeze.* has one round"):
        build(game="squeeze(rounds=1)")
    with pytest.raises(UserError, match="temperature is 0; expected a number above 0"):
        build(replace(SMALL, temperature=0))


def test_ising_is_learned():
    """Q(a, abar) is the gain itself, and play at temperature 1.5 has Onsager's magnetisation, 0.986."""
    algorithm = build(MeanFieldQ(temperature=1.5, horizon=8, matches=2), "ising(side=12,rounds=40)")
    train(algorithm, range(8))
    abar = torch.tensor([[1 - k / 4, k / 4] for k in range(5)])
    gain = 8 * abar[:, 1] - 4
    with torch.no_grad():
        assert algorithm.networks.q(abar)[:, 1].numpy() * algorithm.networks.sizes.unit == pytest.approx(gain.numpy(), abs=0.4)
    batch = played(algorithm, self_play("ising(side=12,rounds=40)", PLAYER, 144, 4, 0))
    late = batch["turn.index"] >= 20
    assert 2 * batch["turn.action"][late].mean() - 1 == pytest.approx(magnetisation(1.5), abs=0.015)


@pytest.mark.parametrize(
    ("settings", "share"),
    [
        (MeanFieldQ(temperature=4.0, iterations=50, horizon=10, matches=8), 0.7),
        (MeanFieldQ(actor=True, horizon=15, matches=8), 0.7),
    ],
)
def test_the_squeeze_is_learned(settings, share):
    """Uniform play pays half of the best."""
    game = "squeeze(seats=50,mu=150,sigma=75)"
    algorithm = build(settings, game)
    train(algorithm, range(settings.horizon))
    paid = played(algorithm, algorithm.plan(settings.horizon))["seat.return"].mean() / 10
    assert paid > share * registry.game(game).optimum()
