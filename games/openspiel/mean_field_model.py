"""An OpenSpiel mean-field game as arrays, for solvers that compute with distributions: ``MeanFieldModel("mfg_crowd_modelling")``.

States are what OpenSpiel's own solvers tell apart, the observation strings of decision nodes; each is stood for by the node that a
depth-first walk from the root meets first. Where a reward depends on more than the string, as that of crowd modelling does on the last
move, the values are so those of OpenSpiel's solvers (they keep one value a string), not those of the game as its rules say.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyspiel
from numpy.typing import NDArray

from games.openspiel.native import load
from marl_llm.errors import UserError

Array = NDArray[np.float64]


class MeanFieldModel:
    """A game of one population in which all actions are always legal and rewards come at decisions. State i at time t is the i-th of
    ``names[t]``."""

    def __init__(self, name: str) -> None:
        native = load(name)
        roots = native.new_initial_states()
        if native.get_type().dynamics != pyspiel.GameType.Dynamics.MEAN_FIELD or len(roots) != 1:
            raise UserError(f"{name} is no mean-field game of one population; expected one, such as mfg_crowd_modelling")
        self.name, self.actions = name, native.num_distinct_actions()
        self.names: list[dict[str, int]] = []
        """Of every time the states and their numbers."""
        self.asked: dict[str, int] = {}
        """The number of the state that follows a mean-field node, by the string under which a distribution is asked for it."""
        self.nodes: list[list[tuple[Any, list[str] | None]]] = []
        """Of every time and state the node before its decision and, where that waits for a distribution, the states it is asked of."""
        first: list[tuple[float, int]] = []
        self.seen: set[str] = set()
        self._walk(roots[0], 1.0, 0, first)
        self.horizon, self.states = len(self.names), max(map(len, self.names))
        self.initial = np.zeros(self.states)
        for share, state in first:
            self.initial[state] += share

    def _walk(self, node: Any, share: float, t: int, first: list[tuple[float, int]], waits: Any = None) -> None:
        """Meet all that follows a node at time t; ``first`` collects the states that the root leads to."""
        text = node.observation_string(0)
        if node.is_terminal():
            return
        if node.is_player_node():
            state = self._meet(node, text, t, waits)
            if t == 0:
                first.append((share, state))
        if text in self.seen:
            return
        self.seen.add(text)
        if node.is_chance_node():
            for outcome, chance in node.chance_outcomes():
                self._walk(node.child(outcome), share * chance, t, first)
        elif node.is_mean_field_node():
            self._walk(_told(node), share, t, first, node)
        else:
            if len(node.legal_actions()) != self.actions:
                raise UserError(f"{self.name} has states without some of the actions; expected a game in which all are always legal")
            for action in node.legal_actions():
                self._walk(node.child(action), 0.0, t + 1, first)

    def _meet(self, node: Any, text: str, t: int, waits: Any) -> int:
        if t == len(self.names):
            self.names.append({})
            self.nodes.append([])
        if text not in self.names[t]:
            self.names[t][text] = len(self.names[t])
            self.nodes[t].append((node, None) if waits is None else (waits, waits.distribution_support()))
        if waits is not None:
            self.asked[waits.observation_string(0)] = self.names[t][text]
        return self.names[t][text]

    def _decision(self, mu: Array, t: int, state: int) -> Any:
        """The decision node of a state where the shares are mu."""
        node, support = self.nodes[t][state]
        if support is None:
            return node
        after = node.clone()
        after.update_distribution([float(mu[self.asked[text]]) if text in self.asked else 0.0 for text in support])
        return after

    def transition(self, mu: Array, t: int) -> Array:
        """[states, actions, states]; states that there are none of at this time stay what they are."""
        moved = np.repeat(np.eye(self.states)[:, None], self.actions, 1)
        for state in range(len(self.nodes[t])):
            decision = self._decision(mu, t, state)
            for action in decision.legal_actions():
                moved[state, action] = 0
                self._spread(decision.child(action), 1.0, moved[state, action], self.names[t + 1])
        return moved

    def _spread(self, node: Any, chance: float, into: Array, names: dict[str, int]) -> None:
        if node.is_chance_node():
            for outcome, p in node.chance_outcomes():
                self._spread(node.child(outcome), chance * p, into, names)
        elif node.is_mean_field_node():
            self._spread(_told(node), chance, into, names)
        else:
            into[names[node.observation_string(0)]] += chance

    def reward(self, mu: Array, t: int) -> Array:
        """[states, actions], the same for every action."""
        paid = np.zeros(self.states)
        for state in range(len(self.nodes[t])):
            paid[state] = self._decision(mu, t, state).rewards()[0]
        return np.repeat(paid[:, None], self.actions, 1)


def _told(node: Any) -> Any:
    """What follows a mean-field node; which distribution it is told changes no state's name."""
    after, support = node.clone(), node.distribution_support()
    after.update_distribution([1 / len(support)] * len(support))
    return after
