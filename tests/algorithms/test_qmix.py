"""QMIX, VDN and IQL: mixture, targets and weights by hand, what each can fit, exact resuming, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from algorithms.buffer import Episodes
from algorithms.parts import PLAYER
from algorithms.qmix import QMIX, Mixer, central_weight, loss, monotonic, targets
from algorithms.utilities import Sizes, Utilities, epsilon_greedy
from marl_llm import registry
from marl_llm.agents.saved import load_agent
from marl_llm.algorithm import Setup, Unsuitable
from marl_llm.errors import UserError
from marl_llm.exact import policy_of, request_of
from marl_llm.game import Box, Discrete, GameInfo
from marl_llm.ragged import Ragged
from marl_llm.tree import tree_of
from tests.algorithms.fits import TABLES, UNIFORM, batch_of, built, first_values, fitted, greedy_return, trained

SMALL = QMIX(horizon=6, matches=16, updates=3, batch=8, hidden=(8,), embed=4, hyper=8, critic=8, target_every=4, capacity=40)
TEAM = GameInfo(name="team", seats=2, returns=(0, 1), max_decisions=9, action=Discrete(2), utility="team", vector=(3,))


def weights(algorithm):
    networks = (*algorithm.learner.networks.values(), *algorithm.learner.target.values(), *algorithm.learner.descent.good.values())
    return torch.cat([value.flatten() for network in networks for value in network.state_dict().values()])


def test_the_mixture_by_hand():
    """q |w1| + b1 = (1 * 2 + -1 * 1 + 0, 1 * 1 + -1 * 3 + 1) = (1, -1); ELU gives 1 and 1/e - 1."""
    w1, b1, w2 = torch.tensor([[2.0, -1.0], [-1.0, 3.0]]), torch.tensor([0.0, 1.0]), torch.tensor([-3.0, 2.0])
    got = monotonic(torch.tensor([1.0, -1.0]), w1, b1, w2, torch.tensor(0.5))
    assert got.item() == pytest.approx(3 * 1 + 2 * (np.exp(-1) - 1) + 0.5)


def test_the_mixture_is_monotone_and_depends_on_the_table():
    mixer = Mixer(QMIX(), 3, 5, torch.Generator().manual_seed(1))
    rng = torch.Generator().manual_seed(2)
    q, table = torch.randn(200, 3, generator=rng, requires_grad=True), torch.randn(200, 5, generator=rng)
    total = mixer(q, table)
    assert total.shape == (200, 1)
    total.sum().backward()
    assert q.grad is not None
    assert q.grad.min() >= 0
    assert q.grad.max() > 0
    assert mixer(torch.zeros(2, 3), table[:2])[0] != mixer(torch.zeros(2, 3), table[:2])[1]
    for kind, expected in (("vdn", [[6.0]]), ("iql", [[1.0, 2.0, 3.0]])):
        assert Mixer(QMIX(mixer=kind), 3, 0, rng)(torch.tensor([[1.0, 2.0, 3.0]]), torch.zeros(1, 0)).tolist() == expected


def test_a_table_of_zeros_does_not_stop_the_mixture():
    mixer = Mixer(QMIX(), 2, 1, torch.Generator().manual_seed(1))
    mixer(torch.ones(4, 2), torch.zeros(4, 1)).sum().backward()
    assert all(value.grad is not None and value.grad.abs().max() > 0 for value in mixer.w1.parameters())


def test_targets_by_hand():
    """Two episodes of three steps, the second cut: its last step bootstraps. r = 1, 2, 4, Z = 10, 20, 30, discount 1/2, lambda 1/4."""
    z = torch.tensor([10.0, 20.0, 30.0]).expand(2, 3)[..., None]
    acts, cut = torch.ones(2, 3, 1, dtype=torch.bool), torch.tensor([False, True])
    half = torch.full((2, 3), 0.5)
    g = targets(z, torch.tensor([1.0, 2.0, 4.0]).expand(2, 3), half, acts, torch.tensor([3, 3]), cut, 0.25)
    played = [0, 2 + 0.5 * (0.75 * 30 + 0.25 * 4), 4.0]
    played[0] = 1 + 0.5 * (0.75 * 20 + 0.25 * played[1])
    bootstrapped = [0, 2 + 0.5 * 30, 30.0]
    bootstrapped[0] = 1 + 0.5 * (0.75 * 20 + 0.25 * bootstrapped[1])
    assert g[..., 0].tolist() == [pytest.approx(played), pytest.approx(bootstrapped)]
    short = targets(z, torch.tensor([1.0, 2.0, 4.0]).expand(2, 3), half, acts, torch.tensor([1, 2]), cut, 0.25)
    assert short[0, 0].item() == 1.0
    assert short[1, :2, 0].tolist() == [pytest.approx(1 + 0.5 * 20), 20.0]


def test_a_seat_that_does_not_act_hands_its_target_on():
    z, acts = torch.tensor([[[5.0], [7.0], [9.0]]]), torch.tensor([[[True], [False], [True]]])
    g = targets(z, torch.tensor([[1.0, 2.0, 4.0]]), torch.full((1, 3), 0.5), acts, torch.tensor([3]), torch.tensor([False]), 0.0)
    assert g[0, :, 0].tolist() == [1 + 0.5 * (2 + 0.5 * 9), 2 + 0.5 * 9, 4.0]


def test_weights_and_loss_by_hand():
    target, greedy = torch.tensor([1.0, 5.0, 3.0]), torch.tensor([True, False, False])
    weight = central_weight(target, torch.tensor(4.0), greedy, 0.1)
    assert weight.tolist() == pytest.approx([1, 1, 0.1])  # greedy; better than greedy; neither
    assert loss(torch.tensor([2.0, 3.0, 1.0]), target, weight).item() == pytest.approx((1 + 4 + 0.1 * 4) / 3)


@pytest.mark.parametrize("mixer", ["iql", "vdn"])
def test_what_is_learned_from_by_hand(mixer):
    """Two seats, one action each, Q_i = own view; seat 1 does not act in the second step. Double Q has nothing to choose."""
    learner = built(replace(SMALL, mixer=mixer, gamma=0.5, lam=0.0), "two_step", 100).learner
    learner.utilities.net = torch.nn.Identity()
    learner.utilities.sizes = Sizes(1, 0, 1, ())
    learner.target["utilities"] = learner.utilities
    episodes = Episodes(
        view_ETNV=np.asarray([[[[1], [2]], [[4], [100]], [[6], [8]]]], np.float32),
        table_ETS=np.zeros((1, 3, 0), np.float32),
        legal_ETNA=np.ones((1, 3, 2, 1), bool),
        acts_ETN=np.asarray([[[True, True], [True, False], [True, True]]]),
        action_ETN=np.zeros((1, 3, 2), np.int64),
        reward_ET=np.asarray([[1.0, 2.0, 3.0]]),
        elapsed_ET=np.asarray([[1, 2, 1]]),
        length_E=np.asarray([3]),
        cut_E=np.asarray([True]),
    )
    total, target, weight, critic = learner.values(episodes)
    second = 2 + 0.25 * 14 if mixer == "vdn" else 2 + 0.25 * 6  # elapsed 2: discount 1/4
    if mixer == "vdn":
        assert total.tolist() == [3.0, 4.0]
        assert target.tolist() == [1 + 0.5 * 4, second]
    else:
        assert total.tolist() == [1.0, 2.0, 4.0]
        assert target.tolist() == [1 + 0.5 * 4, 1 + 0.5 * (2 + 0.25 * 8), second]
    assert weight.tolist() == [1.0] * len(total)
    assert critic is None


def test_epsilon_greedy_is_over_legal_actions():
    policy = epsilon_greedy(np.asarray([[9, 1, 2], [5, 4, 3]], np.float32), Ragged.of([[1, 2], [0, 1, 2]]), 0.3)
    assert policy[0].tolist() == pytest.approx([0.15, 0.85])
    assert policy[1].tolist() == pytest.approx([0.8, 0.1, 0.1])
    settings = QMIX(epsilon=1.0, epsilon_last=0.2, horizon=100, exploring=0.5)
    assert [settings.epsilon_at(i) for i in (0, 25, 50, 99)] == pytest.approx([1.0, 0.6, 0.2, 0.2])


def test_qmix_hides_the_best_joint_action_under_uniform_data_and_the_weights_find_it():
    """Rows and columns of A go to -8 and the rest to 0, with squared error 320, although a monotone fit with 288 is greedy-correct."""
    values, paid, sse = fitted([TABLES["qmix"]], range(3), 2000)
    assert paid.tolist() == [[0.0] * 3]
    assert sse == pytest.approx(320, abs=1)
    assert values[0, :, 0, 0].numpy() == pytest.approx(-8, abs=0.1)
    assert values[0, :, 1:, 1:].numpy() == pytest.approx(0, abs=0.1)
    assert fitted([TABLES["qmix"]], range(3), 2000, weight=0.1)[1].tolist() == [[8.0] * 3]


def test_qmix_fits_state_b_of_the_two_step_game_exactly():
    _, paid, sse = fitted([[[0, 1], [1, 8]]], range(3), 1200)
    assert paid.tolist() == [[8.0] * 3]
    assert sse.max() < 1e-3


def test_vdn_fits_a_sum():
    """The additive least-squares fit of the first table, by its own mixture: -6.222, -4.889 and -3.556."""
    pay = torch.tensor(TABLES["qmix"], dtype=torch.float32)
    mixer = Mixer(QMIX(mixer="vdn"), 2, 0, torch.Generator())
    q = torch.zeros(2, 3, requires_grad=True)
    adam = torch.optim.Adam([q], lr=0.1)
    joint = torch.cartesian_prod(torch.arange(3), torch.arange(3))
    for _ in range(500):
        total = mixer(torch.stack([q[0, joint[:, 0]], q[1, joint[:, 1]]], 1), torch.zeros(9, 0))[:, 0]
        adam.zero_grad()
        loss(total, pay.flatten()).backward()
        adam.step()
    assert total.detach().reshape(3, 3)[0].tolist() == pytest.approx([-6.222, -4.889, -4.889], abs=0.01)
    assert total.detach().reshape(3, 3)[1, 1].item() == pytest.approx(-3.556, abs=0.01)
    assert pay[q[0].argmax(), q[1].argmax()] == 0


def test_qmix_learns_the_two_step_game():
    """With a discount of 0.99 the first moves are worth 6.93 and 7.92."""
    algorithm = trained(replace(UNIFORM, horizon=80), "two_step", 0)
    assert first_values(algorithm) == pytest.approx((6.93, 7.92), abs=0.05)
    assert greedy_return(algorithm) == 8.0


@pytest.mark.parametrize("changed", [{}, {"mixer": "vdn"}, {"mixer": "iql"}, {"weight": 0.1}])
def test_resuming_is_exact_and_the_seed_decides(tmp_path, changed):
    def run(algorithm, steps):
        for step in steps:
            log = algorithm.learn(batch_of(algorithm, step))
        assert log["skipped_steps"] == 0
        return algorithm

    settings = replace(SMALL, **changed)
    straight = run(built(settings, "two_step", 100), range(6))
    run(built(settings, "two_step", 100), range(3)).save(tmp_path)
    resumed = built(settings, "two_step", 100)
    resumed.load(tmp_path)
    assert resumed.agent.epsilon == settings.epsilon_at(3)
    assert torch.equal(weights(straight), weights(run(resumed, range(3, 6))))
    assert not torch.equal(weights(straight), weights(run(built(settings, "two_step", 101), range(6))))


def test_a_saved_agent_plays_its_best_and_refuses_another_game(tmp_path):
    algorithm = trained(SMALL, "two_step", 100)
    algorithm.save_agent(PLAYER, tmp_path)
    tree, saved = tree_of(registry.game("two_step")), load_agent(tmp_path)
    assert set(np.unique(policy_of(tree, saved))) == {0.0, 1.0}
    algorithm.agent.epsilon = 0.0
    assert np.array_equal(policy_of(tree, saved), policy_of(tree, algorithm.agent))
    with pytest.raises(UserError, match=r"views of 5 numbers, 2 actions and 2 seats cannot play kuhn_poker.*train some"):
        saved.policy(request_of(tree_of(registry.game("kuhn_poker"))))


def test_refusals():
    def build(info, settings=SMALL, games=("one",)):
        return settings.build(Setup(games, lambda spec: SimpleNamespace(info=info), None, 0))

    for utility in ("zero_sum", "general"):
        with pytest.raises(Unsuitable, match=f"qmix needs a team game; rivals is {utility}"):
            build(replace(TEAM, name="rivals", utility=utility, table=(1,)))
    with pytest.raises(Unsuitable, match="qmix needs Discrete actions; arm has Box"):
        build(replace(TEAM, name="arm", action=Box(-1, 1, (2,)), table=(1,)))
    with pytest.raises(Unsuitable, match="qmix needs a view of the whole table as numbers; team gives none"):
        build(TEAM)
    assert build(TEAM, replace(SMALL, mixer="vdn"))
    with pytest.raises(Unsuitable, match="vdn needs a vector view; team gives none"):
        build(replace(TEAM, vector=None), replace(SMALL, mixer="vdn"))
    with pytest.raises(UserError, match=r"weight is 0.1 and mixer is vdn; expected weight 1, or mixer qmix"):
        build(TEAM, replace(SMALL, mixer="vdn", weight=0.1))
    with pytest.raises(Unsuitable, match="one game at a time; got a, b"):
        build(TEAM, games=("a", "b"))


def test_utilities_know_the_seat():
    net = Utilities(Sizes(2, 3, 4, (8,)), torch.Generator().manual_seed(0))
    q = net(torch.zeros(3, 2), torch.arange(3))
    assert q.shape == (3, 4)
    assert not torch.equal(q[0], q[1])
