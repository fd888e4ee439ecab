"""Any game of Discrete actions as a PettingZoo environment: ``to_pettingzoo(game)``, AEC, and ``to_parallel(game)`` where all move at once.

As in PettingZoo's classic environments an observation is a dictionary of ``observation``, the seat's vector view, and
``action_mask``, which is all zeros for an agent that is not to act. Agents are ``player_0`` and on, one a seat. Nothing is
computed before it is asked for.

Chance follows the seed of ``reset``: the deal is that of a match of this seed anywhere else. Without a seed each reset gives
another deal. A move that the mask forbids is an error. ``render`` gives the whole table as text.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo import AECEnv, ParallelEnv

from marl_llm.boards import pick
from marl_llm.errors import UserError
from marl_llm.game import Discrete, Game, Seat, State
from marl_llm.seeding import fold, uniform

Observation = dict[str, NDArray[Any]]


def to_pettingzoo(game: Game) -> AECEnv:
    """An AEC environment of ``game``; seats that move at once act one after another, none seeing what another has just chosen.
    UserError for a game without a vector view, or with other than Discrete actions."""
    return Turns(Dealer(game, "an AEC environment"))


def to_parallel(game: Game) -> ParallelEnv:
    """A Parallel environment of ``game``. An agent that is not to act has the one legal action 0, which is not played. UserError,
    besides where ``to_pettingzoo`` has one, for a game in which seats do not move at once."""
    if not game.info.simultaneous:
        raise UserError(f"{game.info.name} cannot be a Parallel environment, since its seats move in turn: use to_pettingzoo")
    return Rounds(Dealer(game, "a Parallel environment"))


class Dealer:
    """Begins matches of a game, plays them, and shows them to agents."""

    def __init__(self, game: Game, what: str) -> None:
        info = game.info
        if not isinstance(info.action, Discrete) or info.message is not None:
            kind = "messages" if isinstance(info.action, Discrete) else f"{type(info.action).__name__} actions"
            raise UserError(f"{info.name} cannot be {what}, since it has {kind}; expected Discrete actions alone")
        if info.vector is None:
            raise UserError(f"{info.name} cannot be {what}, since it has no vector view; expected GameInfo.vector and View(vector=...)")
        self.game, self.actions, self.most = game, info.action.n, info.max_decisions
        self.agents = [f"player_{seat}" for seat in range(info.seats)]
        self.seat = {agent: seat for seat, agent in enumerate(self.agents)}
        self.root, self.deals = secrets.randbits(63), 0
        mask = spaces.Box(0, 1, (self.actions,), np.int8)
        seen = spaces.Dict({"observation": spaces.Box(-np.inf, np.inf, info.vector, np.float32), "action_mask": mask})
        self.observation_spaces = dict.fromkeys(self.agents, seen)
        self.action_spaces = {agent: spaces.Discrete(self.actions) for agent in self.agents}

    def deal(self, seed: int | None) -> None:
        """Begin the match of ``seed``, or without one the next of this dealer's own."""
        if seed is not None:
            self.root, self.deals = seed, 0
        self.seed = self.root if self.deals == 0 else int(fold(self.root, self.deals)) >> 1
        self.deals += 1
        self.draws = self.decisions = 0
        self.state: State = self.game.start(self.seed)
        self._settle()

    def move(self, moves: Mapping[Seat, int]) -> None:
        self.state.apply(moves)
        self.decisions += len(moves)
        self._settle()

    def _settle(self) -> None:
        """Let chance move, and see who is to act and what is legal."""
        state = self.state
        while not (to_act := state.to_act()) and (outcomes := state.chance()):
            state.apply_chance(pick(outcomes, uniform(self.seed, self.draws)))
            self.draws += 1
        self.to_act = to_act if len(to_act) < 2 else tuple(sorted(to_act))
        self.cut = state.cut() if not to_act else self.decisions >= self.most
        self.over = self.cut or not to_act
        self.legal = {} if self.over else {seat: state.legal(seat) for seat in self.to_act}

    def checked(self, agent: str, action: Any) -> int:
        """A legal action as an integer; ValueError for any other."""
        legal = self.legal[self.seat[agent]]
        if action not in legal:
            raise ValueError(f"{agent} played {action!r}; expected one of the legal actions {list(legal)}, as its action_mask says")
        return int(action)

    def observe(self, agent: str, legal: Sequence[int]) -> Observation:
        """What an agent sees, and a mask of what is ``legal``."""
        mask = bytearray(self.actions)
        for action in legal:
            mask[action] = 1
        return {"observation": self.state.view(self.seat[agent]).vector, "action_mask": np.frombuffer(mask, np.int8)}


class Turns(AECEnv):
    """See ``to_pettingzoo``. All agents live until the match is over."""

    def __init__(self, dealer: Dealer) -> None:
        super().__init__()
        self.dealer = dealer
        self.metadata = {"name": dealer.game.info.name, "render_modes": ["ansi"], "is_parallelizable": dealer.game.info.simultaneous}
        self.render_mode = "ansi"
        self.possible_agents = dealer.agents
        self.observation_spaces, self.action_spaces = dealer.observation_spaces, dealer.action_spaces
        self.agent_selection = dealer.agents[0]
        self.rewarded = False

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space[Any]:
        return self.action_spaces[agent]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        dealer = self.dealer
        dealer.deal(seed)
        self.agents = list(dealer.agents)
        self.gained = [0.0] * len(self.agents)
        self.rewards = dict.fromkeys(self.agents, 0.0)
        self._cumulative_rewards = dict.fromkeys(self.agents, 0.0)
        self.terminations = dict.fromkeys(self.agents, False)
        self.truncations = dict.fromkeys(self.agents, False)
        self.infos: dict[str, dict[str, Any]] = {agent: {} for agent in self.agents}
        self._skip_agent_selection = None
        self._settle()

    def step(self, action: Any) -> None:
        agent, dealer = self.agent_selection, self.dealer
        if dealer.over:
            self._was_dead_step(action)
            return
        move = dealer.checked(agent, action)
        if self.rewarded:
            self._clear_rewards()
            self.rewarded = False
        self._cumulative_rewards[agent] = 0.0
        self.chosen[dealer.seat[agent]] = move
        if len(self.chosen) < len(dealer.to_act):
            self.agent_selection = self.possible_agents[dealer.to_act[len(self.chosen)]]
            return
        dealer.move(self.chosen)
        self._settle()

    def _settle(self) -> None:
        dealer = self.dealer
        self.chosen: dict[Seat, int] = {}
        self.rewarded = False
        if dealer.over or not dealer.game.info.rewards_at_end:
            self._reward()
        if dealer.over:
            ended = self.truncations if dealer.cut else self.terminations
            ended.update(dict.fromkeys(self.agents, True))
            self.agent_selection = self.agents[0]
        else:
            self.agent_selection = self.possible_agents[dealer.to_act[0]]

    def _reward(self) -> None:
        returns = [float(value) for value in self.dealer.state.returns()]
        if returns != self.gained:
            for agent, now, before in zip(self.possible_agents, returns, self.gained, strict=True):
                self.rewards[agent] = now - before
            self.gained, self.rewarded = returns, True
            self._accumulate_rewards()

    def observe(self, agent: str) -> Observation:
        dealer = self.dealer
        return dealer.observe(agent, dealer.legal.get(dealer.seat[agent], ()) if agent == self.agent_selection else ())

    def render(self) -> str:
        return self.dealer.state.view(None).text

    def close(self) -> None:
        """Nothing is held open."""


class Rounds(ParallelEnv):
    """See ``to_parallel``."""

    def __init__(self, dealer: Dealer) -> None:
        self.dealer = dealer
        self.metadata = {"name": dealer.game.info.name, "render_modes": ["ansi"]}
        self.render_mode = "ansi"
        self.possible_agents = dealer.agents
        self.agents: list[str] = []
        self.observation_spaces, self.action_spaces = dealer.observation_spaces, dealer.action_spaces

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space[Any]:
        return self.action_spaces[agent]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self.dealer.deal(seed)
        self.agents = list(self.possible_agents)
        self.gained = np.zeros(len(self.agents))
        return self._observations(), {agent: {} for agent in self.possible_agents}

    def step(self, actions: Mapping[str, Any]) -> Any:
        dealer = self.dealer
        dealer.move({seat: dealer.checked(agent, actions[agent]) for seat in dealer.to_act for agent in (self.possible_agents[seat],)})
        returns = np.asarray(dealer.state.returns(), float)
        rewards, self.gained = returns - self.gained, returns
        if dealer.over:
            self.agents = []
        return (
            self._observations(),
            dict(zip(self.possible_agents, rewards.tolist(), strict=True)),
            dict.fromkeys(self.possible_agents, dealer.over and not dealer.cut),
            dict.fromkeys(self.possible_agents, dealer.cut),
            {agent: {} for agent in self.possible_agents},
        )

    def _observations(self) -> dict[str, Observation]:
        return {agent: self.dealer.observe(agent, self.dealer.legal.get(seat, (0,))) for agent, seat in self.dealer.seat.items()}

    def render(self) -> str:
        return self.dealer.state.view(None).text

    def close(self) -> None:
        """Nothing is held open."""
