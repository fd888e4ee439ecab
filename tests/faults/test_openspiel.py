"""Faults that users of OpenSpiel reported, each as a test that ours does not repeat it.

The numbers are issues of google-deepmind/open_spiel unless another project is named.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
import pytest

from games.openspiel.boards import SpielBoards
from games.openspiel.family import game as spiel
from games.openspiel.game import OpenSpiel
from marl_llm import registry
from marl_llm.agent import ILLEGAL, Decision, Immediate, Request, answer
from marl_llm.agents.random import RandomAgent
from marl_llm.boards import pick
from marl_llm.check import check_game
from marl_llm.exact import exploitability
from marl_llm.game import Game, State
from marl_llm.matches import Match, Rules, self_play
from marl_llm.play import play
from marl_llm.records import FORFEIT, PLAYED, Batch
from marl_llm.seeding import fold, uniform
from marl_llm.tree import TooLarge, Tree, tree_of
from tests.faults.strict_games import STILL, STRICT


class Player:
    """A pool of one agent, for every name."""

    def __init__(self, agent: Any) -> None:
        self.agent = agent

    def resolve(self, player: str) -> Any:
        return self.agent


def played(spec: str, matches: int = 6, agent: Any = None, **match: Any) -> Batch:
    seats = registry.game(spec).info.seats
    plan = [Match(game=spec, seed=seed, players=("agent",) * seats, **match) for seed in range(matches)]
    return Batch.concat(list(play(plan, Player(agent or RandomAgent()), registry.game, in_flight=4)))


def descend(state: State, seed: int, stop: int = 10**9) -> list[tuple[str, Any]]:
    """Play at random, chance included, at most ``stop`` steps; the steps taken."""
    steps: list[tuple[str, Any]] = []
    while len(steps) < stop:
        u = uniform(seed, len(steps))
        if outcomes := state.chance():
            steps.append(("chance", pick(outcomes, u)))
        elif seats := state.to_act():
            steps.append(("move", {seat: state.legal(seat)[int(u * len(state.legal(seat)))] for seat in seats}))
        else:
            break
        follow(state, steps[-1:])
    return steps


def follow(state: State, steps: list[tuple[str, Any]]) -> State:
    for kind, what in steps:
        (state.apply_chance if kind == "chance" else state.apply)(what)
    return state


def seen(state: State) -> tuple[Any, ...]:
    """All that can be told of a position."""
    seats = state.to_act()
    views = [(state.view(seat).text, state.view(seat).key, list(state.legal(seat))) for seat in seats]
    return seats, views, state.view(None).text, list(state.returns()), list(state.chance())


# #702: an illegal action aborts inside C++ with an opaque message ----------------------------------------------------


class Illegal(Immediate):
    """Answers with what ``wrong`` makes of the legal actions of a row."""

    def __init__(self, wrong: Callable[[list[int], int], int]) -> None:
        super().__init__()
        self.wrong = wrong

    def decide(self, request: Request) -> Decision:
        n = request.views.game.info.action.n  # type: ignore[union-attr]
        return answer(request, np.asarray([self.wrong(request.legal[i].tolist(), n) for i in range(len(request))]))


WRONG = {
    "beyond": lambda legal, n: n + 7,
    "negative": lambda legal, n: -1,
    "not now": lambda legal, n: next((action for action in range(n) if action not in legal), n),
}
EVERY_KIND_OF_BOARDS = [
    *("kuhn_poker", "connect_four", "openspiel:goofspiel(num_cards=3)", "openspiel:matrix_rps", "openspiel:negotiation"),
    *("openspiel:coin_game", "openspiel:backgammon", "openspiel:python_block_dominoes", "openspiel:mfg_garnet(seats=3)"),
]


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("spec", EVERY_KIND_OF_BOARDS)
def test_illegal_actions_never_reach_openspiel(spec: str, wrong: str, capfd: pytest.CaptureFixture[str]) -> None:
    batch = played(spec, agent=Illegal(WRONG[wrong]), rules=Rules(retries=0, then="forfeit"))
    assert (batch["match.end"] == FORFEIT).all()
    assert (batch["turn.fault"] == ILLEGAL).any()
    again = played(spec, agent=Illegal(WRONG[wrong]), rules=Rules(retries=1, then="random"))
    assert (again["match.end"] == PLAYED).all()
    assert "OpenSpiel exception" not in capfd.readouterr().err


# #1446, #958: observations and legal actions asked for at chance nodes, or of who does not move ------------------------


def test_nothing_is_asked_at_chance_nodes_nor_of_those_who_do_not_move() -> None:
    spec = f"openspiel:{STRICT.short_name}"
    game = OpenSpiel(STRICT.short_name)
    check_game(game, matches=5).require()
    batch = played(spec, 20)
    assert (batch["match.end"] == PLAYED).all(), batch.tables["error"]
    assert np.unique(batch["seat.return"]).size > 3
    for boards in (game.boards(12), SpielBoards(game, 12)):
        boards.start(np.arange(12), np.arange(12, dtype=np.uint64))
        assert len(set(boards.views(*boards.acting()).texts())) == 3


# #603: a simultaneous node where nobody has a move; #725: conversions that lose tensors -------------------------------


def test_a_match_is_over_where_nobody_can_move() -> None:
    game = registry.game(f"openspiel:{STILL.short_name}")
    check_game(game, matches=5).require()
    state = game.start(0)
    assert state.to_act() == (0, 1)
    state.apply({0: 2, 1: 0})
    assert state.to_act() == (1,), "a seat without a move does not act"
    state.apply({1: 1})
    assert state.to_act() == ()
    batch = played(f"openspiel:{STILL.short_name}", 12)
    assert (batch["match.end"] == PLAYED).all(), batch.tables["error"]
    assert (batch["seat.return"] != 0).any()
    assert len(batch["turn.seat"]) == 12 * 3


def test_simultaneous_games_are_played_natively_and_converted_ones_keep_their_tensors() -> None:
    native = registry.game("openspiel:goofspiel(num_cards=3)")
    assert native.start(0).to_act() in ((), (0, 1))
    converted = registry.game("openspiel:turn_based_simultaneous_game(game=goofspiel(num_cards=3))")
    vectors = set()
    for seed in range(4):
        state = converted.start(0)
        while descend(state, seed, 1):
            for seat in state.to_act():
                vectors.add(state.view(seat).vector.tobytes())
    assert len(vectors) > 3


# #1277, #778, #276, #88, #234: serialisation, random states and pickling ----------------------------------------------

KEPT = [
    *("breakthrough", "universal_poker", "negotiation", "tarok", "stones_and_gems", "hanabi", "backgammon", "goofspiel"),
    *("python_hangman", "python_liars_poker", "mfg_crowd_modelling(seats=4)", "tarok(players=4)"),
    *("universal_poker(betting=nolimit,numPlayers=3,numRounds=1,numSuits=2,numRanks=4,numHoleCards=1,blind=1 2 3,stack=9 9 9)",),
]


def specs() -> list[str]:
    return [f"openspiel:{name}" for name in KEPT]


@pytest.mark.parametrize("spec", specs())
def test_forks_have_the_same_future_and_share_nothing(spec: str) -> None:
    game = registry.game(spec)
    for seed, stop in enumerate((0, 1, 7)):
        state = game.start(seed)
        descend(state, seed, stop)
        fork, other = state.clone().clone(), state.clone()
        before = seen(state)
        ahead = descend(other, seed + 100, 40)
        assert seen(state) == before, "moves on a fork changed the match"
        assert seen(follow(fork, ahead)) == seen(other)


REPLAY = """
import pickle, sys
from marl_llm import registry
for spec, seed, steps, expected in pickle.load(sys.stdin.buffer):
    state = registry.game(spec).start(seed)
    for kind, what in steps:
        (state.apply_chance if kind == "chance" else state.apply)(what)
    found = [state.view(seat).text for seat in state.to_act()], state.view(None).text, list(state.returns())
    assert found == expected, (spec, found, expected)
    print(spec)
"""


def test_matches_are_replayed_in_another_process_from_spec_seed_and_history() -> None:
    """Whose turn it is, included: what Breakthrough's own serialisation forgets."""
    matches = []
    for spec in specs():
        for seed, stop in ((1, 9), (2, 10)):
            state = registry.game(spec).start(seed)
            steps = descend(state, seed, stop)
            now = [state.view(seat).text for seat in state.to_act()], state.view(None).text, list(state.returns())
            matches.append((spec, seed, steps, now))
    done = subprocess.run([sys.executable, "-c", REPLAY], input=pickle.dumps(matches), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode().split("\n")[:-1] == [spec for spec in specs() for _ in range(2)]


@pytest.mark.parametrize("name", ["negotiation", "tarok"])
def test_chance_inside_openspiel_is_the_seeds_and_no_other_matchs(name: str) -> None:
    """Two matches of one seed side by side, one a step ahead: a shared stream would deal them apart."""
    game = spiel(name)
    one, two = game.start(5), game.start(5)
    steps = descend(one, 1, 12)
    assert seen(follow(two, steps)) == seen(one)
    deals = set()
    for seed in range(6):
        state = game.start(seed)
        descend(state, 1, 3)
        deals.add(str(seen(state)))
    assert len(deals) > 1


# #772, #519: exact evaluation blows up on larger games -----------------------------------------------------------------


@pytest.mark.parametrize("name", ["chess", "universal_poker", "goofspiel", "hanabi", "mfg_crowd_modelling"])
def test_exact_evaluation_is_refused_above_its_budget(name: str) -> None:
    game = spiel(name)
    assert not game.info.enumerable
    began = perf_counter()
    with pytest.raises(TooLarge, match=r"has more than 1,000 positions") as caught:
        Tree(game, max_nodes=1000)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)
    assert perf_counter() - began < 10


def test_below_the_budget_it_is_exact() -> None:
    tree = tree_of(spiel("leduc_poker"))
    assert 2 * exploitability(tree, tree.uniform_policy()) == pytest.approx(4.7472, abs=1e-4)


# torchrl#3882: fails on chance nodes; Shimmy#80, #96, #97: a reset without a seed loses the parameters ----------------


@pytest.mark.parametrize("spec", ["openspiel:backgammon", "openspiel:pig", "openspiel:tarok", "leduc_poker", "openspiel:2048"])
def test_chance_falls_the_same_for_equal_seeds_in_every_company(spec: str) -> None:
    game = registry.game(spec)
    few, many = (
        Batch.concat(list(play(self_play(spec, "random", game.info.seats, 5, 3), Player(RandomAgent()), registry.game, in_flight=n)))
        for n in (1, 5)
    )
    assert (few["match.end"] == PLAYED).all()
    for column in ("match.seed", "seat.return", "turn.action", "turn.reward"):
        np.testing.assert_array_equal(few[column], many[column])


@pytest.mark.parametrize(
    ("spec", "seats"),
    [
        ("kuhn_poker(players=4)", 4),
        ("openspiel:tarok(players=4)", 4),
        ("openspiel:goofspiel(players=3,num_cards=3)", 3),
        ("openspiel:python_mfg_predator_prey(seats=4,horizon=3)", 4),
    ],
)
def test_every_match_has_the_parameters_of_the_game(spec: str, seats: int) -> None:
    game: Game = registry.game(spec)
    for seed in (0, 1):
        state = game.start(seed)
        descend(state, int(fold(seed, 1)))
        assert len(state.returns()) == seats
    row = np.zeros(1, np.int64)
    boards = game.boards(1)
    for seed in (1, 2):  # a row that ends and starts again
        boards.start(row, np.asarray([seed], np.uint64))
        assert boards.returns(row).shape == (1, seats)
        boards.stop(row)
