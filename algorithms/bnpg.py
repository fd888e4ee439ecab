"""BNPG: exact policy gradients for a team whose seats may see what others have just chosen (Chen et al. 2023, arXiv 2306.01920).

A directed acyclic graph says which seats' choices a seat sees before its own: the joint policy is a Bayesian network,

    pi(a | s) = prod over seats i of pi_i(a_i | s, a_Pa(i)).

Without edges it is the product of independent policies, with all edges it can be any joint policy, and then gradient ascent reaches
equilibria that independent seats miss. With tabular softmax policies, Q of the joint policy and d its discounted distribution of states,

    dJ / dtheta_i(s, a_Pa, a_i) = 1 / (1 - gamma) d(s) E[ 1{a_Pa(i) = a_Pa} (1{a_i} - pi_i(a_i | s, a_Pa)) Q(s, a) ].

Everything is computed exactly on a finite team decision process, for any number of runs at once. Axes: [R] runs, [S] states, [A] joint
actions (seat 0's choice is the most significant digit), [C] choices of a seat, [P] joint choices of its parents.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Team:
    """A finite team decision process: what a state pays, where joint actions lead, and where matches begin."""

    reward_S: Floats
    """Paid for being in a state, whatever is done there."""
    to_SAS: Floats
    """Probability of the next state."""
    start_S: Floats
    gamma: float
    choices: tuple[int, ...]
    """Choices of each seat."""

    @cached_property
    def joint(self) -> NDArray[np.int64]:
        """Every seat's choice in each joint action, [A, seats]."""
        return np.stack(np.unravel_index(np.arange(int(np.prod(self.choices))), self.choices), 1)

    def optimum(self) -> Floats:
        """The best value of every state, [S], by value iteration to 1e-12."""
        value_S = np.zeros(len(self.reward_S))
        while True:
            better_S = self.reward_S + self.gamma * (self.to_SAS @ value_S).max(1)
            if np.abs(better_S - value_S).max() < 1e-12:
                return better_S
            value_S = better_S


def chain(seats: int) -> tuple[tuple[int, ...], ...]:
    """Each seat sees the one before it."""
    return tuple((seat - 1,) if seat else () for seat in range(seats))


def full(seats: int) -> tuple[tuple[int, ...], ...]:
    """Each seat sees all before it: any joint policy."""
    return tuple(tuple(range(seat)) for seat in range(seats))


def none(seats: int) -> tuple[tuple[int, ...], ...]:
    """Nobody sees anybody: independent policies."""
    return ((),) * seats


class Network:
    """The joint policies of ``runs`` Bayesian networks over one graph: ``parents[i]`` are the seats that seat i sees.

    ``theta[i]`` are the logits of seat i, [R, S, P, C], drawn from the standard normal distribution.
    """

    def __init__(self, team: Team, parents: Sequence[Sequence[int]], runs: int, rng: np.random.Generator) -> None:
        self.team = team
        sizes = [[team.choices[parent] for parent in seen] for seen in parents]
        self.seen = [
            np.ravel_multi_index(tuple(team.joint[:, list(seen)].T), size) if seen else np.zeros(len(team.joint), np.int64)
            for seen, size in zip(parents, sizes, strict=True)
        ]
        """For every joint action, [A], which of its parents' joint choices a seat sees."""
        states = len(team.reward_S)
        self.theta = [
            rng.standard_normal((runs, states, int(np.prod(size)), choices)) for size, choices in zip(sizes, team.choices, strict=True)
        ]

    def policies(self) -> list[Floats]:
        """Each seat's policy, [R, S, P, C]."""
        raised = [np.exp(theta - theta.max(-1, keepdims=True)) for theta in self.theta]
        return [weight / weight.sum(-1, keepdims=True) for weight in raised]

    def joint(self, policies: Sequence[Floats]) -> Floats:
        """The joint policy, [R, S, A]."""
        chosen = self.team.joint.T
        return np.prod([pi[:, :, seen, own] for pi, seen, own in zip(policies, self.seen, chosen, strict=True)], 0)

    def evaluate(self, joint_RSA: Floats) -> tuple[Floats, Floats, Floats]:
        """Values [R, S], action values [R, S, A] and discounted state distributions [R, S] (they sum to 1)."""
        team, states = self.team, np.eye(len(self.team.reward_S))
        inverse_RSS = np.linalg.inv(states - team.gamma * np.einsum("rsa,sat->rst", joint_RSA, team.to_SAS))
        value_RS = inverse_RSS @ team.reward_S
        q_RSA = team.reward_S[:, None] + team.gamma * np.einsum("sat,rt->rsa", team.to_SAS, value_RS)
        return value_RS, q_RSA, (1 - team.gamma) * np.einsum("s,rst->rt", team.start_S, inverse_RSS)

    def gradient(self) -> tuple[Floats, list[Floats]]:
        """J = E[V(start)] of every run, [R], and its gradient by each seat's ``theta``."""
        policies = self.policies()
        joint_RSA = self.joint(policies)
        value_RS, q_RSA, visited_RS = self.evaluate(joint_RSA)
        mass_RSA = visited_RS[..., None] * joint_RSA * q_RSA / (1 - self.team.gamma)
        gradients = []
        for pi_RSPC, seen, own in zip(policies, self.seen, self.team.joint.T, strict=True):
            _, _, situations, choices = pi_RSPC.shape
            place = np.zeros((len(seen), situations * choices))
            place[np.arange(len(seen)), seen * choices + own] = 1
            each_RSPC = (mass_RSA @ place).reshape(pi_RSPC.shape)
            gradients.append(each_RSPC - pi_RSPC * each_RSPC.sum(-1, keepdims=True))
        return value_RS @ self.team.start_S, gradients

    def ascend(self, steps: int, rate: float) -> Floats:
        """``steps`` of gradient ascent; J after them, [R]."""
        for _ in range(steps):
            for theta, gradient in zip(self.theta, self.gradient()[1], strict=True):
                theta += rate * gradient
        return self.gradient()[0]
