"""Our games as PettingZoo's environments, by PettingZoo's own tests and beside our own rollouts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pettingzoo.test import api_test, parallel_api_test, parallel_seed_test, seed_test

from games.pettingzoo.game import from_pettingzoo
from games.pettingzoo.out import to_parallel, to_pettingzoo
from marl_llm import registry
from marl_llm.agents.random import RandomAgent
from marl_llm.catalogue import catalogue
from marl_llm.check import check_game
from marl_llm.errors import UserError
from marl_llm.game import Discrete
from marl_llm.matches import Match
from marl_llm.play import play
from marl_llm.records import Batch
from tests.games.zoo import Circle, Field

FAMILIES = {"openspiel", "pettingzoo", "gymnasium", "textarena", "pokemon"}
BEYOND_DEV = {"foraging"}
SMALLER = {"ising": "ising(side=4)", "squeeze": "squeeze(seats=10)"}
BUILT_IN = sorted(SMALLER.get(name, name) for name in set(catalogue()["games"]) - FAMILIES - BEYOND_DEV)
MASKED = ("goofspiel", "rooms", "trash_grid")
"""Games whose seats may not always do everything, as PettingZoo's sampling without a mask supposes."""
OTHERS = ["kuhn_poker(players=3)", "openspiel:goofspiel(num_cards=4,players=3)", "openspiel:pig", "public_goods(seats=3,rounds=2)"]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("spec", BUILT_IN + OTHERS)
def test_pettingzoo_tests_pass_or_one_line_says_why_not(spec: str) -> None:
    game = registry.game(spec)
    if not isinstance(game.info.action, Discrete) or game.info.message:
        for refused in (to_pettingzoo, to_parallel):
            with pytest.raises(UserError, match=r"expected Discrete actions alone|use to_pettingzoo"):
                refused(game)
        return
    api_test(to_pettingzoo(game), num_cycles=100)
    seed_test(lambda: to_pettingzoo(game), num_cycles=100)
    if not game.info.simultaneous:
        with pytest.raises(UserError, match="its seats move in turn: use to_pettingzoo"):
            to_parallel(game)
        return
    if not any(name in spec for name in MASKED):
        parallel_seed_test(lambda: to_parallel(game), num_cycles=100)
    parallel_api_test(to_parallel(game), num_cycles=100)


class Pool:
    def resolve(self, player: str) -> RandomAgent:
        return RandomAgent()


def turns(spec: str, seeds: range) -> Batch:
    seats = registry.game(spec).info.seats
    matches = [Match(game=spec, seed=seed, players=("random",) * seats) for seed in seeds]
    return Batch.concat(list(play(iter(matches), Pool(), registry.game, in_flight=8)))


def replayed(env: Any, batch: Batch, i: int) -> tuple[list[float], list[Any]]:
    """Match ``i`` of a batch played again in PettingZoo's loop; what ``last()`` told each agent, and the observations."""
    episode = batch.episode(i)
    env.reset(seed=int(batch["match.seed"][i]))
    told, seen, moves = dict.fromkeys(env.possible_agents, 0.0), [], iter(episode.moves)
    for agent in env.agent_iter():
        observation, reward, terminated, truncated, _ = env.last()
        told[agent] += reward
        action = None
        if not (terminated or truncated):
            move = next(moves)
            assert agent == f"player_{move.seat}"
            assert observation["action_mask"][move.action]
            seen.append(observation["observation"])
            action = move.action
        env.step(action)
    assert next(moves, None) is None
    return list(told.values()), seen


@pytest.mark.parametrize("spec", ["kuhn_poker(players=3)", "leduc_poker", "connect_four", "matrix", "openspiel:pig", "congestion(seats=3)"])
def test_a_match_is_the_same_match_there(spec: str) -> None:
    """Deal, order, masks and returns of a seed are those of our rollouts."""
    batch, env = turns(spec, range(6)), to_pettingzoo(registry.game(spec))
    for i in range(6):
        told, _ = replayed(env, batch, i)
        assert told == pytest.approx(batch["seat.return"].reshape(6, -1)[i])


def test_resets_without_a_seed_deal_anew_and_keep_the_game() -> None:
    """Shimmy 80, 96, 97: a reset without a seed lost the game's parameters."""
    env = to_pettingzoo(registry.game("kuhn_poker(players=4)"))

    def hands(seed: int | None = None) -> str:
        env.reset(seed=seed)
        return str([env.observe(agent)["observation"].tolist() for agent in env.agents])

    assert len({hands() for _ in range(12)}) > 6
    first = [hands(7), hands(), hands()]
    assert [hands(7), hands(), hands()] == first
    assert len(set(first)) > 1
    assert env.possible_agents == [f"player_{seat}" for seat in range(4)]


def test_no_seat_sees_what_another_chooses_at_the_same_time() -> None:
    env = to_pettingzoo(registry.game("matrix(payoffs=prisoners_dilemma,rounds=2,memory=1)"))
    env.reset(seed=0)
    before = env.observe("player_1")["observation"].tolist()
    env.step(1)
    assert env.agent_selection == "player_1"
    assert env.observe("player_1")["observation"].tolist() == before
    assert not env.observe("player_0")["action_mask"].any(), "it has chosen"
    assert list(env.rewards.values()) == [0.0, 0.0]
    env.step(0)
    assert env.observe("player_1")["observation"].tolist() != before
    assert env.rewards["player_0"] > env.rewards["player_1"]


def test_parallel_and_turns_agree() -> None:
    game = registry.game("public_goods(seats=3,rounds=2)")
    parallel, turns_ = to_parallel(game), to_pettingzoo(game)
    observations, _ = parallel.reset(seed=4)
    turns_.reset(seed=4)
    for k in range(2):
        actions = {agent: (k + i) % 2 for i, agent in enumerate(parallel.agents)}
        for agent in turns_.agents:
            np.testing.assert_array_equal(observations[agent]["observation"], turns_.observe(agent)["observation"])
            turns_.step(actions[agent])
        observations, rewards, terminated, truncated, _ = parallel.step(actions)
        assert rewards == pytest.approx(turns_.rewards)
        assert terminated == turns_.terminations == dict.fromkeys(actions, k == 1)
        assert truncated == turns_.truncations
    assert parallel.agents == []


@pytest.mark.parametrize("action", [6, 7, -1, 1.5, None])
def test_illegal_moves_are_named(action: Any) -> None:
    """open_spiel 702: an illegal move ends the process."""
    env = to_pettingzoo(registry.game("connect_four"))
    env.reset()
    for _ in range(6):
        env.step(6)
    with pytest.raises(ValueError, match=r"player_0 played .*; expected one of the legal actions \[0, 1, 2, 3, 4, 5\]"):
        env.step(action)
    env.step(np.int64(0))


def test_a_limit_truncates() -> None:
    from dataclasses import replace

    game = type(registry.game("connect_four"))("connect_four")
    game.info = replace(game.info, max_decisions=5)
    env = to_pettingzoo(game)
    env.reset(seed=0)
    for k in range(5):
        assert not any(env.truncations.values())
        env.step(k)
    assert all(env.truncations.values())
    assert not any(env.terminations.values())


@pytest.mark.parametrize("spec", ["kuhn_poker", "tic_tac_toe", "matrix", "public_goods(seats=3,rounds=2)"])
def test_there_and_back(spec: str) -> None:
    """A game of ours as an environment as a game."""
    game = registry.game(spec)
    makes: list[Callable[[], Any]] = [lambda: to_pettingzoo(game)]
    makes += [lambda: to_parallel(game)] if game.info.simultaneous else []
    for make in makes:
        again = from_pettingzoo(make)
        assert (again.info.seats, again.info.action, again.info.vector) == (game.info.seats, game.info.action, game.info.vector)
        check_game(again, matches=3).require()


def test_what_cannot_go_there_says_so() -> None:
    class Blind(Circle):
        def observation_space(self, agent: Any) -> Any:
            from gymnasium import spaces

            return spaces.Sequence(spaces.Discrete(2))

    with pytest.raises(UserError, match="no vector view"):
        to_pettingzoo(from_pettingzoo(Blind))
    from gymnasium import spaces

    with pytest.raises(UserError, match="Box actions"):
        to_pettingzoo(from_pettingzoo(lambda: Field(choice=spaces.Box(0, 1, (2,)))))
