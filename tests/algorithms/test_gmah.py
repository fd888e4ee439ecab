"""GMAH: choices as a semi-Markov process and pursuits by hand, how subgoals are held, exact resuming, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from algorithms.gmah import GMAH, Sample, clipped, joint_choices, pursuits
from algorithms.parts import PLAYER
from algorithms.qmix import QMIX
from marl_llm import registry
from marl_llm.agents.saved import load_agent
from marl_llm.algorithm import Setup, Unsuitable
from marl_llm.errors import UserError
from marl_llm.game import Discrete, GameInfo
from marl_llm.matches import self_play
from marl_llm.play import play
from marl_llm.records import CUT, PLAYED, Batch

GRID = "trash_grid(size=4,seats=2,small=2,big=1,steps=12)"
SMALL = GMAH(
    upper=QMIX(horizon=4, matches=8, updates=2, batch=4, hidden=(8,), embed=4, hyper=8, capacity=20, lam=0.0),
    patience=4,
    hidden=(8,),
    epochs=2,
    minibatch=64,
)


def built(settings=SMALL, game=GRID, seed=100):
    return settings.build(Setup((game,), registry.game, None, seed))


def played(agents, plan):
    return Batch.concat(play(plan, SimpleNamespace(resolve=agents.__getitem__), registry.game))


def run(algorithm, steps):
    for step in steps:
        log = algorithm.learn(played(algorithm.agents, algorithm.plan(step)))
    assert log["upper_skipped_steps"] == 0
    return algorithm


def weights(algorithm):
    networks = (algorithm.upper.networks, algorithm.upper.target, algorithm.lower, *algorithm.descent.good.values())
    return torch.cat([value.flatten() for network in networks for value in network.state_dict().values()])


def recorded(ends=PLAYED) -> Batch:
    """One match of two seats and four joint steps. Seat 0 chooses at 0 and, having reached it, at 2; seat 1 at 0, reaching nothing,
    and, its patience being 3, at 3. The team gains 1, 2, 4 and 8."""
    columns = {
        "match.end": np.asarray([ends]),
        "seat.seat": np.arange(2),
        "seat.initial": np.zeros(2),
        "seat.return": np.full(2, 15.0),
        "turn.seat": np.repeat([0, 1], 4),
        "turn.ply": np.tile([0, 2, 4, 6], 2),
        "turn.learn": np.ones(8, bool),
        "turn.reward": np.tile([1.0, 2.0, 4.0, 8.0], 2),
        "turn.view": np.arange(8, dtype=np.float32)[:, None],
        "turn.goal": np.asarray([2, 2, 0, 0, 1, 1, 1, 2]),
        "turn.chose": np.asarray([1, 0, 1, 0, 1, 0, 0, 1], bool),
        "turn.fired": np.asarray([0, 0, 1, 0, 0, 0, 0, 0], bool),
        "turn.action": np.zeros(8, np.int64),
        "legal.action": np.zeros(8, np.int64),
    }
    starts = {"seat": np.asarray([0, 2]), "turn": np.asarray([0, 4, 8]), "legal": np.arange(9)}
    return Batch(columns, starts, {})


def test_joint_choices_by_hand():
    """Somebody chooses at steps 0, 2 and 3: 1 + 2 / 2 is gained in the first two moves, then 4, then 8."""
    episodes = joint_choices(recorded(), 2, 3, 0.5)
    assert episodes.length_E.tolist() == [3]
    assert episodes.reward_ET.tolist() == [[2.0, 4.0, 8.0]]
    assert episodes.elapsed_ET.tolist() == [[2, 1, 1]]
    assert episodes.action_ETN[0].tolist() == [[2, 1], [0, 1], [0, 2]]
    free, only = [True] * 3, lambda goal: [g == goal for g in range(3)]
    assert episodes.legal_ETNA[0].tolist() == [[free, free], [free, only(1)], [only(0), free]]
    assert episodes.view_ETNV[0, :, :, 0].tolist() == [[0, 4], [2, 6], [3, 7]]


def test_pursuits_by_hand():
    """A subgoal counts as reached where the next turn says so, and at the end of a match if the last move gained something."""
    gain, starts, cut = pursuits(recorded(), 0.1)
    assert gain.tolist() == [-0.1, 1, -0.1, 1, -0.1, -0.1, -0.1, 1]
    assert starts.tolist() == [0, 2, 4, 7, 8]
    assert cut.tolist() == [False] * 4
    assert pursuits(recorded(CUT), 0.1)[2].tolist() == [False, True, False, True]
    lost = recorded().with_columns(**{"turn.reward": np.tile([1.0, 2.0, 4.0, -8.0], 2)})
    assert pursuits(lost, 0.1)[0].tolist() == [-0.1, 1, -0.1, -0.1, -0.1, -0.1, -0.1, -0.1]


def test_the_loss_below_by_hand():
    """Ratios 2 and 1/2: the first is clipped at 1.2, the second, of a bad action, at 0.8."""
    logp = torch.tensor([[0.5, 0.5], [0.25, 0.75]]).log()
    old = torch.tensor([0.25, 0.5]).log()
    sample = Sample(
        torch.zeros(2, 1), torch.ones(2, 2).bool(), torch.tensor([0, 0]), old, torch.tensor([2.0, -3.0]), torch.tensor([1.0, 4.0])
    )
    parts = {name: value.item() for name, value in clipped(logp, torch.tensor([0.0, 2.0]), sample, 0.2, 0.1).items()}
    entropy = (np.log(2) - 0.25 * np.log(0.25) - 0.75 * np.log(0.75)) / 2
    assert parts["policy_loss"] == pytest.approx(-(1.2 * 2 - 0.8 * 3) / 2, abs=1e-6)
    assert parts["value_loss"] == pytest.approx(0.5 * (1 + 4) / 2)
    assert parts["entropy"] == pytest.approx(entropy)
    assert parts["loss"] == pytest.approx(parts["policy_loss"] + parts["value_loss"] - 0.1 * entropy)


def test_subgoals_are_held_until_they_are_reached_or_patience_ends():
    algorithm = built()
    game, batch = registry.game(GRID), played(algorithm.agents, algorithm.plan(0))
    chose, goal, age, fired = (batch[f"turn.{name}"] for name in ("chose", "goal", "age", "fired"))
    first = batch.starts["turn"][:-1]
    assert chose[first].all()
    assert (age[chose] == 0).all()
    later = np.setdiff1d(np.arange(len(goal)), first)
    held = later[~chose[later]]
    assert (goal[held] == goal[held - 1]).all()
    assert (age[held] == age[held - 1] + 1).all()
    again = later[chose[later]]
    assert ((age[again - 1] == SMALL.patience - 1) | fired[again]).all()
    told = game.reached(batch["turn.view"][later - 1], batch["turn.view"][later])[np.arange(len(later)), goal[later - 1]]
    assert np.array_equal(fired[later], told)
    assert fired.any()
    assert chose[fired].all()
    assert len(np.unique(goal[chose])) == 4  # all chances, epsilon being 1


def test_resuming_is_exact_and_the_seed_decides(tmp_path):
    straight = run(built(), range(4))
    run(built(), range(2)).save(tmp_path)
    resumed = built()
    resumed.load(tmp_path)
    assert torch.equal(weights(straight), weights(run(resumed, range(2, 4))))
    assert not torch.equal(weights(straight), weights(run(built(seed=101), range(4))))


def test_a_saved_agent_plays_the_same_and_refuses_another_game(tmp_path):
    algorithm = run(built(), range(2))
    algorithm.save_agent(PLAYER, tmp_path)
    algorithm.agent.epsilon = 0.0
    plan, saved = algorithm.plan(9), load_agent(tmp_path)
    mine, theirs = played(algorithm.agents, plan), played({PLAYER: saved}, plan)
    assert np.array_equal(mine["turn.action"], theirs["turn.action"])
    with pytest.raises(UserError, match=r"a hierarchical agent for views of .* numbers, 6 actions and 2 seats cannot play two_step"):
        played({PLAYER: saved}, list(self_play("two_step", PLAYER, 2, 1, 0)))


def test_refusals():
    team = GameInfo(name="team", seats=2, returns=(0, 1), max_decisions=9, action=Discrete(2), utility="team", vector=(3,), table=(3,))

    def build(info, **offered):
        return SMALL.build(Setup(("one",), lambda spec: SimpleNamespace(info=info, **offered), None, 0))

    with pytest.raises(Unsuitable, match="gmah needs a team game; rivals is zero_sum"):
        build(replace(team, name="rivals", utility="zero_sum"))
    with pytest.raises(Unsuitable, match=r"gmah needs a game that offers subgoals to choose from .*; team offers none"):
        build(team)
    assert build(team, subgoals=("a", "b"), reached=lambda before, now: None)
    with pytest.raises(Unsuitable, match="gmah needs a view of the whole table"):
        build(replace(team, table=None), subgoals=("a", "b"), reached=lambda before, now: None)
    with pytest.raises(Unsuitable, match="one game at a time"):
        SMALL.build(Setup(("a", "b"), registry.game, None, 0))


def test_a_cut_match_bootstraps_on_both_levels():
    episodes = joint_choices(recorded(CUT), 2, 3, 0.5)
    assert episodes.cut_E.tolist() == [True]
    assert episodes.length_E.tolist() == [3]  # the last view stays, to bootstrap from


def test_subgoals_come_to_be_reached():
    settings = replace(SMALL, upper=replace(SMALL.upper, matches=32, epsilon_last=1.0), hidden=(32,), patience=10, minibatch=256, lr=3e-3)
    algorithm = built(settings, "trash_grid(size=3,seats=2,small=1,big=1,steps=30)", 0)
    shares = [algorithm.learn(played(algorithm.agents, algorithm.plan(step)))["reached"] for step in range(12)]
    assert np.mean(shares[-2:]) > 1.3 * np.mean(shares[:2])
