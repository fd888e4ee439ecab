"""Minimax, MCTS, ISMCTS and CFR: as strong as they should be, equal for equal seeds, and refused where they would be wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from marl_llm import registry
from marl_llm.agent import Agent, Request
from marl_llm.errors import UserError
from marl_llm.exact import exploitability, join, policy_of, results
from marl_llm.matches import round_robin
from marl_llm.play import play
from marl_llm.records import Batch
from marl_llm.seeding import fold
from marl_llm.tree import tree_of


def request(spec: str, rows: int = 12, seed: int = 0) -> Request:
    """The first decisions of ``rows`` matches."""
    boards = registry.game(spec).boards(rows)
    boards.start(np.arange(rows), np.arange(rows).astype(np.uint64))
    row, seat = boards.acting()
    return Request(
        row,
        seat,
        0 * row,
        fold(seed, row, seat),
        boards.views(row, seat),
        boards.legal(row, seat),
        [None] * len(row),
        np.zeros(len(row), np.int8),
    )


class Pool:
    def resolve(self, player: str) -> Agent:
        return registry.agent(player)


def scores(spec: str, agents: tuple[str, str], rounds: int) -> Any:
    """Mean return of the first agent against the second, over both seatings."""
    batch = Batch.concat(list(play(round_robin(spec, agents, 2, rounds, 1), Pool(), registry.game)))
    mine = batch["seat.player"] == batch.tables["player"].index(agents[0])
    return batch["seat.return"][mine]


def test_minimax_is_perfect_and_splits_ties_evenly() -> None:
    tree = tree_of(registry.game("tic_tac_toe"))
    policy = policy_of(tree, registry.agent("minimax"))
    assert exploitability(tree, policy) == pytest.approx(0, abs=1e-12)
    rows = [policy[tree.legal.starts[i] : tree.legal.starts[i + 1]] for i in range(len(tree.keys))]
    assert all(len(set(row[row > 0].tolist())) == 1 for row in rows)
    first = rows[tree.infoset[0]]
    np.testing.assert_allclose(first, 1 / 9)  # every first move draws
    corner = tree.keys.index("1:x..\n...\n...")
    assert rows[corner].tolist() == [0, 0, 0, 1, 0, 0, 0, 0]  # only the centre draws after a corner
    assert scores("tic_tac_toe", ("minimax", "random"), 20).min() >= 0


def test_minimax_never_loses() -> None:
    tree = tree_of(registry.game("tic_tac_toe"))
    minimax = policy_of(tree, registry.agent("minimax"))
    wins = []
    for seat in (0, 1):
        both = [tree.uniform_policy()] * 2
        both[seat] = minimax
        win, draw, loss = results(tree, join(tree, both))[seat].tolist()
        assert loss == 0
        assert win + draw == pytest.approx(1)
        wins.append(win)
    assert 0.9 < wins[1] + 0.15 < wins[0] + 0.15 < 1.15
    assert results(tree, minimax).tolist() == [pytest.approx([0, 1, 0])] * 2


@pytest.mark.parametrize(("spec", "bar"), [("kuhn_poker", 0.01), ("leduc_poker", 0.1), ("kuhn_poker(players=3)", 0.01)])
def test_cfr_is_near_equilibrium(spec: str, bar: float) -> None:
    tree = tree_of(registry.game(spec))
    assert exploitability(tree, policy_of(tree, registry.agent("cfr"))) < bar


def test_cfr_plays_its_policy() -> None:
    agent = registry.agent("cfr")
    asked = request("kuhn_poker", 4000)
    policy = agent.policy(asked)
    np.testing.assert_allclose(policy.sum(), 1)
    agent.submit(asked)
    (decision,) = agent.poll(0)
    keys = asked.views.keys()
    for key in np.unique(keys).tolist():
        mine = keys == key
        bet = policy.data.reshape(-1, 2)[mine][0, 1]
        assert abs((decision.action[mine] == 1).mean() - bet) < 4 * (0.25 / mine.sum()) ** 0.5


@pytest.mark.parametrize(("spec", "agent", "bar"), [("connect_four", "mcts:60", 0.8), ("leduc_poker", "ismcts:60", 0.5)])
def test_search_beats_random(spec: str, agent: str, bar: float) -> None:
    assert scores(spec, (agent, "random"), 20).mean() > bar


@pytest.mark.parametrize(
    ("spec", "agent"), [("connect_four", "mcts:30"), ("leduc_poker", "ismcts:30"), ("tic_tac_toe", "minimax"), ("kuhn_poker", "cfr")]
)
def test_a_decision_is_a_function_of_its_seed(spec: str, agent: str) -> None:
    asked = request(spec)
    whole = registry.agent(agent).decide(asked).action  # type: ignore[attr-defined]
    one = registry.agent(agent)
    alone = [one.decide(asked.take(np.asarray([i]))).action[0] for i in reversed(range(len(asked)))]  # type: ignore[attr-defined]
    assert whole.tolist() == alone[::-1]
    other = registry.agent(agent).decide(request(spec, seed=1)).action  # type: ignore[attr-defined]
    assert whole.tolist() != other.tolist() or spec == "connect_four"


@pytest.mark.parametrize(
    ("spec", "agent", "line"),
    [
        ("kuhn_poker", "mcts:10", "would see the hidden information of kuhn_poker: use ismcts:10"),
        ("tic_tac_toe", "ismcts:10", "hides nothing: use mcts:10"),
        ("openspiel:liars_dice", "ismcts:10", "does not resample"),
        ("openspiel:goofspiel", "mcts:10", "they move at once"),
        ("openspiel:matrix_rps", "ismcts:10", "they move at once"),
        ("openspiel:matrix_rps", "cfr", "they move at once"),
        ("openspiel:2048", "mcts:10", "returns only at its end"),
        ("kuhn_poker", "minimax", "use cfr or ismcts"),
        ("openspiel:pig", "minimax", "use mcts"),
        ("connect_four", "minimax", "more than 2,000,000 positions: use mcts"),
        ("tic_tac_toe", "cfr", "use minimax or mcts"),
        ("openspiel:liars_dice", "cfr", "more than 50,000 positions: use ismcts"),
        ("public_goods", "cfr", "plays OpenSpiel games only, and public_goods"),
        ("public_goods", "mcts:10", "plays OpenSpiel games only"),
        ("public_goods", "ismcts:10", "plays OpenSpiel games only"),
        ("public_goods", "minimax", "plays OpenSpiel games only"),
    ],
)
def test_refusals_name_what_fits(spec: str, agent: str, line: str) -> None:
    asked = request(spec, 2)
    with pytest.raises(UserError, match=line) as caught:
        registry.agent(agent).submit(asked)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["mcts", "ismcts:", "mcts:many", "ismcts:0", "mcts:-3"])
def test_search_needs_a_number(name: str) -> None:
    with pytest.raises(UserError, match="needs a number of simulations a move, such as"):
        registry.agent(name)
