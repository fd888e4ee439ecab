"""Mixtures: one member a match and seat, the exact policy that plays alike, folders, and what is refused."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from algorithms.nfsp import AverageAgent, network
from algorithms.psro import save_table
from algorithms.utilities import Sizes
from marl_llm import registry
from marl_llm.agents.mixture import Mixture
from marl_llm.agents.saved import load_agent
from marl_llm.errors import UserError
from marl_llm.exact import NotExact, expected_returns, join, policy_of
from marl_llm.game import Discrete, Game, GameInfo, State, View
from marl_llm.matches import Match, deal_seed, self_play
from marl_llm.play import play
from marl_llm.ragged import segment_sum
from marl_llm.records import PLAYED, VOID, Batch
from marl_llm.seeding import generator
from marl_llm.tree import tree_of

SEAT_0, SEAT_1 = [0.75, 0.25], [0.1, 0.9]


def saved(tree, policies, folder):
    folders = [folder / str(k) for k in range(len(policies))]
    for policy, into in zip(policies, folders, strict=True):
        into.mkdir()
        save_table(tree, policy, into)
    return folders


def always(tree, place):
    """Every seat takes the action in that place of the legal ones."""
    policy = np.zeros(len(tree.legal.data))
    policy[tree.legal.starts[:-1] + place] = 1
    return policy


def random_policy(tree, seed):
    raw = generator(seed).random(len(tree.legal.data)) ** 3
    return raw / np.repeat(segment_sum(raw, tree.legal.starts), tree.legal.lengths)


def played(agents, matches, load=registry.game):
    return Batch.concat(play(matches, SimpleNamespace(resolve=agents.__getitem__), load))


def test_a_seat_keeps_its_member_for_the_match_and_each_seat_has_its_own_weights(tmp_path):
    tree = tree_of(registry.game("leduc_poker"))
    mixture = Mixture(saved(tree, [always(tree, 0), always(tree, 1)], tmp_path), [SEAT_0, SEAT_1])
    batch = played({"mix": mixture}, self_play("leduc_poker", "mix", 2, 3000, 7))
    first = np.concatenate([tree.legal.data[tree.legal.starts[:-1]][None], tree.legal.data[tree.legal.starts[:-1] + 1][None]])
    code = {key: i for i, key in enumerate(tree.keys)}
    infoset = np.asarray([code[key] for key in batch.tables["key"]])[batch["turn.key"]]
    second = batch["turn.action"] == first[1][infoset]
    assert (second | (batch["turn.action"] == first[0][infoset])).all()
    pair = batch.up("turn", "seat")
    turns = np.bincount(pair, minlength=batch.size("seat"))
    seconds = np.bincount(pair, second, minlength=batch.size("seat"))
    assert turns.max() > 1
    assert ((seconds == 0) | (seconds == turns)).all(), "a seat changed its member inside a match"
    drawn = (seconds > 0)[turns > 0]
    seat = batch["seat.seat"][turns > 0]
    assert [drawn[seat == k].mean() for k in (0, 1)] == pytest.approx([SEAT_0[1], SEAT_1[1]], abs=0.03)


def test_the_exact_policy_earns_what_drawing_members_earns_and_averaging_probabilities_does_not(tmp_path):
    tree = tree_of(registry.game("leduc_poker"))
    policies = [random_policy(tree, 1), random_policy(tree, 2)]
    mixture = Mixture(saved(tree, policies, tmp_path), [SEAT_0, SEAT_1])
    drawn = sum(SEAT_0[i] * SEAT_1[j] * expected_returns(tree, join(tree, [policies[i], policies[j]])) for i in range(2) for j in range(2))
    assert expected_returns(tree, policy_of(tree, mixture)) == pytest.approx(drawn, abs=1e-9)
    weights = np.repeat(np.asarray([SEAT_0, SEAT_1])[tree.owner], tree.legal.lengths, axis=0)
    naive = (weights * np.stack(policies, 1)).sum(1)
    assert abs(expected_returns(tree, naive) - drawn).max() > 1e-3


def test_becoming_another_mixture_changes_the_policy(tmp_path):
    tree = tree_of(registry.game("kuhn_poker"))
    folders = saved(tree, [always(tree, 0), always(tree, 1)], tmp_path)
    mixture = Mixture(folders[:1], np.ones((2, 1)))
    assert policy_of(tree, mixture) == pytest.approx(always(tree, 0))
    mixture.become(folders, [[0, 1], [0, 1]])
    assert policy_of(tree, mixture) == pytest.approx(always(tree, 1))


def test_a_saved_mixture_plays_the_same_and_leaves_out_who_is_never_drawn(tmp_path):
    tree = tree_of(registry.game("kuhn_poker"))
    folders = saved(tree, [random_policy(tree, k) for k in range(3)], tmp_path)
    mixture = Mixture(folders, [[0.5, 0, 0.5], [0.2, 0, 0.8]])
    (tmp_path / "saved").mkdir()
    mixture.save(tmp_path / "saved")
    assert sorted(path.name for path in (tmp_path / "saved").iterdir()) == ["agent.json", "member0", "member2"]
    loaded = load_agent(tmp_path / "saved")
    assert np.array_equal(policy_of(tree, loaded), policy_of(tree, mixture))
    matches = list(self_play("kuhn_poker", "mix", 2, 200, 3))
    one, other = played({"mix": mixture}, matches), played({"mix": loaded}, matches)
    assert np.array_equal(one["turn.action"], other["turn.action"])


def test_a_draw_does_not_depend_on_company_and_is_not_the_members_own(tmp_path):
    tree = tree_of(registry.game("kuhn_poker"))
    half = tree.uniform_policy()
    mixture = Mixture(saved(tree, [half, always(tree, 1)], tmp_path), [[0.5, 0.5]] * 2)
    matches = list(self_play("kuhn_poker", "mix", 2, 2000, 5))
    together, alone = played({"mix": mixture}, matches), played({"mix": mixture}, matches[700:701])
    assert np.array_equal(together.take(np.asarray([700]))["turn.action"], alone["turn.action"])
    opening = together["turn.action"][together["turn.ply"] == 0]
    assert opening.mean() == pytest.approx(0.75, abs=0.03), "a member that draws by the same number as the mixture is biased"


class Cracked(Game):
    """Two turns; in matches of an odd seed the second has no vector."""

    info = GameInfo(name="cracked", seats=1, returns=(0, 1), max_decisions=2, action=Discrete(2), vector=(1,))

    def start(self, seed):
        return Cracking(seed % 2 == 1)


class Cracking(State):
    turn = 0

    def __init__(self, odd):
        self.odd = odd

    def to_act(self):
        return (0,) if self.turn < 2 else ()

    def legal(self, seat):
        return (0, 1)

    def apply(self, moves):
        self.turn += 1

    def returns(self):
        return [0.0]

    def view(self, seat):
        def vector():
            if self.odd and self.turn:
                raise ValueError("cracked")
            return [1.0]

        return View(text=lambda: "", vector=vector, key=lambda: f"{self.turn} {self.odd}")


def test_a_match_whose_view_breaks_leaves_the_others_as_they_were(tmp_path):
    sizes, folders = Sizes(1, 1, 2, (4,)), [tmp_path / "0", tmp_path / "1"]
    for folder in folders:
        folder.mkdir()
        AverageAgent(sizes, network(sizes, torch.Generator())).save(folder)
    mixture = Mixture(folders, [[0.5, 0.5]])
    seeds = [int(deal_seed(1, k)) for k in range(40)]
    good = [Match(game="cracked", seed=seed, players=("mix",)) for seed in seeds if seed % 2 == 0]
    every = [Match(game="cracked", seed=seed, players=("mix",)) for seed in seeds]
    both, alone = (played({"mix": mixture}, matches, lambda spec: Cracked()) for matches in (every, good))
    assert both["match.end"].tolist() == [VOID if seed % 2 else PLAYED for seed in seeds]
    kept = both.take(np.flatnonzero(both["match.end"] == PLAYED))
    assert np.array_equal(kept["turn.action"], alone["turn.action"])


def test_refusals(tmp_path):
    tree = tree_of(registry.game("kuhn_poker"))
    folders = saved(tree, [tree.uniform_policy()] * 2, tmp_path)
    for weights in ([[0.5, 0.4]] * 2, [[1.5, -0.5]] * 2, [[1.0]] * 2, [0.5, 0.5]):
        with pytest.raises(UserError, match="mixture of 2 members has weights"):
            Mixture(folders, weights)
    with pytest.raises(UserError, match="mixture for 1 seats cannot play a game of 2"):
        played({"mix": Mixture(folders, [[0.5, 0.5]])}, self_play("kuhn_poker", "mix", 2, 1, 0))
    tic = tree_of(registry.game("tic_tac_toe"))
    (tmp_path / "tic").mkdir()
    save_table(tic, tic.uniform_policy(), tmp_path / "tic")
    with pytest.raises(NotExact, match="own reach is not defined"):
        policy_of(tic, Mixture([tmp_path / "tic"], np.ones((2, 1))))
    with pytest.raises(TypeError, match="depends on which member"):
        Mixture(folders, [[0.5, 0.5]] * 2).policy(SimpleNamespace(views=None))
