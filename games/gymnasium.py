"""Gymnasium's single-agent environments as games of one seat: ``gymnasium:CartPole-v1``. https://gymnasium.farama.org

Such an environment is a PettingZoo one with one agent, so actions, views, keys and clones are as ``games.pettingzoo`` tells.
``max_episode_steps``, given or the environment's or else 1,000, bounds the decisions. A seat reads the environment's drawing
where there is one as text, the observation in names and numbers elsewhere.
"""

from __future__ import annotations

from typing import Any

import gymnasium
from gymnasium.spaces import Space
from pettingzoo import ParallelEnv

from games.arguments import Facts, read
from games.pettingzoo.game import TURNS, PettingZoo
from marl_llm.errors import UserError
from marl_llm.game import Game

ALONE = "player"


def game(text: str) -> Game:
    """The game of ``ID(key=value, ...)``; the arguments are the environment's and those of ``Facts``. UserError with one line
    where there is none such."""
    name, facts, given = read(text)
    try:
        made = gymnasium.make(name, **given)
        if "ansi" in made.metadata.get("render_modes", ()):
            given.setdefault("render_mode", "ansi")
        limit = (made.spec and made.spec.max_episode_steps) or TURNS
        given["max_episode_steps"] = limit
        facts = facts.over(Facts(max_decisions=limit, perfect_information=given.get("render_mode") == "ansi"))
        return PettingZoo(lambda: Alone(gymnasium.make(name, **given)), facts, text)
    except UserError:
        raise
    except Exception as error:  # an environment may refuse its arguments in any way
        raise UserError(f"Gymnasium's {name} cannot be made: {type(error).__name__}: {' '.join(str(error).split())}") from error


class Alone(ParallelEnv):
    """A Gymnasium environment as a Parallel one whose only agent is ``player``."""

    possible_agents = [ALONE]  # noqa: RUF012  # PettingZoo declares it of an instance

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        self.env, self.metadata, self.render_mode = env, env.metadata, env.render_mode
        self.agents: list[str] = []

    @property
    def unwrapped(self) -> Any:
        return self.env.unwrapped

    def observation_space(self, agent: str) -> Space[Any]:
        return self.env.observation_space

    def action_space(self, agent: str) -> Space[Any]:
        return self.env.action_space

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self.agents = [ALONE]
        observation, info = self.env.reset(seed=seed, options=options)
        return {ALONE: observation}, {ALONE: info}

    def step(self, actions: dict[str, Any]) -> Any:
        observation, reward, terminated, truncated, info = self.env.step(actions[ALONE])
        if terminated or truncated:
            self.agents = []
        return tuple({ALONE: value} for value in (observation, reward, terminated, truncated, info))

    def render(self) -> Any:
        return self.env.render()
