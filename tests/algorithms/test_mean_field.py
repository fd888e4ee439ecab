"""Dec-POMFPPO: rules and loss by hand, shared draws, other numbers of seats, exact resuming, refusals, and a short run that learns."""

from __future__ import annotations

from dataclasses import replace
from math import exp, log, pi, tanh
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from algorithms.mean_field import MeanFieldPPO, Rule, Sample, Sizes, density, losses
from algorithms.parts import PLAYER
from marl_llm import registry
from marl_llm.agents.saved import load_agent
from marl_llm.algorithm import Setup, Unsuitable
from marl_llm.errors import UserError
from marl_llm.matches import self_play
from marl_llm.play import play
from marl_llm.records import Batch

SMALL = MeanFieldPPO(horizon=6, matches=2, minibatch=100, epochs=2, hidden=(16,), bins=3)
SIZES = Sizes(1, 8, 1, -1.0, 1.0, "rbf", 4, 0.5, True, "time", (16,))


def build(settings=SMALL, game="aggregation(seats=5)", seed=100):
    return settings.build(Setup((game,), registry.game, None, seed))


def played(algorithm, matches):
    return Batch.concat(play(matches, SimpleNamespace(resolve=algorithm.agents.__getitem__), registry.game))


def train(algorithm, steps):
    for step in steps:
        log_ = algorithm.learn(played(algorithm, algorithm.plan(step)))
    return log_


def weights(algorithm):
    return torch.cat([value.flatten() for value in algorithm.network.state_dict().values()])


def test_a_kernel_rule_by_hand():
    """Centres -1, -1/2, 0, 1/2 of a circle, on which 3/4 is as far from -1 as from 1/2."""
    rule = Rule(SIZES)
    assert rule.grid_MV[:, 0].tolist() == [-1, -0.5, 0, 0.5]
    near, far = exp(-(0.25**2) / (2 * 0.25**2)), exp(-(0.75**2) / (2 * 0.25**2))
    total = 2 * near + 2 * far
    assert rule.weights(np.asarray([[0.75]], np.float32))[0] == pytest.approx([near / total, far / total, far / total, near / total])
    flat = Rule(replace(SIZES, circle=False, bins=3))
    assert flat.grid_MV[:, 0].tolist() == [-1, 0, 1]
    assert flat.weights(np.asarray([[50.0]], np.float32)).tolist() == [[0, 0, 1]]  # far from all centres the nearest counts


def test_a_histogram_rule_by_hand():
    rule = Rule(replace(SIZES, view=2, rule="histogram", bins=2, circle=False))
    seen = np.asarray([[-1, -1], [-0.1, 0.1], [0.1, -0.1], [1, 1], [9, -9]], np.float32)
    assert rule.weights(seen).argmax(1).tolist() == [0, 1, 2, 3, 2]
    assert rule.grid_MV.tolist() == [[-0.5, -0.5], [-0.5, 0.5], [0.5, -0.5], [0.5, 0.5]]


def test_actions_by_hand():
    """Two centres, of which a histogram picks one: mean tanh(xi1), standard deviation (tanh(xi2) + 1) / 2, then the box."""
    rule = Rule(replace(SIZES, rule="histogram", bins=2, circle=False))
    xi = np.asarray([[0.3, 0.0, -0.3, -20.0], [9.0, 9.0, 0.0, 0.0]], np.float32)
    view = np.asarray([[-0.5], [0.5], [-0.5]], np.float32)
    action = rule.act(xi, np.asarray([0, 0, 1]), view, np.asarray([[0.4], [0.4], [2.0]]))
    assert action[:, 0] == pytest.approx([tanh(0.3) + 0.5 * 0.4, -tanh(0.3), 1.0])
    assert action.dtype == np.float32


def test_loss_by_hand():
    """Ratios e^(1/2), clipped at 1.2 where that is less, and e^(-1/2)."""
    mean, std = torch.zeros(2, 1), torch.tensor(1.0)
    xi = torch.tensor([[0.0], [1.0]])
    now = density(xi, mean, std)
    assert now.tolist() == pytest.approx([-0.5 * log(2 * pi), -0.5 * log(2 * pi) - 0.5])
    sample = Sample(torch.zeros(2, 1), xi, now - torch.tensor([0.5, -0.5]), torch.tensor([1.0, 2.0]), torch.tensor([0.0, 3.0]))
    got = losses(mean, std, torch.tensor([1.0, 1.0]), sample, MeanFieldPPO(clip=0.2, kl=0.1))
    policy = -(1.2 + 2 * exp(-0.5)) / 2
    kl = ((exp(0.5) - 1 - 0.5) + (exp(-0.5) - 1 + 0.5)) / 2
    value = 0.5 * (1 + 4) / 2
    assert got["policy_loss"].item() == pytest.approx(policy)
    assert got["kl_old"].item() == pytest.approx(kl, abs=1e-6)
    assert got["value_loss"].item() == pytest.approx(value)
    assert got["clip_fraction"].item() == 1
    assert got["loss"].item() == pytest.approx(policy + 0.1 * kl + value, abs=1e-6)


def test_one_sample_a_step_and_all_seats_draw_the_same_rule():
    algorithm = build()
    batch = played(algorithm, algorithm.plan(0))
    assert batch.size("turn") == 2 * 100
    assert set(batch["turn.seat"].tolist()) == {0}
    assert algorithm.learn(batch)["learned_steps"] == 200
    everyone = played(algorithm, self_play("aggregation(seats=5)", PLAYER, 5, 2, 0))
    xi = everyone["turn.xi"].reshape(2, 5, 100, -1)
    assert (xi == xi[:, :1]).all()
    assert (xi[0] != xi[1]).any(-1).all()  # matches do not share
    assert (xi[0, 0, 1:] != xi[0, 0, :-1]).any(-1).all()  # nor do steps
    assert len(np.unique(everyone["turn.action"].reshape(2, 5, 100, 2)[0, :, 0], axis=0)) == 5  # a rule's noise is each seat's own


@pytest.mark.parametrize("sees", ["time", "table"])
def test_only_the_policy_that_sees_the_table_depends_on_it(sees):
    algorithm = build(replace(SMALL, sees=sees))
    seen = torch.rand(2, 51)
    seen[:, 0] = 0.5
    mean, _, value = algorithm.network(seen)
    assert torch.equal(mean[0], mean[1]) == (sees == "time")
    assert value[0] != value[1]


def test_a_rule_plays_at_any_number_of_seats_and_no_other_game(tmp_path):
    algorithm = build()
    train(algorithm, range(1))
    algorithm.save_agent(PLAYER, tmp_path)
    saved = load_agent(tmp_path)
    pool = SimpleNamespace(resolve=lambda player: saved)
    batch = Batch.concat(play(self_play("aggregation(seats=300)", PLAYER, 300, 1, 0), pool, registry.game))
    assert batch.size("turn") == 300 * 100
    with pytest.raises(UserError, match=r"views of 2 numbers, tables of 50 .* cannot play vicsek\(seats=3\)"):
        list(play(self_play("vicsek(seats=3)", PLAYER, 3, 1, 0), pool, registry.game))
    same = played(algorithm, self_play("aggregation(seats=5)", PLAYER, 5, 1, 7))
    again = Batch.concat(play(self_play("aggregation(seats=5)", PLAYER, 5, 1, 7), pool, registry.game))
    assert np.array_equal(same["turn.action"], again["turn.action"])


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


def test_refusals():
    with pytest.raises(Unsuitable, match="dec-pomfppo needs Box actions; two_step has Discrete"):
        build(game="two_step")
    with pytest.raises(Unsuitable, match="dec-pomfppo needs a team game; ising"):
        build(game="ising(side=3)")
    with pytest.raises(Unsuitable, match="one game at a time"):
        MeanFieldPPO().build(Setup(("vicsek", "kuramoto"), registry.game, None, 0))


def test_a_swarm_learns_to_gather():
    """Doing nothing returns -154."""
    algorithm = build(MeanFieldPPO(matches=8, bins=3, horizon=300), "aggregation(seats=10)")
    train(algorithm, range(8))
    assert played(algorithm, algorithm.plan(8))["seat.return"].mean() > -145
