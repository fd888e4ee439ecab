"""A PettingZoo environment in progress: who acts, what each agent observes, and what each has gained since the start.

``Turns`` drives an AEC environment, ``Rounds`` a Parallel one. Both hide what PettingZoo leaves to the loop: the empty step
that a dead agent must take, rewards that reach an agent only at its own next turn, agents that leave the dictionaries.

An agent of a Parallel environment whose action mask allows nothing has no choice, so it does not act.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from games.pettingzoo.spaces import forbids_all, mask_of

Agent = Any
"""An agent's id: anything hashable, 0 and "" too."""
STEPS_WITHOUT_CHOICE = 1_000


class Cycle(Protocol):
    """What both have in common. Observations are the environment's own objects, valid until it moves."""

    env: Any
    cut: bool
    """Once nobody lives: whether those who lived last were all truncated, and none of them terminated."""

    @property
    def gained(self) -> Mapping[Agent, float]: ...

    def acting(self) -> Sequence[Agent]: ...

    def observe(self, agent: Agent) -> tuple[Any, Mapping[str, Any]]:
        """Observation and info of an agent; KeyError or None for one that has left and has none."""
        ...

    def step(self, actions: Mapping[Agent, Any]) -> None:
        """Play the actions of exactly the acting agents."""
        ...


class Turns:
    """An AEC environment.

    What an agent has gained is what ``last()`` tells it at its turns, by which PettingZoo defines reward, and between them the
    sum of ``rewards``: so the loser's last reward is there as soon as the winner has moved.
    """

    def __init__(self, env: Any, seed: int) -> None:
        self.env = env
        env.reset(seed=seed)
        self.cut = False
        self.told = dict.fromkeys(env.possible_agents, 0.0)
        self.waiting = dict.fromkeys(env.possible_agents, 0.0)
        self._settle()

    @property
    def gained(self) -> Mapping[Agent, float]:
        return {agent: told + self.waiting[agent] for agent, told in self.told.items()}

    def acting(self) -> Sequence[Agent]:
        return () if self.over else (self.env.agent_selection,)

    def observe(self, agent: Agent) -> tuple[Any, Mapping[str, Any]]:
        return self.env.observe(agent), self.env.infos.get(agent) or {}

    def step(self, actions: Mapping[Agent, Any]) -> None:
        ((agent, action),) = actions.items()
        self._told(agent)
        self.env.step(action)
        for other, reward in self.env.rewards.items():
            self.waiting[other] += _number(reward)
        self._settle()

    def _told(self, agent: Agent) -> None:
        """An agent's turn is over: what waited for it has been told."""
        self.told[agent] += self.waiting[agent]
        self.waiting[agent] = 0.0

    def _settle(self) -> None:
        """Take the steps of dead agents as long as others live; who is next is the environment's to say."""
        for _ in range(STEPS_WITHOUT_CHOICE):
            self.over = all(self._dead(agent) for agent in self.env.agents)
            for agent in self.env.agents if self.over else [self.env.agent_selection]:
                self.waiting[agent] = _number(self.env._cumulative_rewards[agent])  # what last() tells it now, or when all are dead
            if self.over:
                last = self.env.agents
                self.cut = bool(last) and all(self.env.truncations[a] and not self.env.terminations[a] for a in last)
            if self.over or not self._dead(self.env.agent_selection):
                return
            self._told(self.env.agent_selection)
            self.env.step(None)
        raise RuntimeError(f"the environment chose dead agents {STEPS_WITHOUT_CHOICE} times in a row; expected a live one or an end")

    def _dead(self, agent: Agent) -> bool:
        return bool(self.env.terminations[agent] or self.env.truncations[agent])


class Rounds:
    """A Parallel environment. An agent that lives and has no choice plays its ``idle`` action; so do all where none has one."""

    def __init__(self, env: Any, seed: int, idle: Mapping[Agent, Any]) -> None:
        self.env, self.idle = env, idle
        self.observations, self.infos = env.reset(seed=seed)
        self.cut = False
        self.gained: dict[Agent, float] = dict.fromkeys(env.possible_agents, 0.0)
        self.live = list(env.agents)
        self._settle()

    def acting(self) -> Sequence[Agent]:
        return [agent for agent in self.live if agent in self.observations and not forbids_all(mask_of(*self.observe(agent)))]

    def observe(self, agent: Agent) -> tuple[Any, Mapping[str, Any]]:
        return self.observations[agent], self.infos.get(agent) or {}

    def step(self, actions: Mapping[Agent, Any]) -> None:
        self._move(actions)
        self._settle()

    def _move(self, actions: Mapping[Agent, Any]) -> None:
        joint = {agent: actions[agent] if agent in actions else self.idle[agent] for agent in self.live}
        self.observations, rewards, terminated, truncated, self.infos = self.env.step(joint)
        for agent, reward in rewards.items():
            if agent in self.gained:  # a shared entry such as "common" is no agent
                self.gained[agent] += _number(reward)
        self.cut = bool(self.live) and all(truncated.get(agent) and not terminated.get(agent) for agent in self.live)
        # some environments list an agent for one round after its death
        self.live = [agent for agent in self.env.agents if not (terminated.get(agent) or truncated.get(agent))]

    def _settle(self) -> None:
        for _ in range(STEPS_WITHOUT_CHOICE):
            if not self.live or self.acting():
                return
            self._move({})
        raise RuntimeError(f"no agent could act for {STEPS_WITHOUT_CHOICE} rounds; expected an end, or an action that the mask allows")


def _number(reward: Any) -> float:
    return float(np.asarray(reward).item())


def copied(cycle: Cycle) -> Any:
    """A copy of a cycle, its environment's attributes and all below them included; raises where they cannot be copied.

    ``copy.deepcopy`` alone would not do: PettingZoo's environments make a new one of themselves when copied (``EzPickle``), and
    what pygame draws on has no copies, so it is shared.
    """
    raw = cycle.env.unwrapped
    if any(hasattr(type(value), "__del__") for value in vars(raw).values()):
        raise TypeError(f"{raw} owns memory that Python does not see, and a copy would free it too")
    twin = object.__new__(type(raw))
    memo = {id(raw): twin, **{id(value): value for value in vars(raw).values() if type(value).__module__.startswith("pygame")}}
    twin.__dict__.update(copy.deepcopy(raw.__dict__, memo))
    return copy.deepcopy(cycle, memo)
