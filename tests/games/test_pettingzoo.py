"""PettingZoo's and Gymnasium's environments as games: spaces, views, facts, refusals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces as gym
from hypothesis import given
from hypothesis import strategies as st
from pettingzoo.test.example_envs import generated_agents_env_v0

from games.arguments import Facts, read
from games.pettingzoo import page, spaces
from games.pettingzoo.cycles import copied
from games.pettingzoo.game import PettingZoo, from_pettingzoo
from games.pettingzoo.spaces import Actions
from marl_llm import registry
from marl_llm.check import check_game
from marl_llm.errors import UserError
from marl_llm.game import Box, Discrete, Factored
from tests.games.zoo import Circle, Field, played

UNEVEN = gym.Box(np.asarray([0.0, -5.0], np.float32), np.asarray([1.0, 15.0], np.float32))
NESTED = gym.Dict({"move": gym.MultiDiscrete([3, 2]), "shout": gym.Tuple([gym.Discrete(4, start=1), gym.MultiBinary(2)])})
CHOICES: dict[str, tuple[gym.Space[Any], Any]] = {
    "discrete": (gym.Discrete(5, start=-2), Discrete(5)),
    "factored": (gym.MultiDiscrete(np.asarray([[3, 2], [2, 4]])), Factored((3, 2, 2, 4))),
    "box": (UNEVEN, Box(-1.0, 1.0, (2,))),
    "whole": (gym.Box(0, 255, (2, 3), np.uint8), Box(-1.0, 1.0, (2, 3))),
    "nested": (NESTED, Factored((3, 2, 4, 2, 2))),
    "boxes": (gym.Dict({"a": UNEVEN, "b": UNEVEN}), Box(-1.0, 1.0, (4,))),
}


@pytest.mark.parametrize("name", CHOICES)
@given(seed=st.integers(0, 2**31))
def test_every_action_of_the_kind_is_one_of_the_space(name: str, seed: int) -> None:
    space, kind = CHOICES[name]
    actions = Actions(space, "agent")
    assert actions.kind == kind
    rng = np.random.default_rng(seed)
    match kind:
        case Discrete(n):
            action: Any = int(rng.integers(n))
        case Factored(sizes):
            action = tuple(int(rng.integers(n)) for n in sizes)
        case _:
            action = rng.uniform(kind.low, kind.high, kind.shape).astype(np.float32)
    assert space.contains(actions.native(action)), actions.native(action)
    assert space.contains(actions.idle)


def test_bounds_of_a_box_are_reached() -> None:
    actions = Actions(UNEVEN, "agent")
    ends = [actions.native(np.full(2, x, np.float32)).tolist() for x in (-1, 0, 1)]
    assert ends == [[0.0, -5.0], [0.5, 5.0], [1.0, 15.0]]
    nested = Actions(NESTED, "agent").native((2, 1, 0, 1, 0))
    assert [nested["move"].tolist(), nested["shout"][0], nested["shout"][1].tolist()] == [[2, 1], 1, [1, 0]]


@pytest.mark.parametrize(
    ("space", "says"),
    [
        (gym.Box(-np.inf, np.inf, (2,)), "without bounds"),
        (gym.Tuple([gym.Discrete(2), UNEVEN]), "partly discrete"),
        (gym.Text(5), "expected one of Discrete"),
    ],
)
def test_spaces_that_no_kind_fits_are_refused(space: gym.Space[Any], says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        Actions(space, "agent 'x' of here")
    assert "agent 'x' of here" in str(caught.value)


def test_masks() -> None:
    assert list(Actions(gym.Discrete(4), "a").legal(np.asarray([0, 1, 0, 1], np.int8))) == [1, 3]
    assert list(Actions(gym.Discrete(4), "a").legal(None)) == [0, 1, 2, 3]
    two = Actions(gym.MultiDiscrete([2, 3]), "a")
    apart, flat = (np.asarray([0, 1]), np.asarray([1, 0, 1])), np.asarray([0, 1, 1, 0, 1])
    for mask in (apart, flat):
        assert [list(two.next_legal(mask, k)) for k in (0, 1)] == [[1], [0, 2]]
    with pytest.raises(ValueError, match="3 entries; expected 4"):
        Actions(gym.Discrete(4), "a").legal(np.ones(3))
    assert spaces.mask_of({"action_mask": 1}, {"action_mask": 2}) == 1
    assert spaces.mask_of(np.ones(2), {"action_mask": 2}) == 2


@pytest.mark.parametrize("name", CHOICES)
def test_games_of_every_kind_of_action_keep_the_contract(name: str) -> None:
    space, kind = CHOICES[name]
    game = from_pettingzoo(lambda: (Summed if isinstance(space, (gym.Dict, gym.MultiDiscrete)) else Field)(choice=space, rounds=6))
    assert game.info.action == kind
    report = check_game(game, matches=4)
    report.require()
    assert game.copies  # type: ignore[attr-defined]


class Summed(Field):
    """Actions of several parts, which pay by their size on the whole."""

    def step(self, actions: Any) -> Any:
        plain = {agent: np.asarray(gym.flatten(self.choice, action)).sum() for agent, action in actions.items()}
        assert all(self.choice.contains(action) for action in actions.values())
        choice, self.choice = self.choice, gym.Box(-1e6, 1e6, (), float)
        try:
            return super().step({agent: np.asarray(value, float) for agent, value in plain.items()})
        finally:
            self.choice = choice


def test_observations() -> None:
    image = gym.Box(0, 255, (4, 5, 3), np.uint8)
    hidden = gym.Dict({"observation": image, "action_mask": gym.Box(0, 1, (3,), np.int8)})
    assert spaces.seen(hidden) == image
    assert spaces.vector_shape([image, image]) == (4, 5, 3)
    assert spaces.vector_shape([gym.Box(0, 1, (3,)), gym.Box(0, 1, (5,))]) == (5,)
    assert spaces.vector_shape([gym.Dict({"at": gym.Discrete(4), "near": gym.Box(0, 1, (2, 2))})]) == (8,)
    assert spaces.vector_shape([gym.Sequence(gym.Discrete(2))]) is None
    assert spaces.vector(gym.Box(0, 1, (3,)), np.asarray([1, 2, 3]), (5,)).tolist() == [1, 2, 3, 0, 0]
    assert spaces.vector(gym.Discrete(4), 2, (4,)).tolist() == [0, 0, 1, 0]


def test_texts() -> None:
    both = gym.Dict({"at": gym.Discrete(4), "map": gym.Box(0, 9, (2, 2), np.int8), "speed": gym.Box(-1, 1, (2,))})
    value = {"at": 3, "map": np.asarray([[1, 2], [3, 4]], np.int8), "speed": np.asarray([0.25, -1 / 3])}
    assert spaces.text(both, value) == "at: 3\nmap: \n1 2\n3 4\nspeed: 0.25 -0.3333"
    planes = np.zeros((2, 3, 2), np.int8)
    planes[0, 1, 0] = planes[1, 2, 1] = planes[1, 2, 0] = 1
    assert spaces.text(gym.Box(0, 1, (2, 3, 2), np.int8), planes) == ". 0 .\n. . 0,1"
    game = from_pettingzoo(Circle)
    state = game.start(1)
    assert state.view(0).text.startswith("You are a.\n0 ")
    assert state.view(None).text == state.view(0).text
    everyone = from_pettingzoo(Field).start(1)
    assert everyone.view(None).text == "\n\n".join(everyone.view(seat).text for seat in range(3))


def test_facts() -> None:
    game = from_pettingzoo(Circle, Facts(returns=(-30.0, 30.0), utility="zero_sum"))
    assert (game.info.returns, game.info.utility, game.info.max_decisions) == ((-30.0, 30.0), "zero_sum", 3_000)
    name, facts, rest = read("a.b_v1(returns=(0,1), max_decisions=7, team=blue, n=3)")
    assert (name, facts, rest) == ("a.b_v1", Facts((0, 1), 7), {"team": "blue", "n": 3})
    assert facts.over(Facts(utility="team", max_decisions=9)) == Facts((0, 1), 7, "team")
    for text in ("a(3)", "a(b=)", "a(", "a(b=c.d)"):
        with pytest.raises(UserError, match="expected NAME or NAME"):
            read(text)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("pettingzoo:no.such_v1", "cannot be imported.*expected one such as"),
        ("pettingzoo:pettingzoo.classic.chess_v0", "cannot be imported.*expected one such as"),
        ("pettingzoo:json", "neither parallel_env nor env"),
        ("gymnasium:Nothing-v9", "cannot be made: NameNotFound"),
        ("gymnasium:CartPole-v1(gravity=2)", "cannot be made: TypeError"),
    ],
)
def test_refusals_are_one_line(spec: str, says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        registry.game(spec)
    assert "\n" not in str(caught.value)


def test_agents_that_differ() -> None:
    with pytest.raises(UserError, match="possible_agents"):
        from_pettingzoo(generated_agents_env_v0.env)

    class Mixed(Field):
        def action_space(self, agent: Any) -> gym.Space[Any]:
            return self.wide if agent == "a" else self.narrow

        wide, narrow = gym.Discrete(5), gym.Discrete(2)

        def step(self, actions: Any) -> Any:
            assert all(self.action_space(agent).contains(action) for agent, action in actions.items())
            self.choice = self.wide
            return super().step(actions)

    game = from_pettingzoo(Mixed)
    assert game.info.action == Discrete(5)
    assert [len(game.start(1).legal(seat)) for seat in range(3)] == [5, 2, 2]
    check_game(game, matches=3).require()
    Mixed.narrow = gym.MultiBinary(2)
    with pytest.raises(UserError, match="different actions"):
        from_pettingzoo(Mixed)


class Counted(Circle):
    """Its state is outside of it, so that a copy shares it."""

    shared: list[int] = []  # noqa: RUF012

    def reset(self, seed: int | None = None, options: Any = None) -> None:
        super().reset(seed)
        self.tally = _Tally()

    def observe(self, agent: Any) -> Any:
        numbers = super().observe(agent)
        numbers[0] = len(self.tally.kept)
        return numbers

    def step(self, action: Any) -> None:
        super().step(action)
        self.tally.kept.append(action)


class _Tally:
    def __init__(self) -> None:
        self.kept: list[int] = []

    def __deepcopy__(self, memo: Any) -> _Tally:
        return self


@pytest.mark.parametrize(("env", "copies"), [(Circle, True), (Counted, False)])
def test_clones_are_copies_only_where_that_is_right(env: type[Circle], copies: bool) -> None:
    game = from_pettingzoo(env)
    assert isinstance(game, PettingZoo)
    check_game(game, matches=3).require()
    assert game.copies is copies
    _, _, state = played(game)
    if copies:
        twin = copied(state.cycle)
        assert twin.env is not state.cycle.env
        assert (twin.env.made, twin.gained) == (9, state.cycle.gained)


def test_what_a_page_says() -> None:
    class Documented(Circle):
        """
        # Circle

        | Agents | 3 |
        |--------|---|

        Agents move in a <b>circle</b>,
        one by one.

        ### Arguments

        `moves`: how many.
        """

    assert page.rules(Documented()) == "Agents move in a circle, one by one."
    assert "You are b." in from_pettingzoo(Documented).rules(1)


SINGLE = ["CartPole-v1", "FrozenLake-v1", "Pendulum-v1(max_episode_steps=20)", "Blackjack-v1", "MountainCar-v0(max_episode_steps=30)"]


@pytest.mark.parametrize("name", SINGLE)
def test_gymnasium(name: str) -> None:
    game = registry.game(f"gymnasium:{name}")
    assert game.info.seats == 1
    check_game(game, matches=2).require()


def test_gymnasium_plays_as_it_does_alone() -> None:
    import gymnasium

    env = gymnasium.make("CartPole-v1")
    observation, _ = env.reset(seed=3)
    state, over, total = registry.game("gymnasium:CartPole-v1").start(3), False, 0.0
    while not over:
        assert state.view(0).vector == pytest.approx(observation)
        action = int(observation[2] > 0.1)
        observation, reward, terminated, truncated, _ = env.step(action)
        state.apply({0: action})
        total, over = total + float(reward), terminated or truncated
    assert state.to_act() == ()
    assert state.returns() == [total]
    lake = registry.game("gymnasium:FrozenLake-v1(is_slippery=False)").start(0)
    assert lake.view(0).text == "You are player.\n[S]FFF\nFHFH\nFFFH\nHFFG"
    lake.apply({0: 2})
    assert lake.view(0).text.endswith("S[F]FF\nFHFH\nFFFH\nHFFG")
    assert replace(lake.game.info, name="").max_decisions == 100  # type: ignore[attr-defined]
