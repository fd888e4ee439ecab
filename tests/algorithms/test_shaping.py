"""Rewards over groups against their worked numbers, and what must not change anything."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithms.estimators import Centre, Standardise
from algorithms.shaping import CosineLength, LogDecay, Overlong, RelativeLength
from algorithms.shaping_arms import Adaptive, ArmByLength, ArmByMove, ArmByTag, Conditional
from algorithms.shaping_peers import Confidence, Diversity, Unlikeliness, diversity
from algorithms.shaping_progress import Progress, centres
from algorithms.shaping_referees import Corrected, Referees, missed_rate
from algorithms.shaping_votes import Consensus, Frequency
from algorithms.terms import Term, Terms
from marl_llm.algorithm import Unsuitable
from marl_llm.errors import UserError
from tests.algorithms.batches import batch_of, group_of_matches


def worth(transform, batch, memory=None):
    return transform.channels(batch, {}, {} if memory is None else memory)["seat.outcome"]


def advantage(batch, estimator=None):
    return Terms(terms=(Term(estimator=estimator or Standardise(eps=0)),)).assign(batch, {}).advantage


def compared(transform, batch, estimator=None):
    """Advantages of the shaped outcomes, by GRPO unless told."""
    return advantage(transform.channels(batch, {}, {}), estimator)


def of_length(rewards, lengths):
    return group_of_matches(rewards, columns={"turn.length": np.asarray(lengths, float)})


def test_overlong_replies_cost():
    """20480 with a cache of 4096: nothing up to 16384, -.5 at 18432, -1 from 20480 on; in the channel of form and in the outcome."""
    long = Overlong(limit=20480, cache=4096)
    shaped = long.channels(of_length([1, 1, 1, [1.0, 0]], [100, 16384, 18432, 20480, 30000]), {}, {})
    assert shaped["turn.format"].tolist() == [0, 0, -0.5, -1, -1]
    assert shaped["seat.outcome"].tolist() == [1, 1, 0.5, -1]


def test_discounts_of_places():
    decayed = LogDecay().channels(group_of_matches([[1.0, 1.0, 1.0]]), {}, {})
    assert decayed["turn.game"] == pytest.approx([1, 0.63093, 0.5], abs=1e-5)


def test_cosine_length():
    """A win at half the longest earns .75, at a tenth .987764; a loss the negation; longer than the longest counts as it."""
    batch = of_length([1, 1, -1, -1, 1], [50, 10, 50, 10, 900])
    found = worth(CosineLength(longest=100, weight=1), batch)
    assert found == pytest.approx([0.75, 0.987764, -0.75, -0.987764, 0.5], abs=1e-6)


def test_relative_length():
    """Lengths 200, 500, 800: wins earn [.5,0,-.5], losses [0,0,-.5]; equal lengths nothing."""
    assert worth(RelativeLength(), of_length([1, 1, 1], [200, 500, 800])) - 1 == pytest.approx([0.5, 0, -0.5])
    assert worth(RelativeLength(), of_length([0, 0, 0], [200, 500, 800])) == pytest.approx([0, 0, -0.5])
    assert worth(RelativeLength(), of_length([1, 0, 1], [5, 5, 5])).tolist() == [1, 0, 1]


def test_unlikeliness():
    batch = group_of_matches([1, 1, 0, 1], columns={"turn.logp": np.asarray([-1.0, -3, -2, -2.5])})
    assert worth(Unlikeliness(), batch) == pytest.approx([0.8125, 1, 0, 0.9375])
    assert compared(Unlikeliness(), batch) == pytest.approx([0.26887, 0.67216, -1.47876, 0.53773], abs=1e-5)
    lost = batch.with_columns(**{"seat.outcome": np.asarray([-1.0, -1, -1, -1])})
    assert worth(Unlikeliness(), lost).tolist() == [-1] * 4, "a likely loss is not made good"


def test_confidence():
    """c = [.9,.8,.97,.99]: .97 is taken for .95, their mean over the winners is .883333, so the second misses it."""
    batch = group_of_matches([1, 1, 1, 0], columns={"turn.reference": np.log([0.9, 0.8, 0.97, 0.99])})
    assert worth(Confidence(), batch).tolist() == [1.5, 1, 1.5, 0]
    assert compared(Confidence(), batch, Standardise(eps=1e-4)) == pytest.approx([0.70701, 0, 0.70701, -1.41401], abs=1e-5)
    edge = batch.with_columns(**{"turn.reference": np.log([0.95, 0.935, 0.95, 0.5])})
    assert worth(Confidence(), edge).tolist() == [1.5, 1.5, 1.5, 0], "a hundredth below the mean is near enough"
    assert worth(Confidence(slack=0), edge).tolist() == [1.5, 1, 1.5, 0]


@pytest.mark.parametrize(
    ("right", "expected"),
    [([1, 1, 0, 0], [0.84679, 0.88484, -0.84679, -0.88484]), ([1, 1, 1, 1], [-0.38727, 1.16181, 0.38727, -1.16181])],
)
def test_mixture_with_diversity(right, expected):
    """Diversity [.6,.8,.7,.5], a tenth of the reward; where all are right it alone compares."""
    mixed = Diversity().mixed(np.asarray(right, float), np.asarray([0.6, 0.8, 0.7, 0.5]))
    assert advantage(group_of_matches(mixed.tolist()), Standardise()) == pytest.approx(expected, abs=1e-5)


def at_views(rewards, keys, actions):
    return group_of_matches(rewards, columns={"turn.key": np.asarray(keys), "turn.action": np.asarray(actions)})


def test_diversity_is_the_share_of_others_moves():
    batch = at_views([1, 1, 1, [1.0, 0.0]], [0, 0, 0, 0, 1], [2, 2, 2, 0, 5])
    assert diversity(batch) == pytest.approx([0.25, 0.25, 0.25, 0.75, 0])
    assert worth(Diversity(), batch) == pytest.approx(0.9 + 0.1 * np.asarray([0.25, 0.25, 0.25, 0.375]))
    assert compared(Diversity(), batch)[3] > 0.5, "a group of equal outcomes still compares"


def test_progress_by_hand():
    """Losers at 1, 2 and 3 from the winners' centre, two winners: r [.59598,.3,.00402]."""
    assert Progress().earned(np.asarray([1.0, 2, 3])) == pytest.approx([0.59598, 0.3, 0.00402], abs=1e-5)
    assert Progress().earned(np.asarray([2.0, 2])).tolist() == [0.3, 0.3]
    rewards = [1, 1, [0, 0.0], [0, 0, 0.0], [0, 0, 0, 0.0]]
    batch = at_views(rewards, [7, 7, 7, 8, 7, 8, 8, 7, 8, 8, 8], [0] * 11)
    assert worth(Progress(), batch) == pytest.approx([1, 1, 0.59598, 0.3, 0.00402], abs=1e-5)
    found = compared(Progress(), batch)[[0, 1, 2, 4, 7]]
    assert found == pytest.approx([0.96151, 0.96151, 0.03659, -0.64101, -1.31861], abs=1e-5)


def test_progress_needs_both_kinds_and_a_trace():
    assert worth(Progress(), at_views([1, 2], [0, 1], [0, 0])).tolist() == [1, 1]
    assert worth(Progress(), at_views([0, -2], [0, 1], [0, 0])).tolist() == [0, 0]
    assert worth(Progress(), at_views([1, -1], [0, -1], [0, 0])).tolist() == [1, 0], "a loser that met no known view"


def test_clusters_of_winners():
    """Two near pairs make two centres, the odd one out is noise; where no two are near, the mean of all is the centre."""
    rows = np.asarray([[0.0, 0], [0, 0.1], [9, 9], [9, 9.1], [30, -40]])
    assert centres(rows, 0.5) == pytest.approx(np.asarray([[0, 0.05], [9, 9.05]]))
    chain = np.asarray([[0.0], [1.0], [2.0], [3.0]])
    assert centres(chain, 1.0).tolist() == [[1.5]], "neighbours of neighbours are one cluster"
    assert centres(np.asarray([[0.0], [10.0]]), 0.5).tolist() == [[5.0]]


def voted(answers, game="tiny_hanabi", seats=1):
    batch = batch_of([[[0.0]] * seats for _ in range(len(answers) // seats)]).with_columns(**{"turn.action": np.asarray(answers)})
    return replace(batch, tables={**batch.tables, "game": [game]}).with_columns(**{"match.seed": np.zeros(len(batch), np.uint64)})


def test_frequency_by_hand():
    """Votes A, A, A, B: H / ln 2 = .811278, so [.14154 x 3, -.35846]; a unanimous group has no entropy."""
    batch = voted([0, 0, 0, 1])
    assert worth(Frequency(), batch) == pytest.approx([0.14154] * 3 + [-0.35846], abs=1e-5)
    assert compared(Frequency(), batch) == pytest.approx([0.5, 0.5, 0.5, -1.5])
    assert worth(Frequency(), voted([2, 2, 2])).tolist() == [1, 1, 1]
    assert compared(Frequency(weight=0), batch) == pytest.approx(compared(Frequency(), batch)), "the same for all of a group"


def test_consensus_by_hand():
    """Voter 1 says A, A, A, B (sure .75), voter 2 B, B, C, A (sure .5): A 2.75, B 1.75, C .5, so A is right."""
    first, second = [0, 0, 0, 1], [1, 1, 2, 0]
    batch = voted([answer for pair in zip(first, second, strict=True) for answer in pair], seats=2)
    assert worth(Consensus(), batch).reshape(4, 2).T.tolist() == [[1, 1, 1, 0], [0, 0, 0, 1]]
    assert worth(Consensus(), voted([1, 0, 0, 1], seats=2)).tolist() == [0, 1, 1, 0], "a tie goes to the smallest number"


@pytest.mark.parametrize("vote", [Frequency(), Consensus()])
def test_opponents_hold_no_votes(vote):
    with pytest.raises(Unsuitable, match=r"reward by vote .* needs a team game; kuhn_poker is zero_sum"):
        worth(vote, voted([0, 1], "kuhn_poker"))


def in_arms(rewards, arm, **columns):
    return group_of_matches(rewards, columns={"seat.arm": np.asarray(arm, bool), **columns})


WITH = [True] * 4 + [False] * 4


def test_conditional_bonus_by_hand():
    """.75 of the arm win and .25 of the others: the whole arm earns .5 more."""
    batch = in_arms([1, 1, 1, 0, 1, 0, 0, 0], WITH)
    assert worth(Conditional(), batch).tolist() == [1.5, 1.5, 1.5, 0.5, 1, 0, 0, 0]
    expected = [1.06066] * 3 + [-0.35355, 0.35355] + [-1.06066] * 3
    assert compared(Conditional(), batch) == pytest.approx(expected, abs=1e-5)
    worse = batch.with_columns(**{"seat.arm": ~batch["seat.arm"]})
    assert worth(Conditional(), worse).tolist() == [1, 1, 1, 0, 0.5, -0.5, -0.5, -0.5]
    assert worth(Conditional(), in_arms([1, 0, 1, 0], [True, True, False, False])).tolist() == [1, 0, 1, 0], "no difference, no bonus"
    assert worth(Conditional(), in_arms([1, 1], [True, True])).tolist() == [1, 1], "nothing to compare with"


@pytest.mark.parametrize(("wrong", "long", "short", "miss"), [(-1.0, 0.29289, 0.76151, -1.5816), (0.0, 0.10029, 0.90258, -1.5043)])
def test_adaptive_reasoning_by_hand(wrong, long, short, miss):
    """Easy: of the long [1,1,0,1], of the short [1,1,1,0]; short wins earn 1.5 and long ones 1."""
    batch = in_arms([1, 1, 0, 1, 1, 1, 1, 0], WITH)
    found = compared(Adaptive(wrong=wrong), batch)
    assert found == pytest.approx([long, long, miss, long, short, short, short, miss], abs=1e-5)
    hard = worth(Adaptive(), in_arms([1, 0, 0, 0, 1, 0, 0, 0], WITH))
    assert hard.tolist() == [1.5, -1, -1, -1, 1, -1, -1, -1]


def test_how_arms_are_told():
    batch = at_views([1, [0, 0.0], 1], [0, 0, 1, 0], [2, 0, 1, 0])
    assert ArmByMove(moves=(1, 2)).channels(batch, {}, {})["seat.arm"].tolist() == [True, True, False]
    assert ArmByLength().channels(of_length([1, 1, 1], [2, 3, 10]), {}, {})["seat.arm"].tolist() == [False, False, True]
    tagged = replace(batch, tables={**batch.tables, "tags": [json.dumps({"arm": "think"}), "{}"]})
    tagged = tagged.with_columns(**{"match.tags": np.asarray([0, 1, 0])})
    assert ArmByTag(value="think").channels(tagged, {}, {})["seat.arm"].tolist() == [True, False, True]


def judged(verdicts, referees):
    none = np.full(len(verdicts), -1)
    return group_of_matches(verdicts, columns={"seat.referee": np.asarray(referees), "seat.appeal": none})


def one_referee(form):
    return Corrected(form=form, false_positive=(0.1,), false_negative=(0.2,))


def test_corrections_by_hand():
    batch = judged([1, 0, 0, 1], [0] * 4)
    assert worth(one_referee("backward"), batch) == pytest.approx([1.28571, -0.14286, -0.14286, 1.28571], abs=1e-5)
    assert worth(one_referee("forward"), batch) == pytest.approx([0.2, -0.8, -0.8, 0.2])


def test_constant_corrections_are_undone_by_a_deviation():
    batch = judged([1, 0, 0, 1], [0] * 4)
    for form in ("backward", "forward"):
        assert compared(one_referee(form), batch) == pytest.approx(advantage(batch), abs=1e-9)
    plain = advantage(batch, Centre())
    assert compared(one_referee("backward"), batch, Centre()) == pytest.approx(plain / 0.7)
    assert compared(one_referee("forward"), batch, Centre()) == pytest.approx(plain)


def test_corrections_of_several_referees_are_not():
    two = Corrected()
    batch = judged([1, 0, 0, 1], [0, 0, 1, 1])
    assert worth(two, batch) == pytest.approx([1.28571, -0.14286, -0.5, 1.16667], abs=1e-5)
    assert compared(two, batch) == pytest.approx([0.91914, -0.65653, -1.05045, 0.78784], abs=1e-5)


def test_corrections_are_right_on_average():
    """Backward: the truth. Forward: 0 for a win, -(1 - f - m) for a loss. Within four standard errors of 40000 matches each."""
    won = np.tile([1.0, -1.0], 40000)
    batch = group_of_matches(won.tolist(), list(range(80000)))
    rates = {"false_positive": (0.1,), "false_negative": (0.2,)}
    verdicts = Referees(**rates).channels(batch, {}, {})
    backward, forward = (Corrected(form=form, **rates).channels(verdicts, {}, {})["seat.outcome"] for form in ("backward", "forward"))
    assert backward[won > 0].mean() == pytest.approx(1, abs=0.012)
    assert backward[won < 0].mean() == pytest.approx(0, abs=0.009)
    assert forward[won > 0].mean() == pytest.approx(0, abs=0.009)
    assert forward[won < 0].mean() == pytest.approx(-0.7, abs=0.007)


def test_missed_wins_are_known_from_appeals():
    assert missed_rate(6, 30) == pytest.approx(0.166667, abs=1e-6)
    won = np.where(np.arange(40000) % 3 > 0, 1.0, -1.0)
    batch, memory = group_of_matches(won.tolist(), list(range(40000))), {}
    exact = Referees(false_positive=(0.0, 0.0), false_negative=(0.2, 0.1), appeals=0.5)
    learned = Corrected(false_positive=(0.0, 0.0), false_negative=None)
    found = learned.channels(exact.channels(batch, {}, {}), {}, memory)
    told = [missed_rate(memory[f"referee/{k}/overturned"], memory[f"referee/{k}/accepted"]) for k in (0, 1)]
    assert told == pytest.approx([0.2, 0.1], abs=0.015)
    assert found["seat.outcome"].max() == pytest.approx(1 / (1 - told[0]))


def test_every_referee_has_both_rates():
    with pytest.raises(UserError, match="2 referees and false_negative of 1"):
        worth(Referees(false_negative=(0.1,)), group_of_matches([1]))


members = st.lists(st.tuples(st.integers(-1, 1), st.floats(-3, -0.01), st.booleans()), min_size=2, max_size=8)


@given(members)
def test_without_their_weight_rewards_leave_grpo(members):
    rewards, logp, arm = zip(*members, strict=True)
    n = np.arange(len(rewards))
    columns = {"turn.logp": np.asarray(logp), "turn.reference": np.asarray(logp), "turn.action": n, "turn.length": n + 1.0}
    batch = in_arms(list(rewards), arm, **columns)
    plain = batch["seat.outcome"]
    idle = (Unlikeliness(weight=0), Confidence(share=0), Diversity(share=1), Conditional(margin=1), RelativeLength(weight=0))
    for transform in idle:
        assert worth(transform, batch) == pytest.approx(plain), transform


def test_which_still_teach_in_a_group_of_equal_outcomes():
    n = 4
    columns = {"turn.logp": -np.arange(1.0, 5), "turn.action": np.asarray([0, 0, 0, 1]), "turn.length": np.arange(n) * 10.0}
    batch = group_of_matches([1] * n, columns=columns)
    for transform in (Unlikeliness(), Diversity(), CosineLength(), RelativeLength()):
        assert abs(compared(transform, batch)).max() > 0.5, transform
    assert compared(Progress(), batch).tolist() == [0] * n
