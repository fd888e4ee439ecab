"""OpenSpiel's mean-field games, played by a population of N: ``openspiel:mfg_crowd_modelling(size=20,seats=100)``.

A mean-field game is one representative player's walk through chance, decision and mean-field nodes; at a mean-field node
it is told the distribution of its like over states. Here every seat has such a walk. All walks are at the same kind of
node at the same time: chance moves for each seat apart, all seats decide at once, and at a mean-field node each is told the
empirical distribution, the share of the seats (of each population, where there are several: seat i is in population i mod
their number) that are in each state now. As N grows that is the distribution OpenSpiel's mean-field algorithms compute, and
what a seat gains on average is their value of the policy that all play (Lasry and Lions, 2007; Perrin et al., 2020,
https://arxiv.org/abs/2007.03458).

A seat sees its own state and no other's: in the limit the rest follows from the policy that all play.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyspiel

from games.openspiel.native import load, short_name
from games.openspiel.texts.generic import Generic
from marl_llm.boards import CHANCE_MOVES_IN_A_ROW
from marl_llm.errors import UserError
from marl_llm.game import Action, Discrete, Game, GameInfo, Seat, State, View
from marl_llm.seeding import generator

SEATS = 10
WALKS = 32


class MeanField(Game):
    """A mean-field game for ``seats`` seats, at least one a population; other parameters are OpenSpiel's.

    Returns are bounded as OpenSpiel says, else (it mostly says infinity) as ``_bounds`` finds.
    """

    def __init__(self, name: str) -> None:
        short = short_name(name)
        given = pyspiel.game_parameters_from_string(name)
        seats = given.pop("seats", SEATS)
        parameters = ",".join(f"{key}={value}" for key, value in given.items() if key != "name")
        self.native = load(f"{short}({parameters})")
        self.roots = self.native.new_initial_states()
        if not isinstance(seats, int) or not len(self.roots) <= seats <= CHANCE_MOVES_IN_A_ROW:
            raise UserError(f"{short}: seats is {seats!r}; expected an integer from {len(self.roots)} to {CHANCE_MOVES_IN_A_ROW}")
        kind = self.native.get_type()
        self.text = Generic(self.native)
        size = int(np.prod(self.native.observation_tensor_shape())) if kind.provides_observation_tensor else 0
        bounds = self.native.min_utility(), self.native.max_utility()
        self.info = GameInfo(
            name=f"{short}({parameters}{',' if parameters else ''}seats={seats})",
            seats=seats,
            returns=bounds if np.isfinite(bounds).all() else _bounds(self.roots, seats / len(self.roots)),
            max_decisions=self.native.max_game_length() * seats,
            action=Discrete(self.native.num_distinct_actions()),
            vector=(size,) if size else None,
            anonymous=len(self.roots) == 1,
            simultaneous=True,
            key_kind="state",
            summary=kind.long_name,
        )

    def start(self, seed: int) -> State:
        population = [seat % len(self.roots) for seat in range(self.info.seats)]
        size = Counter(population)
        return Crowd(self, Walks([self.roots[p].clone() for p in population], [1 / size[p] for p in population]))

    def rules(self, seat: Seat) -> str:
        kind = self.native.get_type()
        return (
            f"This is the game {kind.long_name}, played by {self.info.seats} players who move at once and see their own states only. "
            f"What you gain depends on your state and on how many players are in it or near it. You are player {seat}, counting from 0."
        )


class Walks:
    """The native states of some players, in step. ``weights`` [players] are their shares of their populations."""

    def __init__(self, natives: list[Any], weights: Sequence[float]) -> None:
        self.natives, self.weights = natives, weights
        self.gained = [0.0] * len(natives)
        self.drawn = 0
        """How many have had their chance at this chance node."""
        self._settle()

    def clone(self) -> Walks:
        copy = object.__new__(Walks)
        copy.natives, copy.weights = [native.clone() for native in self.natives], self.weights
        copy.gained, copy.drawn = list(self.gained), self.drawn
        return copy

    @property
    def by_chance(self) -> bool:
        return self.natives[-1].is_chance_node()  # the last to draw: once it has, all have

    def draw(self, outcome: int) -> None:
        """Let chance choose for the next player."""
        self.natives[self.drawn].apply_action(outcome)
        self.drawn += 1
        if self.drawn == len(self.natives):
            self._settle()

    def move(self, actions: Sequence[int]) -> None:
        for native, action in zip(self.natives, actions, strict=True):
            native.apply_action(action)
        self._settle()

    def _settle(self) -> None:
        """Collect what is gained here, and tell everyone the distribution where it is asked for, up to a node of choice.

        A return is the sum of rewards over nodes, as in OpenSpiel's policy values; the returns of some of its games are not.
        """
        self.drawn = 0
        while not self.by_chance:
            for i, native in enumerate(self.natives):
                self.gained[i] += native.rewards()[native.mean_field_population()]
            if not self.natives[0].is_mean_field_node():
                return
            share: Counter[str] = Counter()
            for native, weight in zip(self.natives, self.weights, strict=True):
                share[native.observation_string(0)] += weight  # type: ignore[assignment]
            for native in self.natives:
                native.update_distribution([share[state] for state in native.distribution_support()])


class Crowd(State):
    """One match: the walks of all seats."""

    def __init__(self, game: MeanField, walks: Walks) -> None:
        self.game, self.walks = game, walks

    def to_act(self) -> tuple[Seat, ...]:
        first = self.walks.natives[0]
        return () if self.walks.by_chance or first.is_terminal() else tuple(range(self.game.info.seats))

    def legal(self, seat: Seat) -> Sequence[int]:
        return self.walks.natives[seat].legal_actions()

    def apply(self, moves: Mapping[Seat, Action]) -> None:
        self.walks.move([moves[seat] for seat in range(self.game.info.seats)])

    def chance(self) -> Sequence[tuple[int, float]]:
        return self.walks.natives[self.walks.drawn].chance_outcomes() if self.walks.by_chance else ()

    def apply_chance(self, outcome: int) -> None:
        self.walks.draw(outcome)

    def returns(self) -> Sequence[float]:
        return self.walks.gained

    def view(self, seat: Seat | None) -> View:
        if seat is None:
            return View(text=lambda: "\n".join(map(str, self.walks.natives)), key=lambda: "\n".join(map(str, self.walks.natives)))
        native = self.walks.natives[seat]
        return View(
            text=lambda: native.observation_string(native.mean_field_population()),
            vector=lambda: np.asarray(native.observation_tensor(native.mean_field_population()), np.float32),
            key=lambda: f"{seat}:{native.observation_string(native.mean_field_population())}",
        )

    def action_text(self, seat: Seat, action: Action) -> str:
        native = self.walks.natives[seat]
        names = self.game.text.actions(native, native.mean_field_population())
        return names[native.legal_actions().index(action)]

    def clone(self) -> State:
        return Crowd(self.game, self.walks.clone())


def _bounds(roots: Sequence[Any], seats: float) -> tuple[float, float]:
    """Bounds of a return where OpenSpiel states none, for ``seats`` seats a population: steps times the extreme rewards of
    random walks of a player alone and of a crowd that stands all in one state, widened by half."""
    rng = generator(20_25)
    low = high = 0.0
    steps = 1
    for walk in range(WALKS):
        alone = walk % len(roots)
        weights = [1 - 1 / seats if i == alone else 1.0 for i in range(len(roots))]
        walks = Walks([*(root.clone() for root in roots), roots[alone].clone()], [*weights, 1 / seats])
        taken, before = 1, np.zeros(len(walks.natives))
        while not walks.natives[0].is_terminal():
            if walks.by_chance:
                outcomes, chances = zip(*walks.natives[walks.drawn].chance_outcomes(), strict=True)
                walks.draw(outcomes[int(rng.choice(len(outcomes), p=np.asarray(chances) / sum(chances)))])
            else:
                walks.move([int(rng.choice(native.legal_actions())) for native in walks.natives])
            rewards = np.asarray(walks.gained) - before
            if rewards.any():
                before, taken = np.asarray(walks.gained), taken + 1
                low, high = min(low, rewards.min()), max(high, rewards.max())
        steps = max(steps, taken)
    slack = (high - low) / 2
    return float(steps * (low - slack)), float(steps * (high + slack))
