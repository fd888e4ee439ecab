"""Published methods against their worked numbers, their properties, and short real training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from algorithms.composed import Composed
from algorithms.credit import RunningBaseline, SeatMean, TurnLevel
from algorithms.estimators import Centre, Standardise
from algorithms.gae import BiLevelGAE, TurnGAE, whitened
from algorithms.losses import Clipped, Reinforce, weights_of
from algorithms.parts import Choices
from algorithms.recipes.marshal_code import ReleasedPipeline
from algorithms.terms import Term, Terms
from marl_llm import registry
from marl_llm.agents.pool import AgentPool
from marl_llm.algorithm import Setup
from marl_llm.checkpoint import load_json
from marl_llm.errors import UserError
from marl_llm.play import play
from marl_llm.records import Batch
from tests.algorithms.batches import batch_of

RECIPES = ["mars", "mars-wide", "marshal-paper", "marshal-code", "spiral", "unstable", "grpo", "turn-ppo"]
OUTCOMES = [1, -1, 1, 1]


def advantage(credit, batch, memory=None):
    return credit.assign(batch, {} if memory is None else memory).advantage


def grouped(estimator=None):
    return Terms(terms=(Term(estimator=estimator or Standardise()),))


def zero_sum(outcomes):
    return batch_of([[[r], [-r]] for r in outcomes])


def on_one_deal(batch):
    return batch.with_columns(**{"match.seed": np.zeros(len(batch), np.uint64)})


def test_marshal_as_published_centres_each_seat():
    centred = advantage(SeatMean(), zero_sum(OUTCOMES)).reshape(4, 2).T
    assert centred == pytest.approx(np.asarray([[0.5, -1.5, 0.5, 0.5], [-0.5, 1.5, -0.5, -0.5]]))


def test_marshal_s_baseline_does_not_know_the_turn():
    """[0,0,1] and [0,1,0]: returns-to-go [1,1,1], [1,1,0], mean 5/6; centred per turn they would be [0,0,.5], [0,0,-.5]."""
    batch = batch_of([[[0, 0, 1]], [[0, 1, 0]]])
    assert advantage(SeatMean(), batch) == pytest.approx(np.asarray([1, 1, 1, 1, 1, 0]) - 5 / 6)


def test_marshal_as_released_step_by_step():
    """One seat, rewards [0,1] and [0,-1] and [1,1], against the five steps written out."""
    rows = [[0.0, 1.0], [0.0, -1.0], [1.0, 1.0]]
    flat = np.concatenate(rows)
    centred = flat - flat.mean()
    white = (centred - centred.mean()) / np.sqrt(centred.var(ddof=1) + 1e-8)
    returns = np.concatenate([[a + b, b] for a, b in white.reshape(3, 2)])
    shifted = returns - np.unique(np.append(returns, 0.0)).mean()
    expected = (shifted - shifted.mean()) / np.sqrt(shifted.var(ddof=1) + 1e-8)
    assert advantage(ReleasedPipeline(), batch_of([[row] for row in rows])) == pytest.approx(expected)


def test_marshal_as_released_counts_every_distinct_value_once():
    """Outcomes 1, -1, 1, 1 of a seat, centred: .5 and -1.5; the mean of these and the 0 of padding is -1/3, so 5/6 and -7/6 are left."""
    released = advantage(ReleasedPipeline(), zero_sum(OUTCOMES)).reshape(4, 2).T
    assert released / released[0, 0] == pytest.approx(np.asarray([[5, -7, 5, 5], [-5, 7, -5, -5]]) / 5)


def test_marshal_as_released_over_tokens():
    """Three trajectories, two of them alike; a token that the rules force counts nowhere; the reward of a turn of such alone, forced
    and last, is borne by the turn before."""
    batch = with_tokens(batch_of([[[0.0, 1.0]], [[0.0, 1.0]], [[-1.0, 0.0, 2.0]]]), [2, 2, 2, 2, 2, 2, 1], np.zeros(13))
    learned = np.ones(13, bool)
    learned[[1, 12]] = False
    batch = batch.with_columns(**{"token.learn": learned})
    turns = np.asarray([0, 1, 0, 1, -1, 0, 2], float)
    turns -= turns.mean()
    rows = [[turns[0], 0, turns[1]], [0, turns[2], 0, turns[3]], [0, turns[4], 0, turns[5] + turns[6]]]
    flat = np.concatenate(rows)
    white = [[(x - flat.mean()) / np.sqrt(flat.var(ddof=1) + 1e-8) for x in row] for row in rows]
    returns = np.concatenate([np.cumsum(row[::-1])[::-1] for row in white])
    shifted = returns - np.mean(sorted({0.0, *returns.tolist()}))
    expected = np.zeros(13)
    expected[learned] = (shifted - shifted.mean()) / np.sqrt(shifted.var(ddof=1) + 1e-8)
    assert advantage(ReleasedPipeline(), batch) == pytest.approx(expected)


def test_centring_before_the_sum_leaves_a_baseline_that_grows_with_turns_left():
    """Released: sum of (r - m) = G - (K - k + 1) m. So a match of three unpaid turns has no flat advantage, as published it has."""
    batch = batch_of([[[0, 0, 0]], [[3.0]]])
    released, published = advantage(ReleasedPipeline(), batch)[:3], advantage(SeatMean(), batch)[:3]
    assert np.ptp(published) == 0
    assert np.ptp(released) > 0.5


def test_spiral_s_running_mean():
    """alpha 0.95 from 0: outcomes 1, 1, -1 of a seat get 1 - 0, 1 - .05, -1 - .0975; all turns of a match the same."""
    memory = {}
    batch = batch_of([[[0.0, 1.0]], [[1.0]], [[-1.0]]])
    assert advantage(RunningBaseline(rate=0.05), batch, memory) == pytest.approx([1, 1, 0.95, -1.0975])
    assert memory == {"a/0": pytest.approx(0.95 * 0.0975 - 0.05)}
    assert advantage(RunningBaseline(rate=0.05, discount=0.5), batch_of([[[0.0, 0.0, 1.0]]]), {}) == pytest.approx([0.25, 0.5, 1])


def test_running_means_do_not_depend_on_the_order_in_which_matches_finish():
    batch = batch_of([[[float(r)], [-float(r)]] for r in range(7)])
    batch = batch.with_columns(**{"match.id": np.asarray([5, 1, 6, 0, 3, 2, 4], np.uint64)})
    order, a, b = np.random.default_rng(0).permutation(7), {}, {}
    first, second = (advantage(RunningBaseline(), x, memory).reshape(7, 2) for x, memory in ((batch, a), (batch.take(order), b)))
    assert a == b
    assert first[order].tolist() == second.tolist()


@pytest.mark.parametrize("credit", [RunningBaseline(), grouped()])
def test_a_seat_that_never_moved_has_no_outcome(credit):
    played, memory = batch_of([[[1.0], [2.0]], [[3.0], []], [[5.0], [4.0]]]), {}
    a = advantage(credit, on_one_deal(played), memory)
    alone = batch_of([[[2.0]], [[4.0]]])
    assert a[[1, 4]] == pytest.approx(advantage(credit, on_one_deal(alone)))


def test_unstable_baselines_subtract_what_has_taken_in_the_outcome():
    """tau 0.001: the first outcome 1 leaves 0.999; then turns are standardised with their rewards for form."""
    plain = RunningBaseline(rate=0.001, updated_first=True)
    assert advantage(plain, batch_of([[[1.0]], [[1.0]]]), {}) == pytest.approx([0.999, 1 - 0.001999])
    batch = batch_of([[[1.0]], [[-1.0]]]).with_columns(**{"turn.format": np.asarray([2.5, -1.0])})
    summed = np.asarray([0.999 + 2.5, -1 - (0.000999 - 0.001) - 1.0])
    expected = (summed - summed.mean()) / summed.std()
    assert advantage(replace(plain, steps=True), batch, {}) == pytest.approx(expected)
    assert advantage(replace(plain, steps=True, rate=0.0), batch_of([[[1.0]], [[1.0]]]), {}).tolist() == [0, 0], "equal values"


def test_grpo_standardises_one_seat_on_one_deal():
    """[1,0,0]: ddof 1 gives 1.1547, -.57735; ddof 0 gives 1.41421, -.70711; every turn of a match gets it."""
    batch = on_one_deal(batch_of([[[1.0]], [[0.0, 0.0]], [[0.0]]]))
    assert advantage(grouped(Standardise(eps=0.0)), batch) == pytest.approx([1.1547, -0.57735, -0.57735, -0.57735], abs=1e-4)
    assert advantage(grouped(Standardise(eps=0.0, ddof=0)), batch)[0] == pytest.approx(2**0.5, abs=1e-5)
    alone = batch_of([[[2.0]], [[2.0]]])
    assert advantage(grouped(), alone).tolist() == [0, 0]
    assert advantage(grouped(Standardise(alone="raw")), alone).tolist() == [2, 2]
    assert advantage(grouped(), on_one_deal(alone)).tolist() == [0, 0], "a group of equal outcomes"


@pytest.mark.parametrize(
    ("credit", "expected"),
    [
        (grouped(), [1.5, -0.5]),
        (grouped(Standardise(ddof=0)), [1.73205, -0.57735]),
        (grouped(Centre()), [0.75, -0.25]),
        (TurnLevel(baseline="seat"), [1, -1 / 3]),
    ],
    ids=["GRPO", "GRPO ddof 0", "Dr. GRPO", "RLOO"],
)
def test_one_success_in_four(credit, expected):
    batch = on_one_deal(batch_of([[[r]] for r in (1.0, 0, 0, 0)]))
    assert advantage(credit, batch) == pytest.approx([expected[0], *[expected[1]] * 3], abs=1e-5)


def test_zero_sum_seats_do_not_share_a_group():
    """Per seat [.5, .5, .5, -1.5]; all eight outcomes together have mean 0, which is no baseline at all."""
    batch = on_one_deal(zero_sum([1, 1, 1, -1]))
    assert advantage(grouped(Centre()), batch).reshape(4, 2)[:, 0] == pytest.approx([0.5, 0.5, 0.5, -1.5])
    joint = advantage(TurnLevel(baseline="game", shrink=0.0), batch).reshape(4, 2)
    assert joint == pytest.approx(8 / 7 * np.asarray([[r, -r] for r in (1, 1, 1, -1)]))


@pytest.mark.parametrize("credit", [SeatMean(), ReleasedPipeline(), grouped(), TurnLevel(), RunningBaseline(steps=True, rate=0.0)])
def test_equal_outcomes_teach_nothing(credit):
    assert advantage(credit, on_one_deal(batch_of([[[0.3]]] * 5))) == pytest.approx([0] * 5, abs=1e-6)


@given(st.lists(st.integers(-5, 5), min_size=2, max_size=9), st.floats(0.1, 9), st.floats(-9, 9))
def test_grpo_is_affine_invariant(outcomes, scale, shift):
    a, b = (
        advantage(grouped(Standardise(eps=0.0)), on_one_deal(batch_of([[[float(r)]] for r in x])))
        for x in (outcomes, np.asarray(outcomes) * scale + shift)
    )
    if len(set(outcomes)) > 1:
        assert a == pytest.approx(b, abs=1e-6)


@given(st.lists(st.floats(-3, 3), min_size=2, max_size=9))
def test_leave_one_out_is_the_centred_group_stretched(outcomes):
    batch = on_one_deal(batch_of([[[r]] for r in outcomes]))
    n = len(outcomes)
    rloo = advantage(TurnLevel(baseline="seat"), batch)
    assert rloo == pytest.approx(n / (n - 1) * advantage(grouped(Centre()), batch), abs=1e-9)


def test_outcome_equals_return_to_go_where_reward_comes_at_the_end():
    batch = batch_of([[[0, 0, 1.0], [0, -1.0]], [[0, -1.0], [0, 0, 1.0]]])
    a, b = advantage(TurnLevel(), batch), advantage(TurnLevel(to_go=False), batch)
    assert a.tobytes() == b.tobytes()
    paid_early = batch_of([[[1.0, 0.0]], [[0.0, 1.0]], [[0.0, 0.0]]])
    assert advantage(TurnLevel(), paid_early).tolist() != advantage(TurnLevel(to_go=False), paid_early).tolist()


def test_turn_gae_with_full_trace_is_return_minus_value():
    batch = batch_of([[[0.0, 0.0, 1.0]], [[0.0, -1.0]]]).with_columns(**{"turn.value": np.asarray([0.1, 0.2, 0.3, 0.0, -0.5])})
    found = TurnGAE(trace=1.0, normalise=False).assign(batch, {})
    assert found.advantage == pytest.approx([0.9, 0.8, 0.7, -1.0, -0.5])
    assert found.target == pytest.approx([1, 1, 1, -1, -1])
    one_step = TurnGAE(trace=0.0, normalise=False).assign(batch, {}).advantage
    assert one_step == pytest.approx([0.1, 0.1, 0.7, -0.5, -0.5])


def with_tokens(batch, lengths, value):
    starts = np.concatenate([[0], np.cumsum(lengths)])
    columns = {
        "token.value": np.asarray(value, float),
        "token.learn": np.ones(starts[-1], bool),
        "turn.value": np.asarray(value, float)[starts[:-1]],
    }
    return replace(batch, columns={**batch.columns, **columns}, starts={**batch.starts, "token": starts})


def test_bi_level_gae_by_hand():
    """Two turns of two and one tokens, g_H = 0.5, lambda = 1: turn advantages 2 - .4 = 1.6 and 1 + .5 (.4) - .2 + .5 (1.6) = 1.8; the
    first turn's tokens then get (1.8 + .2) - .1 (its first, through the last token's value) and 1.8."""
    batch = with_tokens(batch_of([[[1.0, 2.0]]]), [2, 1], [0.1, 0.2, 0.4])
    found = BiLevelGAE(discount=0.5).assign(batch, {})
    plain = np.asarray([1.8 + 0.2 - 0.1, 1.8, 1.6])
    assert found.advantage == pytest.approx(whitened(plain, np.ones(3, bool)))
    assert found.target == pytest.approx(plain + np.asarray([0.1, 0.2, 0.4]))


def test_a_turn_without_tokens_is_no_decision():
    """The random move after a fault earns 2 for the turn before it: returns from the spoken turns on are 8 and 5."""
    batch = with_tokens(batch_of([[[1.0, 2.0, 5.0]]]), [1, 0, 2], [0.3, -0.1, 0.4])
    batch = batch.with_columns(**{"turn.value": np.asarray([0.3, 0.0, -0.1])})
    assert BiLevelGAE(discount=1.0).assign(batch, {}).target == pytest.approx([8, 5, 5])
    found = TurnGAE(trace=1.0, normalise=False).assign(batch, {})
    assert found.target[[0, 2]] == pytest.approx([8, 5])
    assert found.advantage[[0, 2]] == pytest.approx([7.7, 5.1])


def test_bi_level_gae_does_not_need_rewards_at_turn_ends():
    silent = with_tokens(batch_of([[[0.0, 0.0]]]), [1, 1], [0.3, 0.7])
    assert BiLevelGAE(discount=1.0).assign(silent, {}).target == pytest.approx([0.0, 0.0]), "lambda 1: targets are returns, 0"


def choices_of(turn, old):
    turn = np.asarray(turn)
    return Choices.of(
        np.arange(len(turn)), np.zeros(len(turn), np.int64), turn, torch.log(torch.tensor([[p, 1 - p] for p in old], dtype=torch.float64))
    )


def test_means_by_hand():
    """Two seats of one match; seat 0 has turns of 2 and 1 tokens, seat 1 one turn of 1 token."""
    batch = batch_of([[[0, 0.0], [0.0]]])
    choices = choices_of([0, 0, 1, 2], [0.5] * 4)
    assert weights_of("token", 1, choices, batch) == pytest.approx([1 / 4] * 4)
    assert weights_of("turn", 1, choices, batch) == pytest.approx([1 / 8, 1 / 8, 1 / 4, 1 / 2])
    assert weights_of("sequence", 1, choices, batch) == pytest.approx([1 / 6, 1 / 6, 1 / 6, 1 / 2])
    assert weights_of("constant", 10, choices, batch) == pytest.approx([1 / 30] * 4)


def clipped(loss, old, new, gain, turn=None, reference=None, batch=None):
    choices = choices_of(range(len(old)) if turn is None else turn, old)
    choices = choices if batch is None else choices.weighted(loss.weights(choices, batch))
    logp = torch.log(torch.tensor([[p, 1 - p] for p in new], dtype=torch.float64))
    away = None if reference is None else torch.log(torch.tensor([[p, 1 - p] for p in reference], dtype=torch.float64))
    return loss.value(logp, choices, torch.tensor(gain, dtype=torch.float64), away, 0.0)


def test_clipped_surrogate_by_hand():
    """Ratios 1.5, 0.5, 1.5, 0.5 with gains 1, 1, -1, -1: min keeps 1.2, 0.5, -1.5, -0.8; a dual clip at 1.4 stops the third at -1.4."""
    args = [0.4] * 4, [0.6, 0.2, 0.6, 0.2], [1.0, 1.0, -1.0, -1.0]
    loss, figures = clipped(Clipped(), *args)
    assert loss.item() == pytest.approx(-(1.2 + 0.5 - 1.5 - 0.8) / 4)
    assert figures["clipped"].item() == pytest.approx(1.0)
    assert clipped(Clipped(dual=1.4), *args)[0].item() == pytest.approx(-(1.2 + 0.5 - 1.4 - 0.8) / 4)
    assert clipped(Clipped(high=0.28), *args)[0].item() == pytest.approx(-(1.28 + 0.5 - 1.5 - 0.8) / 4)


@pytest.mark.parametrize(
    ("mean", "constant", "high", "expected"),
    [
        ("sequence", 1, 0.2, 0.0875),
        ("token", 1, 0.2, 0.433333),
        ("constant", 8, 0.2, 0.1625),
        ("sequence", 1, 0.28, 0.075),
        ("token", 1, 0.28, 0.425),
        ("constant", 8, 0.28, 0.159375),
    ],
)
def test_two_replies_by_hand(mean, constant, high, expected):
    """Ratios 1.25, .7 at gain 1 and 1, 1.1, .9, 1.5 at gain -1: losses -1.2 (clipped at 1.28: -1.25), -.7 and 1, 1.1, .9, 1.5."""
    ratio, gain = np.asarray([1.25, 0.7, 1, 1.1, 0.9, 1.5]), [1.0, 1, -1, -1, -1, -1]
    loss = Clipped(high=high, mean=mean, constant=constant)
    found, _ = clipped(loss, [0.5] * 6, 0.5 * ratio, gain, turn=[0, 0, 1, 1, 1, 1], batch=batch_of([[[0.0]], [[0.0]]]))
    assert found.item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("change", "gain", "expected"), [([0.1, 0.3], 1.0, -1.0004), ([-0.0002, -0.0006], -1.0, 0.9997)])
def test_ratio_of_a_turn_is_the_geometric_mean_of_its_tokens(change, gain, expected):
    """GSPO: exp(.2) = 1.2214 is clipped to 1.0004, exp(-.0004) = .9996 to .9997."""
    loss = Clipped(ratio="turn", low=3e-4, high=4e-4)
    assert clipped(loss, [0.5, 0.5], 0.5 * np.exp(change), [gain, gain], turn=[0, 0])[0].item() == pytest.approx(expected, abs=1e-7)
    free = clipped(Clipped(ratio="turn", low=1, high=1), [0.5, 0.5], 0.5 * np.exp(change), [gain, gain], turn=[0, 0])[0].item()
    assert free == pytest.approx(-gain * np.exp(np.mean(change)))


@pytest.mark.parametrize(("away", "expected"), [(0.1, 0.005171), (-0.2, 0.018731)])
def test_k3_penalty_by_hand(away, expected):
    loss, figures = clipped(Clipped(kl=0.2), [0.4], [0.4], [0.0], reference=[0.4 * np.exp(away)])
    assert figures["kl_reference"].item() == pytest.approx(expected, abs=1e-6)
    assert loss.item() == pytest.approx(0.2 * expected, abs=1e-6)


def test_reinforce_by_hand():
    loss, _ = clipped(Reinforce(), [0.4, 0.4], [0.5, 0.25], [1.0, -2.0])
    assert loss.item() == pytest.approx(-(np.log(0.5) - 2 * np.log(0.25)) / 2)


def small(name, games=("kuhn_poker",)):
    """A recipe's algorithm on a table, with few matches."""
    recipe = registry.recipe(name)
    sampler = replace(recipe.sampler, **({"deals": 32} if name == "grpo" else {"matches": 256}))
    rate = replace(recipe.learner.rate, start=0.05, end=0.05)
    return Composed(replace(recipe, sampler=sampler, learner=replace(recipe.learner, rate=rate)), Setup(games, registry.game, "tabular", 0))


def run(algorithm, steps):
    for step in steps:
        figures = algorithm.learn(Batch.concat(play(algorithm.plan(step), AgentPool(algorithm.agents), registry.game)))
    return figures


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_learns_and_resumes_bit_for_bit(name, tmp_path):
    """Folding the best card to a bet is plainly wrong, and every method unlearns it; and nothing that a method carries is lost."""
    whole, parts, rest = small(name), small(name), small(name)
    run(whole, range(24))
    run(parts, range(12))
    parts.save(tmp_path)
    rest.load(tmp_path)
    run(rest, range(12, 24))
    a, b = (x.policy.agent.logits.detach() for x in (whole, rest))
    assert torch.equal(a, b)
    assert whole.memory == rest.memory
    fold, call = a[whole.policy.agent.row["1:2b"], :2].softmax(0).tolist()
    assert call > 0.6 > fold, f"{name} folds the king to a bet with probability {fold:.2f}"


def test_running_means_are_kept(tmp_path):
    algorithm = small("spiral")
    run(algorithm, range(2))
    algorithm.save(tmp_path)
    assert load_json(tmp_path / "memory.json") == algorithm.memory
    assert set(algorithm.memory["credit"]) == {"kuhn_poker/0", "kuhn_poker/1"}


def test_groups_share_the_deal_and_not_the_draws():
    algorithm = small("grpo")
    planned = algorithm.plan(0)
    assert len({match.seed for match in planned}) == 32
    assert len({match.id for match in planned}) == 256
    batch = Batch.concat(play(planned, AgentPool(algorithm.agents), registry.game))
    first = batch["turn.action"][batch.starts["turn"][:-1][batch["seat.seat"] == 0]]
    same = [len(set(first[batch["match.seed"] == seed].tolist())) for seed in np.unique(batch["match.seed"])]
    assert np.mean(same) > 1.5, "eight matches of a deal do not all open alike"


def test_a_plan_without_matches_is_refused():
    recipe = registry.recipe("spiral")
    empty = replace(recipe, sampler=replace(recipe.sampler, matches=0))
    with pytest.raises(UserError, match=r"no matches: SelfPlay\(matches=0"):
        Composed(empty, Setup(("kuhn_poker",), registry.game, "tabular", 0)).plan(0)
