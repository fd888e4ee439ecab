"""Faults that adapters of PettingZoo have had (the numbers are their issues), each in small real environments."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pettingzoo.utils.conversions import parallel_to_aec

from games.arguments import Facts
from games.pettingzoo.game import PettingZoo, from_pettingzoo
from marl_llm.agents.random import RandomAgent
from marl_llm.boards import StateBoards
from marl_llm.check import check_game
from marl_llm.game import Game
from marl_llm.matches import self_play
from marl_llm.play import play
from marl_llm.records import CUT, PLAYED, VOID, Batch
from tests.games.zoo import CHOICES, Circle, Field, documented, played

DEATHS = [
    {},
    {2: ["c"]},
    {2: ["a", "c"]},  # two in one cycle, one of them before and one after the agent that moved
    {3: ["b", "c"]},
    {1: ["b"], 2: ["a"]},
    {1: ["a"]},  # by its own move
    {4: ["a", "b", "c"]},  # all at once, before the last move
]


class Pool:
    def resolve(self, player: str) -> RandomAgent:
        return RandomAgent()


def batch(game: Game, count: int = 8) -> Batch:
    matches = self_play("here", "random", game.info.seats, count, 1)
    return Batch.concat(list(play(matches, Pool(), lambda spec: game, in_flight=count)))


def circle(**arguments: Any) -> Game:
    return from_pettingzoo(lambda: Circle(**arguments))


def field(**arguments: Any) -> Game:
    return from_pettingzoo(lambda: Field(**arguments))


@pytest.mark.parametrize("deaths", DEATHS)
@pytest.mark.parametrize("mask", ["", "info", "observation"])
def test_nobody_is_skipped_and_no_reward_is_lost(deaths: Any, mask: str) -> None:
    """PettingZoo 713, 652 (agents that die in one cycle), 355 (the loser's last reward), 1260 and 221 (dead steps), tianshou 900
    (rewards of other agents' moves), PettingZoo 1117 and 1134 (where the mask is)."""
    arguments = {"deaths": deaths, "mask": mask, "moves": 7}
    game = circle(**arguments)
    moves, returns, _ = played(game)
    theirs, told = documented(Circle(**arguments))
    assert [("abc"[seat], action) for seat, action in moves] == theirs
    assert returns == list(told.values())
    check_game(game, matches=3).require()


def test_the_losers_last_reward_is_there_when_the_match_is_over() -> None:
    moves, returns, _ = played(circle(moves=4))
    assert [seat for seat, _ in moves] == [0, 1, 2, 0]
    assert returns == [1 - 0.5 - 0.5 + 2, -0.5 + 2 - 0.5 - 10, -0.5 - 0.5 + 3 - 10]
    results = batch(circle(moves=4))
    total = results["seat.initial"].copy()
    np.add.at(total, results.up("turn", "seat"), results["turn.reward"])
    assert total == pytest.approx(results["seat.return"])
    assert (results["seat.return"].reshape(-1, 3)[:, 1:] < -6).all()
    assert (results["match.end"] == PLAYED).all()


class Careless(Circle):
    """Its ``rewards`` are wrong, and what ``last()`` tells is right."""

    def step(self, action: Any) -> None:
        super().step(action)
        self.rewards = {agent: 3.0 + reward for agent, reward in self.rewards.items()}


def test_what_last_tells_is_right_where_rewards_are_not() -> None:
    """tianshou 900: rewards of single steps were taken for what ``last()`` tells."""
    _, returns, _ = played(from_pettingzoo(Careless))
    assert returns == list(documented(Circle())[1].values())


def test_rewards_that_stay_for_a_cycle_are_counted_once() -> None:
    """PettingZoo's conversion of a Parallel environment to AEC keeps a cycle's rewards until the next cycle has been played."""
    converted = from_pettingzoo(lambda: parallel_to_aec(Field())).start(1)
    together = field().start(1)
    before = list(together.returns())
    for k in range(4):
        moves = {seat: (k + seat) % CHOICES for seat in range(3)}
        for seat, action in moves.items():
            assert converted.returns() == pytest.approx(before)
            assert converted.to_act() == (seat,)
            converted.apply({seat: action})
        together.apply(moves)
        before = list(together.returns())
    assert converted.returns() == pytest.approx(before)
    assert converted.to_act() == together.to_act() == ()


@pytest.mark.parametrize("agents", [(0, 1, 2), ("", "b", ("c", 0)), (2, 0, 1)])
def test_any_id_is_an_id(agents: Any) -> None:
    """PettingZoo 1119 and 1120: agent 0 was taken for nobody."""
    arguments = {"agents": agents, "deaths": {2: [agents[0]]}}
    moves, returns, _ = played(circle(**arguments))
    theirs, told = documented(Circle(**arguments))
    assert [(agents[seat], action) for seat, action in moves] == theirs
    assert returns == list(told.values())
    moves, _, _ = played(field(agents=agents, deaths={1: [agents[0]]}))
    assert [seat for seat, _ in moves] == [0, 1, 2, 0, 1, 2, 1, 2, 1, 2]


def test_only_the_agent_whose_turn_it_is_is_observed() -> None:
    """torchrl 2990: all agents were observed at every step; ``Circle`` asserts that they are not."""
    _, _, state = played(circle(mask="observation"))
    env = state.cycle.env
    assert env.observed == [agent for _ in range(3) for agent in "abc"], "once a turn"
    assert env.resets == 1, "no reset hides the last observation (cleanrl 408)"


@pytest.mark.parametrize("stale", [False, True])
@pytest.mark.parametrize("deaths", [{}, {0: ["a"]}, {1: ["a", "c"]}, {0: ["c"], 1: ["b"], 2: ["a"]}, {1: ["a", "b", "c"]}])
def test_agents_leave_parallel_environments(deaths: Any, stale: bool) -> None:
    """PettingZoo 317 and smac 81: the last agent dies, and ``agents`` is a round late; PettingZoo 209: an agent that lives is
    missing from the actions, which ``Field`` asserts."""
    game = field(deaths=deaths, stale=stale)
    living, expected = ["a", "b", "c"], []
    for k in range(4):
        expected += ["abc".index(agent) for agent in living]
        living = [agent for agent in living if agent not in deaths.get(k, ())]
    moves, returns, state = played(game)
    assert [seat for seat, _ in moves] == expected
    earned = dict.fromkeys("abc", 0.0)
    for joint in state.cycle.env.played:
        for agent, action in joint.items():
            earned[agent] += action - (sum(joint.values()) - action) / 10
    assert returns == pytest.approx(list(earned.values()))
    check_game(game, matches=3).require()


def test_an_agent_that_observes_nothing_for_a_round_does_not_act_in_it() -> None:
    """torchrl 3702: KeyError where an agent is missing from the observations and others are not."""
    moves, _, state = played(field(absent={1: ["b"], 2: ["a", "b", "c"]}))
    assert [seat for seat, _ in moves] == [0, 1, 2, 0, 2, 0, 1, 2]
    assert [set(joint) for joint in state.cycle.env.played] == [{"a", "b", "c"}] * 4


def test_an_agent_whose_mask_allows_nothing_does_not_act() -> None:
    """PettingZoo 551, torchrl 1471: an all-false mask of an agent that is not to act makes NaN of a masked distribution."""
    game = field(stuck={0: ["b", "c"], 2: ["a", "b", "c"]})
    moves, _, state = played(game)
    assert [seat for seat, _ in moves] == [0, 0, 1, 2, 0, 1, 2]
    assert state.cycle.env.played[0]["b"] == 0
    check_game(game, matches=3).require()
    assert (batch(game)["match.end"] == PLAYED).all()


class WrongMask(Circle):
    def allowed(self, agent: Any) -> Any:
        return np.ones(CHOICES, np.int8) if self.made == 2 else super().allowed(agent)

    def step(self, action: Any) -> None:
        assert not (self.made == 2 and action == 2), "no such move"
        super().step(action)


def test_a_mask_that_allows_what_the_step_forbids_is_named() -> None:
    """PettingZoo 1302: a tutorial had such a mask."""
    game = from_pettingzoo(lambda: WrongMask(mask="info"))
    broken = check_game(game).broken
    assert broken is not None
    assert broken.rule == "apply"
    assert "no such move" in broken.problem
    results = batch(game, 30)
    void = results["match.end"] == VOID
    assert 0 < void.sum() < 30, "that match alone is lost"
    assert "no such move" in results.tables["error"][0]


def test_the_seed_decides_and_spaces_seeds_do_not() -> None:
    """PettingZoo 558, 1223, 1150."""
    game = circle()
    shown = [game.start(seed).view(0).vector.tolist() for seed in (5, 5, 6, 2**40)]
    assert shown[0] == shown[1]
    assert len(set(map(tuple, shown))) == 3

    def seeded() -> Circle:
        env = Circle()
        for k, agent in enumerate(env.possible_agents):
            env.action_space(agent).seed(k)
        return env

    assert from_pettingzoo(seeded).start(5).view(0).vector.tolist() == shown[0]


class Unseeded(Circle):
    def reset(self, seed: int | None = None, options: Any = None) -> None:
        super().reset(None)


class Global(Circle):
    def reset(self, seed: int | None = None, options: Any = None) -> None:
        super().reset(int(np.random.randint(100)))


@pytest.mark.parametrize(("env", "rule"), [(Unseeded, {"seed", "clone"}), (Global, {"globals", "seed", "clone"})])
def test_an_environment_that_ignores_its_seed_is_named(env: type[Circle], rule: set[str]) -> None:
    broken = check_game(from_pettingzoo(env)).broken
    assert broken is not None
    assert broken.rule in rule


def test_nothing_is_read_before_a_reset() -> None:
    """PettingZoo 266: attributes that an environment has only after its first reset."""
    game = circle()
    assert isinstance(game, PettingZoo)
    assert not hasattr(game.make(), "agents")
    assert game.info.seats == 3


def test_matches_side_by_side_have_observations_of_their_own() -> None:
    """AgileRL 270 (all zeros), 367 (placeholders became NaN), tianshou 1244 (ids in batched arrays)."""
    game = field(deaths={0: ["a"]})
    boards = StateBoards(game, 4)
    row = np.arange(4)
    boards.start(row, row.astype(np.uint64))
    for _ in range(2):
        rows, seats = boards.acting()
        vectors = boards.views(rows, seats).vectors()
        assert np.isfinite(vectors).all()
        assert len(set(map(tuple, vectors.tolist()))) > 4
        boards.step(rows, seats, np.ones(len(rows), np.int64))
    rows, seats = boards.acting()
    assert seats.tolist() == [1, 2] * 4
    assert seats.dtype == np.int64


def test_a_limit_of_ours_or_theirs_is_a_cut_and_not_an_end() -> None:
    """cleanrl 408, torchrl 2773: a cut match is valued from its last view; nothing may reset in between."""
    assert (batch(circle())["match.end"] == PLAYED).all()
    assert (batch(circle(truncates=True))["match.end"] == CUT).all()
    results = batch(from_pettingzoo(Circle, Facts(max_decisions=5)))
    assert (results["match.end"] == CUT).all()
    assert results.size("turn") == 5 * len(results)
