"""The sampled best response against the exact one: never above it but for chance, most of it where deals suffice."""

from __future__ import annotations

import numpy as np
import pytest

from marl_llm import registry
from marl_llm.agent import Immediate
from marl_llm.agents.random import RandomAgent
from marl_llm.exact import best_responses, expected_returns, policy_of
from marl_llm.ragged import Ragged
from marl_llm.sampled import sampled_response
from marl_llm.tree import tree_of


def exact_gains(spec, agent):
    tree = tree_of(registry.game(spec))
    policy = policy_of(tree, agent)
    return best_responses(tree, policy) - expected_returns(tree, policy)


class First(Immediate):
    """Plays the first legal action."""

    def policy(self, request):
        chances = np.zeros(len(request.legal.data))
        chances[request.legal.starts[:-1]] = 1
        return Ragged(chances, request.legal.starts)


def over_seeds(spec, agent, deals, seeds):
    """Figures of several seeds: [seeds, seats] means and lower ends of the gains, and every seed's exploitability."""
    found = [sampled_response(registry.game(spec), agent, deals, seed) for seed in range(seeds)]
    assert all(one.exploitability.mean == pytest.approx(np.mean([gain.mean for gain in one.gains])) for one in found)
    assert {one.exploitability.n for one in found} == {deals - deals // 2}
    mean, low = (np.asarray([[getattr(gain, end) for gain in one.gains] for one in found]) for end in ("mean", "low"))
    return mean, low


@pytest.mark.parametrize(
    ("spec", "deals", "most"), [("kuhn_poker", 2000, 0.9), ("leduc_poker", 16_000, 0.75), ("kuhn_poker(players=3)", 4000, 0.9)]
)
def test_below_the_exact_gain_and_most_of_it(spec, deals, most):
    """Each interval may lie above with one chance in 40, the mean of all not by more than its error allows."""
    exact, seeds = exact_gains(spec, RandomAgent()), 5
    mean, low = over_seeds(spec, RandomAgent(), deals, seeds)
    assert (low > exact).sum() <= 1
    assert (mean.mean(0) <= exact + 3 * mean.std(0) / seeds**0.5).all()
    assert mean.mean() > most * exact.mean()


def test_few_deals_promise_no_more_than_is_there():
    """Where the sample is far too small, what the fit believes in is luck, and on the deals it was fitted on that shows as gain."""
    exact, seeds = exact_gains("leduc_poker", registry.agent("cfr")), 12
    assert exact.mean() < 0.02
    mean, low = over_seeds("leduc_poker", registry.agent("cfr"), 400, seeds)
    assert (low > exact).sum() <= 1
    assert mean.mean() < exact.mean() + 2 * mean.mean(1).std() / seeds**0.5


def test_nothing_to_gain_against_perfect_play():
    found = sampled_response(registry.game("tic_tac_toe"), registry.agent("minimax"), 400, 0)
    assert max(gain.mean for gain in found.gains) <= 0


def test_equal_seeds_equal_estimates():
    first, again, other = (sampled_response(registry.game("kuhn_poker"), RandomAgent(), 400, seed) for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_search_plays_on_where_the_table_ends():
    """Connect four is too deep for a table of a few hundred matches against random play; a search as its base wins nearly all."""
    game = registry.game("connect_four")
    done: list[int] = []
    bare = sampled_response(game, RandomAgent(), 200, 0)
    searching = sampled_response(game, RandomAgent(), 200, 0, bases=[registry.agent("mcts:30")], advance=done.append)
    assert searching.exploitability.low > 0.8 > 0.4 > bare.exploitability.high
    assert sum(done) == 200


def test_an_agent_without_chance_of_its_own_is_beaten_by_heart():
    """Where the first action is always taken the first seat wins at once, so that all there is to gain is the second's 2."""
    found = sampled_response(registry.game("connect_four"), First(), 1000, 0)
    assert found.gains[0] == (0, 0, 0, 500)
    assert found.gains[1] == (2, 2, 2, 500)


def test_seats_that_are_exchangeable_are_measured_once():
    """A token given comes back to its giver as 0.5, so that giving nothing gains, whoever the seat is."""
    spec = "public_goods(seats=4,mpcr=0.5,levels=2,rounds=1)"
    game = registry.game(spec)
    found = sampled_response(game, RandomAgent(), 200, 0)
    assert len(found.gains) == (1 if game.info.anonymous else 4)
    assert found.gains[0].low > 0


def test_hidden_hands_of_a_team():
    """Hanabi keeps no information state here and cannot be resampled: the table alone, over each seat's own history."""
    hanabi = "openspiel:hanabi(players=2,colors=1,ranks=2,hand_size=2,max_information_tokens=2,max_life_tokens=1)"
    found = sampled_response(registry.game(hanabi), RandomAgent(), 2000, 0)
    assert found.exploitability.low > 0
