"""Small PettingZoo environments in the circumstances in which adapters have gone wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.utils import EzPickle
from gymnasium.utils.seeding import np_random
from pettingzoo import AECEnv, ParallelEnv

from marl_llm.game import Game, Seat

CHOICES = 3


class Circle(AECEnv, EzPickle):
    """Agents move in a circle, ``moves`` times in all. A move pays its agent 1 plus the action and takes 0.5 from every other agent
    that lives; the last move takes 10 from all others. ``deaths[k]`` die at move k. ``mask`` is where masks are, if anywhere."""

    def __init__(
        self,
        agents: Sequence[Any] = ("a", "b", "c"),
        deaths: Mapping[int, Sequence[Any]] | None = None,
        moves: int = 9,
        mask: str = "",
        truncates: bool = False,
    ) -> None:
        EzPickle.__init__(self, agents, deaths, moves, mask, truncates)
        super().__init__()
        self.possible_agents, self.deaths, self.moves, self.mask, self.truncates = list(agents), deaths or {}, moves, mask, truncates
        self.metadata, self.render_mode = {"name": "circle_v0"}, None
        seen: spaces.Space[Any] = spaces.Box(0.0, 100.0, (3,), np.float32)
        if mask == "observation":
            seen = spaces.Dict({"observation": seen, "action_mask": spaces.Box(0, 1, (CHOICES,), np.int8)})
        self.seen = dict.fromkeys(self.possible_agents, seen)
        self.choices = {agent: spaces.Discrete(CHOICES) for agent in self.possible_agents}
        self.observed: list[Any] = []
        self.resets = 0

    def observation_space(self, agent: Any) -> spaces.Space[Any]:
        return self.seen[agent]

    def action_space(self, agent: Any) -> spaces.Space[Any]:
        return self.choices[agent]

    def reset(self, seed: int | None = None, options: Any = None) -> None:
        self.rng, _ = np_random(seed)
        self.resets += 1
        self.agents = list(self.possible_agents)
        self.made = 0
        self.drawn = float(self.rng.integers(100))
        self.rewards = dict.fromkeys(self.agents, 0.0)
        self._cumulative_rewards = dict.fromkeys(self.agents, 0.0)
        self.terminations, self.truncations = dict.fromkeys(self.agents, False), dict.fromkeys(self.agents, False)
        self._skip_agent_selection = None
        self.agent_selection = self.agents[0]
        self.infos = {agent: {"action_mask": self.allowed(agent)} if self.mask == "info" else {} for agent in self.agents}

    def allowed(self, agent: Any) -> Any:
        """One action is forbidden to the agent whose turn it is, everything to the others."""
        allowed = np.zeros(CHOICES, np.int8)
        if agent == self.agent_selection:
            allowed[:] = 1
            allowed[self.made % CHOICES] = 0
        return allowed

    def observe(self, agent: Any) -> Any:
        assert agent == self.agent_selection or self.terminations[agent], f"{agent} is observed out of turn"
        self.observed.append(agent)
        numbers = np.asarray([self.made, self.drawn, self.possible_agents.index(agent)], np.float32)
        return {"observation": numbers, "action_mask": self.allowed(agent)} if self.mask == "observation" else numbers

    def step(self, action: Any) -> None:
        agent = self.agent_selection
        if self.terminations[agent] or self.truncations[agent]:
            self._was_dead_step(action)
            return
        assert not self.mask or self.allowed(agent)[action], "a forbidden action"
        self._clear_rewards()
        self._cumulative_rewards[agent] = 0.0
        self.made += 1
        last = self.made == self.moves
        for other in self.agents:
            self.rewards[other] = 1.0 + action if other == agent else -10.0 if last else -0.5
        self.drawn = float(self.rng.integers(100))
        for dead in self.agents if last else self.deaths.get(self.made, ()):
            (self.truncations if self.truncates else self.terminations)[dead] = True
        living = [a for a in self.agents if not (self.terminations[a] or self.truncations[a])]
        after = self.agents[self.agents.index(agent) + 1 :] + self.agents[: self.agents.index(agent)]
        self.agent_selection = next((a for a in after if a in living), agent)
        if self.mask == "info":
            self.infos = {a: {"action_mask": self.allowed(a)} for a in self.agents}
        self._accumulate_rewards()
        self._deads_step_first()


class Field(ParallelEnv, EzPickle):
    """Agents move at once, ``rounds`` times; each gains what it plays and loses what all others play, over 10. ``deaths[k]`` die in
    round k and leave ``agents`` then, or with ``stale`` a round later. ``absent[k]`` observe nothing in round k; ``stuck[k]`` have an
    all-false mask in it."""

    def __init__(
        self,
        agents: Sequence[Any] = ("a", "b", "c"),
        deaths: Mapping[int, Sequence[Any]] | None = None,
        rounds: int = 4,
        stale: bool = False,
        absent: Mapping[int, Sequence[Any]] | None = None,
        stuck: Mapping[int, Sequence[Any]] | None = None,
        choice: spaces.Space[Any] | None = None,
    ) -> None:
        EzPickle.__init__(self, agents, deaths, rounds, stale, absent, stuck, choice)
        self.possible_agents, self.deaths, self.rounds, self.stale = list(agents), deaths or {}, rounds, stale
        self.absent, self.stuck = absent or {}, stuck
        self.metadata, self.render_mode = {"name": "field_v0"}, None
        self.choice = choice or spaces.Discrete(CHOICES)
        mask = spaces.Box(0, 1, (CHOICES,), np.int8)
        numbers = spaces.Box(-100.0, 100.0, (2,), np.float32)
        self.seen = spaces.Dict({"observation": numbers, "action_mask": mask}) if stuck is not None else numbers
        self.played: list[dict[Any, Any]] = []

    def observation_space(self, agent: Any) -> spaces.Space[Any]:
        return self.seen

    def action_space(self, agent: Any) -> spaces.Space[Any]:
        return self.choice

    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        self.rng, _ = np_random(seed)
        self.agents = list(self.possible_agents)
        self.round, self.played = 0, []
        return self._seen(self.agents), {agent: {} for agent in self.agents}

    def _seen(self, agents: Sequence[Any]) -> dict[Any, Any]:
        return {agent: self._one(agent) for agent in agents if agent not in self.absent.get(self.round, ())}

    def _one(self, agent: Any) -> Any:
        numbers = np.asarray([self.round, self.rng.integers(100)], np.float32)
        if self.stuck is None:
            return numbers
        allowed = agent not in self.stuck.get(self.round, ())
        return {"observation": numbers, "action_mask": np.full(CHOICES, allowed, np.int8)}

    def step(self, actions: Mapping[Any, Any]) -> Any:
        dying = self.deaths.get(self.round, ())
        gone = [agent for agent in self.agents if agent in self.deaths.get(self.round - 1, ())] if self.stale else []
        moving = [agent for agent in self.agents if agent not in gone]
        assert set(actions) == set(moving), f"actions of {set(actions)}, not of {set(moving)}"
        assert all(self.choice.contains(action) for action in actions.values()), actions
        self.played.append(dict(actions))
        total = {agent: float(np.sum(action)) for agent, action in actions.items()}
        rewards = {agent: total[agent] - (sum(total.values()) - total[agent]) / 10 for agent in moving}
        self.round += 1
        over = self.round == self.rounds
        terminated = {agent: over or agent in dying for agent in moving}
        observations = self._seen([agent for agent in moving if not terminated[agent]])
        stays = moving if self.stale else [agent for agent in moving if not terminated[agent]]
        self.agents = [] if over else stays
        return observations, rewards, terminated, dict.fromkeys(moving, False), {agent: {} for agent in moving}


def played(game: Game, seed: int = 1) -> tuple[list[tuple[Seat, Any]], list[float], Any]:
    """One match with each seat's legal actions taken in turn; the moves, the returns, and the state that it ended in."""
    state = game.start(seed)
    moves: list[tuple[Seat, Any]] = []
    while seats := state.to_act():
        joint = {seat: choice(len(moves), state.legal(seat)) for seat in seats}
        state.apply(joint)
        moves += joint.items()
        assert len(moves) < 10_000
    return moves, list(state.returns()), state


def choice(k: int, legal: Sequence[int]) -> int:
    return legal[(7 * k + k // 3) % len(legal)]


def documented(env: Any, seed: int = 1) -> tuple[list[tuple[Any, Any]], dict[Any, float]]:
    """The same match in the loop of PettingZoo's documentation; the moves, and what ``last()`` told each agent."""
    env.reset(seed=seed)
    told = dict.fromkeys(env.possible_agents, 0.0)
    moves: list[tuple[Any, Any]] = []
    for agent in env.agent_iter():
        observation, reward, terminated, truncated, info = env.last()
        told[agent] += reward
        action = None
        if not (terminated or truncated):
            mask = observation.get("action_mask") if isinstance(observation, dict) else info.get("action_mask")
            action = choice(len(moves), range(env.action_space(agent).n) if mask is None else np.flatnonzero(mask).tolist())
            moves.append((agent, action))
        env.step(action)
    return moves, told
