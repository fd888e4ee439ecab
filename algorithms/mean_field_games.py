"""Finite mean-field games: exploitability, fictitious play and online mirror descent, as array code.

A mean-field game is the decision problem of one player among infinitely many alike, whose shares of states mu_t it meets and does not
move (Lasry and Lions 2007). A policy pi [T, S, A] makes the flow mu [T, S] of those who all play it; it is an equilibrium where nobody
gains by leaving it, that is where its exploitability is 0 (Perrin et al. 2020, arXiv 2007.03458):

    phi(pi) = max_pi' J(pi'; mu^pi) - J(pi; mu^pi).

Fictitious play, of the same paper, moves from pi_k towards a best response br_k to mu^pi_k at the rate alpha, 1 / (k + 1) by default:

    pi_{k+1}(a|x, t) = ((1 - alpha) mu_t(x) pi_k + alpha mu^br_t(x) br_k) / ((1 - alpha) mu_t(x) + alpha mu^br_t(x)),

uniform where nobody comes. Its flow is the mixture of both flows. With a ``temperature`` the response is softmax(Q* / temperature).
Online mirror descent (Perolat et al. 2021, arXiv 2103.00623) sums the values of its policies, y <- y + alpha Q^{pi_k, mu^pi_k} from
y = 0, and plays pi = softmax(y).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class MeanFieldGame(Protocol):
    """A game of S ``states``, A ``actions`` and T = ``horizon`` decisions at times 0 to T - 1."""

    states: int
    actions: int
    horizon: int
    initial: Array
    """Shares of the states at time 0, [S]."""

    def transition(self, mu: Array, t: int) -> Array:
        """Probabilities [S, A, S] of the states at t + 1 where the shares at t are mu [S]; not asked for at the last time."""
        ...

    def reward(self, mu: Array, t: int) -> Array:
        """What is gained at t in each state by each action, [S, A]."""
        ...


def uniform(game: MeanFieldGame) -> Array:
    """The policy that does everything equally often, [T, S, A]."""
    return np.full((game.horizon, game.states, game.actions), 1 / game.actions)


def flow(game: MeanFieldGame, pi_TSA: Array) -> Array:
    """Shares of states over time where all play a policy, [T, S]."""
    mu_TS = np.zeros((game.horizon, game.states))
    mu_TS[0] = game.initial
    for t in range(game.horizon - 1):
        mu_TS[t + 1] = np.einsum("s,sa,sax->x", mu_TS[t], pi_TSA[t], game.transition(mu_TS[t], t))
    return mu_TS


def action_values(game: MeanFieldGame, mu_TS: Array, pi_TSA: Array | None = None) -> Array:
    """Q [T, S, A] among players whose flow is given, of one that goes on by a policy, or as well as can be where there is none."""
    q_TSA = np.zeros((game.horizon, game.states, game.actions))
    for t in reversed(range(game.horizon)):
        q_TSA[t] = game.reward(mu_TS[t], t)
        if t + 1 < game.horizon:
            q_SA = q_TSA[t + 1]
            v_S = q_SA.max(1) if pi_TSA is None else (pi_TSA[t + 1] * q_SA).sum(1)
            q_TSA[t] += game.transition(mu_TS[t], t) @ v_S
    return q_TSA


def value(game: MeanFieldGame, pi_TSA: Array) -> float:
    """What a player expects where all, itself too, play a policy."""
    q_TSA = action_values(game, flow(game, pi_TSA), pi_TSA)
    return float(game.initial @ (pi_TSA[0] * q_TSA[0]).sum(1))


def exploitability(game: MeanFieldGame, pi_TSA: Array) -> float:
    """What one player gains at most, in expectation over its first state, by leaving the policy that all others play."""
    mu_TS = flow(game, pi_TSA)
    best_SA, own_SA = action_values(game, mu_TS)[0], action_values(game, mu_TS, pi_TSA)[0]
    return float(game.initial @ (best_SA.max(1) - (pi_TSA[0] * own_SA).sum(1)))


def fictitious_play(game: MeanFieldGame, rate: float | None = None, temperature: float | None = None) -> Iterator[Array]:
    """The policies after 1, 2, ... iterations, from the uniform one. ``rate`` 1 is fixed-point iteration; the first of equally good
    actions is the best response."""
    pi_TSA = uniform(game)
    for k in count(1):
        mu_TS = flow(game, pi_TSA)
        q_TSA = action_values(game, mu_TS)
        br_TSA = np.eye(game.actions)[q_TSA.argmax(2)] if temperature is None else softmax(q_TSA / temperature)
        alpha = 1 / (k + 1) if rate is None else rate
        old_TS1, new_TS1 = (1 - alpha) * mu_TS[..., None], alpha * flow(game, br_TSA)[..., None]
        mass_TS1 = old_TS1 + new_TS1
        mixed_TSA = old_TS1 * pi_TSA + new_TS1 * br_TSA
        pi_TSA = np.divide(mixed_TSA, mass_TS1, out=uniform(game), where=mass_TS1 > 0)
        yield pi_TSA


def mirror_descent(game: MeanFieldGame, rate: float = 1.0) -> Iterator[Array]:
    """The policies after 1, 2, ... iterations, from the uniform one."""
    y_TSA = np.zeros((game.horizon, game.states, game.actions))
    while True:
        pi_TSA = softmax(y_TSA)
        y_TSA = y_TSA + rate * action_values(game, flow(game, pi_TSA), pi_TSA)
        yield softmax(y_TSA)


def softmax(y_TSA: Array) -> Array:
    """Over the actions."""
    e_TSA = np.exp(y_TSA - y_TSA.max(-1, keepdims=True))
    return e_TSA / e_TSA.sum(-1, keepdims=True)
