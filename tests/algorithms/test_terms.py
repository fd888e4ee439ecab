"""Sums of terms: the published compositions against their worked numbers and properties."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from algorithms.estimators import Centre, Standardise
from algorithms.losses import Clipped
from algorithms.parts import Choices
from algorithms.recipes.at_grpo import recipe as at
from algorithms.recipes.gigpo import STEP
from algorithms.recipes.gigpo import recipe as gigpo
from algorithms.recipes.rank_grpo import recipe as rank
from algorithms.recipes.salt import recipe as salt
from algorithms.recipes.step_grpo import recipe as step
from algorithms.shaping import LogDecay
from algorithms.terms import EntropyBonus, Pool, Term, Terms
from tests.algorithms.batches import batch_of, group_of_matches

EXACT = Standardise(eps=0)


def assigned(credit, batch):
    return credit.assign(batch, {}).advantage


def moves(rewards, keys, actions=None):
    """Matches of one seat on one deal, the views and actions of their turns one after the other."""
    actions = [0] * len(keys) if actions is None else actions
    return group_of_matches(rewards, columns={"turn.key": np.asarray(keys), "turn.action": np.asarray(actions)})


ANCHORS = moves([[0, 10.0], [0, 0, 0]], [0, 1, 0, 0, 2])
"""One match visits s0, s1 and earns 10 at the end; the other visits s0, s0, s3 and earns nothing."""


def two_terms(rows="seat", estimator=None):
    first = Term(rows=rows, estimator=estimator or Centre())
    return Terms(terms=(first, Term(value=STEP.value, group=STEP.group, discount=STEP.discount, estimator=estimator or Centre())))


def test_gigpo_by_hand():
    found = assigned(two_terms(), ANCHORS)
    assert found == pytest.approx([11.33333, 5, -8.16667, -8.16667, -5], abs=1e-5)
    rows = assigned(two_terms("turn"), ANCHORS)
    assert rows == pytest.approx([12.33333, 6, -7.16667, -7.16667, -4], abs=1e-5)
    anchors = assigned(Terms(terms=(Term(value="to_go", group=STEP.group, discount=0.95, estimator=EXACT),)), ANCHORS)
    assert anchors == pytest.approx([1.1547, 0, -0.57735, -0.57735, 0], abs=1e-4), "with deviations, and 0 for a view met once"
    episode = assigned(Terms(terms=(Term(),)), ANCHORS)
    assert assigned(gigpo.credit, ANCHORS) == pytest.approx(episode + anchors, abs=1e-5), "the recipe adds both, with deviations"


GAMES = moves([[0, 1.0], [0, -1.0], [0, 1.0]], [0, 1, 0, 2, 0, 2], [0, 0, 1, 2, 1, 3])
"""Three games of two own turns: all share the opening view, with moves a, b, b; the last two share the second, with moves c, d."""


def test_gigpo_in_a_game():
    assert assigned(two_terms(), GAMES) == pytest.approx([1.3, 0.66667, -2.6, -2.33333, 1.3, 1.66667], abs=1e-5)


def test_salt_in_a_game():
    """The opening b of games 2 and 3 is pooled, so it is not blamed for the later mistake c; all else keeps its own."""
    found = assigned(salt.credit, GAMES)
    assert found == pytest.approx([0.57735, 0.57735, -0.28868, -1.1547, -0.28868, 0.57735], abs=1e-5)


def test_salt_by_hand():
    """[1.1547,-.57735,-.57735]: a step that two share gets .288675, one that all share 0."""
    batch = moves([[0, 0, 1.0], [0, 0, 0.0], [0, 0.0]], [0, 1, 2, 0, 1, 3, 0, 4])
    assert assigned(salt.credit, batch) == pytest.approx([0, 0.288675, 1.1547, 0, 0.288675, -0.57735, 0, -0.57735], abs=1e-5)


steps = st.lists(
    st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=4), min_size=1, max_size=6
)


@given(steps)
def test_pooling_keeps_every_merged_class_s_sum(matches):
    flat = [move for match in matches for move in match]
    batch = moves([[float(reward) for reward, _, _ in match] for match in matches], [k for _, k, _ in flat], [a for _, _, a in flat])
    before, after = (
        assigned(Terms(terms=(Term(estimator=Centre()),)), batch),
        assigned(Terms(terms=(Term(estimator=Centre()),), finish=(Pool(),)), batch),
    )
    classes = np.asarray([k * 10 + a for _, k, a in flat])
    for one in np.unique(classes):
        assert after[classes == one].sum() == pytest.approx(before[classes == one].sum(), abs=1e-9)


@given(st.lists(st.lists(st.integers(-3, 3), min_size=1, max_size=4), min_size=1, max_size=6))
def test_without_a_shared_step_both_are_the_trajectory_s_own(matches):
    batch = moves([[float(r) for r in match] for match in matches], range(sum(map(len, matches))))
    plain = assigned(Terms(terms=(Term(estimator=Centre()),)), batch)
    assert assigned(Terms(terms=(Term(estimator=Centre()),), finish=(Pool(),)), batch) == pytest.approx(plain)
    assert assigned(two_terms(), batch) == pytest.approx(plain)


def test_step_grpo_by_hand():
    """A step group [.9,.4,.7,.2]; what follows a step is not its own, and other views are other groups."""
    batch = moves([[0.9, 5.0], [0.4, 1.0], [0.7, 5.0], [0.2, 1.0]], [0, 1, 0, 1, 0, 1, 0, 1])
    batch = batch.with_columns(**{"match.seed": np.arange(4, dtype=np.uint64)})
    found = assigned(step.credit, batch)
    assert found[::2] == pytest.approx([1.12571, -0.48245, 0.48245, -1.12571], abs=1e-4)
    assert found[1::2] == pytest.approx(np.asarray([1, -1, 1, -1]) * 0.866025, abs=1e-5)


def test_flow_grpo_by_hand():
    """One win of two turns, one loss of three: rows [1.09544 x 2, -.7303 x 3], trajectories +-.70711."""
    batch = group_of_matches([[0, 1.0], [0, 0, 0.0]])
    assert assigned(Terms(terms=(Term(rows="turn", estimator=EXACT),)), batch) == pytest.approx([1.09544] * 2 + [-0.7303] * 3, abs=1e-5)
    assert assigned(Terms(terms=(Term(estimator=EXACT),)), batch) == pytest.approx([0.70711] * 2 + [-0.70711] * 3, abs=1e-5)


def test_rows_and_trajectories_agree_where_turns_are_as_many():
    """r = [1,0,0], three turns each: ddof 0 gives [1.41421,-.70711,-.70711] both ways; ddof 1 1.1547 a trajectory, 1.33333 a row."""
    batch = group_of_matches([[0, 0, 1.0], [0, 0, 0.0], [0, 0, 0.0]])
    for ddof, rows, first in ((0, "turn", 1.41421), (0, "seat", 1.41421), (1, "turn", 1.33333), (1, "seat", 1.1547)):
        found = assigned(Terms(terms=(Term(rows=rows, estimator=Standardise(eps=0, ddof=ddof)),)), batch)
        assert found == pytest.approx(np.repeat([first, -first / 2, -first / 2], 3), abs=1e-5)


def ranked(batch, credit=rank.credit):
    return assigned(credit, LogDecay().channels(batch, {}, {}))


def test_rank_grpo_by_hand():
    """Hits [1,0,1] and [0,1,0]: rewards [1.5,.5,.5] and [.63093,.63093,0]."""
    batch = group_of_matches([[1.0, 0, 1], [0, 1.0, 0]])
    to_go = LogDecay().channels(batch, {}, {})
    assert to_go["turn.game"] == pytest.approx([1, 0, 0.5, 0, 0.63093, 0], abs=1e-5)
    centred = Terms(terms=(Term(value="to_go", group=("deal", "seat", "turn"), estimator=Centre()),))
    each = np.asarray([0.43454, -0.06546, 0.25])
    assert ranked(batch, centred) == pytest.approx([*each, *-each], abs=1e-5)
    scaled = np.asarray([0.70699, -0.70634, 0.70691])
    assert ranked(batch) == pytest.approx([*scaled, *-scaled], abs=1e-5)


@given(st.lists(st.floats(-3, 3), min_size=2, max_size=8))
def test_rank_grpo_of_one_item_is_grpo(rewards):
    batch = group_of_matches(rewards)
    assert ranked(batch) == pytest.approx(assigned(Terms(terms=(Term(estimator=Standardise(eps=1e-4)),)), batch))


def test_return_to_go_by_turn_index():
    """Turn rewards [0,0,1] and [0,1,0]: returns [1,1,1] and [1,1,0], centred [0,0,.5] and [0,0,-.5]."""
    credit, batch = Terms(terms=(replace(at.credit.terms[0], estimator=Centre()),)), group_of_matches([[0, 0, 1.0], [0, 1.0, 0]])
    assert assigned(credit, batch).tolist() == [0, 0, 0.5, 0, 0, -0.5]
    assert assigned(at.credit, batch) == pytest.approx([0, 0, 0.70711, 0, 0, -0.70711], abs=1e-5)


def surrogate(loss, change, turn, gain):
    """Its value at choices of probability a half that have become likelier by ``change``."""
    old = torch.full((len(change), 2), 0.5, dtype=torch.float64).log()
    choices = Choices.of(np.arange(len(change)), np.zeros(len(change), np.int64), np.asarray(turn), old)
    now = old + torch.tensor([[c, 0.0] for c in change], dtype=torch.float64)
    return loss.value(now, choices, torch.full((len(change),), gain, dtype=torch.float64), None, 0.0)[0].item()


def test_the_ratio_of_an_item_by_hand():
    """Changes .02 and .04 of an item's tokens: exp(.03) = 1.030455; 1.2 and .8 are clipped to 1.08 and .94."""
    loss = replace(rank.loss, kl=0.0)
    assert surrogate(loss, [0.02, 0.04], [0, 0], 1.0) == pytest.approx(-1.030455, abs=1e-6)
    assert surrogate(loss, [np.log(1.2)], [0], 1.0) == pytest.approx(-1.08)
    assert surrogate(loss, [np.log(0.8)], [0], -1.0) == pytest.approx(0.94)


@given(st.lists(st.floats(-0.5, 0.5), min_size=1, max_size=5), st.floats(-2, 2))
def test_the_ratio_of_a_turn_of_one_token_is_the_token_s(change, gain):
    one = range(len(change))
    assert surrogate(Clipped(ratio="turn"), change, one, gain) == pytest.approx(surrogate(Clipped(), change, one, gain), abs=1e-12)


def test_entropy_bonus_by_hand():
    """H = .9: A = 1.5 becomes 1.86; A = -.5 becomes -.25, for the bonus stops at half of |A|."""
    batch = group_of_matches([0, 0], columns={"turn.entropy": np.asarray([0.9, 0.9])})
    assert EntropyBonus().finish(batch, np.asarray([1.5, -0.5])) == pytest.approx([1.86, -0.25])


@given(st.lists(st.tuples(st.floats(-3, 3), st.floats(0, 2)), min_size=1, max_size=6))
def test_entropy_bonus_changes_no_sign(turns):
    plain, entropy = (np.asarray(x) for x in zip(*turns, strict=True))
    batch = group_of_matches([0] * len(turns), columns={"turn.entropy": entropy})
    shaped = EntropyBonus().finish(batch, plain)
    assert (shaped >= plain).all()
    assert (np.sign(shaped) == np.sign(plain)).all()


def test_weights_of_terms_and_seats_apart():
    batch = batch_of([[[1.0], [-1.0]], [[-1.0], [1.0]]]).with_columns(**{"match.seed": np.zeros(2, np.uint64)})
    doubled = Terms(terms=(Term(estimator=Centre()), Term(estimator=Centre(), weight=0.5)))
    assert assigned(doubled, batch).tolist() == [1.5, -1.5, -1.5, 1.5]
    joint = Terms(terms=(Term(group=("deal",), estimator=Centre()),))
    assert assigned(joint, batch).tolist() == [1, -1, -1, 1], "over both seats of a zero-sum game the mean is 0, no baseline at all"


def test_what_a_joint_loss_compares():
    batch = moves([[0.0, 1.0], [1.0]], [0, 1, 0])
    found = Terms(terms=(STEP,)).assign(batch, {}).group
    assert len(set(found.tolist())) == 1, "trajectories of one seat on one deal, whatever views the term tells apart"
