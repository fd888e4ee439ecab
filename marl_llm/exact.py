"""Ground truth on small games: expected returns, best responses, exploitability, and the averaged policy.

A policy is a flat array aligned with ``tree.legal.data``: the probability of every legal action of every information
set of every seat. Values agree with OpenSpiel's to float precision (tested).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from marl_llm.agent import Agent, Request
from marl_llm.ragged import segment_sum
from marl_llm.tree import OVER, Tree


class NotExact(ValueError):
    """Exact evaluation would be wrong or impossible here; the message says why."""


def request_of(tree: Tree, infosets: NDArray[np.int64] | None = None) -> Request:
    """A request for the policy at the given (by default all) information sets."""
    rows = np.arange(len(tree.keys)) if infosets is None else infosets
    none = np.zeros(len(rows), np.int64)
    return Request(
        id=rows,
        seat=tree.owner[rows],
        turn=tree.own_depth[rows],
        seed=none.astype(np.uint64),
        views=tree.views(rows),
        legal=tree.legal.take(rows),
        memory=[None] * len(rows),
        fault=none.astype(np.int8),
    )


def policy_of(tree: Tree, agent: Agent) -> NDArray[np.float64]:
    """The policy of ``agent`` in every seat; its policy must be a function of the view's key."""
    policy = agent.policy(request_of(tree)).data.astype(np.float64)
    total = segment_sum(policy, tree.legal.starts)
    if policy.min() < 0 or abs(total - 1).max() > 1e-4:
        worst = int(abs(total - 1).argmax())
        raise NotExact(f"policy at {tree.keys[worst]!r} sums to {total[worst]:.6g}; expected probabilities that sum to 1")
    return policy / np.repeat(total, tree.legal.lengths)


def join(tree: Tree, policies: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """One policy from one of each seat: seat ``s`` plays ``policies[s]``."""
    owner = np.repeat(tree.owner, tree.legal.lengths)
    return np.choose(owner, policies)


def node_values(tree: Tree, policy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Expected returns from every node on, shape [nodes, seats]."""
    chance = np.where(tree.edge_choice < 0, tree.chance, policy[tree.edge_choice])
    values = tree.gains.copy()
    for layer in reversed(tree.layers):
        first, last = tree.children.starts[layer.start], tree.children.starts[layer.stop]
        if first == last:
            continue
        below = chance[first:last, None] * values[tree.children.data[first:last]]
        starts = tree.children.starts[layer.start : layer.stop + 1] - first
        inner = np.diff(starts) > 0
        values[layer][inner] = segment_sum(below, starts)[inner]
    return values


def reach(tree: Tree, policy: NDArray[np.float64], *, without: int | None = None) -> NDArray[np.float64]:
    """Probability that play comes to each node; ``without`` a seat counts that seat's own moves as certain."""
    chance = np.where(tree.edge_choice < 0, tree.chance, policy[tree.edge_choice])
    if without is not None:
        chance = np.where(tree.seat[tree.edge_node] == without, 1.0, chance)
    mass = np.zeros(len(tree.seat))
    mass[0] = 1
    for layer in tree.layers:
        entries = slice(tree.children.starts[layer.start], tree.children.starts[layer.stop])
        np.add.at(mass, tree.children.data[entries], chance[entries] * mass[tree.edge_node[entries]])
    return mass


def expected_returns(tree: Tree, policy: NDArray[np.float64]) -> NDArray[np.float64]:
    """What each seat gains on average, shape [seats]."""
    return node_values(tree, policy)[0]


def results(tree: Tree, policy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probability that each seat wins, draws and loses (ends above, at and below zero), shape [seats, 3]."""
    over = tree.seat == OVER
    sign = np.sign(tree.gains[over])
    return np.stack([reach(tree, policy)[over] @ (sign == kind) for kind in (1, 0, -1)], 1)


def best_response(tree: Tree, policy: NDArray[np.float64], seat: int) -> tuple[float, NDArray[np.float64]]:
    """The most ``seat`` can gain against the others' ``policy``, and a policy (others unchanged) that gains it.

    Information sets are decided from the seat's last decision to its first, each by the counterfactual values of its
    actions. Exact under perfect recall, and where positions are fully known.
    """
    if not (tree.perfect_recall or tree.merged):
        raise NotExact(
            f"{tree.info.name}: views forget what the seat knew (no perfect recall), so a best response cannot be computed exactly"
        )
    weight = reach(tree, policy, without=seat)
    best = policy.copy()
    owner = np.repeat(tree.owner, tree.legal.lengths)
    mine = np.flatnonzero(tree.seat[tree.edge_node] == seat)
    row = tree.legal.row_of()
    for depth in range(int(tree.own_depth[tree.owner == seat].max(initial=-1)), -1, -1):
        values = node_values(tree, best)[:, seat]
        gain = np.zeros(len(best))
        np.add.at(gain, tree.edge_choice[mine], weight[tree.edge_node[mine]] * values[tree.children.data[mine]])
        chosen = np.flatnonzero((owner == seat) & (tree.own_depth[row] == depth))
        best[chosen] = 0
        order = chosen[np.lexsort((-gain[chosen], row[chosen]))]  # ties go to the action listed first
        first = np.ones(len(order), bool)
        first[1:] = row[order][1:] != row[order][:-1]
        best[order[first]] = 1
    return float(node_values(tree, best)[0, seat]), best


def best_responses(tree: Tree, policy: NDArray[np.float64]) -> NDArray[np.float64]:
    """The most that each seat can gain while the others keep to ``policy``, shape [seats]."""
    return np.asarray([best_response(tree, policy, seat)[0] for seat in range(tree.info.seats)])


def nash_conv(tree: Tree, policy: NDArray[np.float64]) -> float:
    """Sum over seats of what a best response gains over ``policy``."""
    return float((best_responses(tree, policy) - expected_returns(tree, policy)).sum())


def exploitability(tree: Tree, policy: NDArray[np.float64]) -> float:
    """``nash_conv`` a seat: 0 at a Nash equilibrium."""
    return nash_conv(tree, policy) / tree.info.seats


def own_reach(tree: Tree, policy: NDArray[np.float64]) -> NDArray[np.float64]:
    """For every information set the product of the owner's own probabilities on the way to it."""
    if not tree.perfect_recall or tree.merged:
        raise NotExact(f"{tree.info.name}: a seat comes to one view by different own moves, so its own reach is not defined")
    x = np.ones(len(tree.keys))
    row = tree.legal.row_of()
    for depth in range(1, int(tree.own_depth.max(initial=0)) + 1):
        here = np.flatnonzero(tree.own_depth == depth)
        above = tree.own_parent[here]
        x[here] = x[row[above]] * policy[above]
    return x


@dataclass
class AveragedPolicy:
    """The realisation-weighted average of a sequence of policies: equivalent to drawing one of them for each match.

    pi(a|I) = sum_t w_t x_t(I) pi_t(a|I) / sum_t w_t x_t(I), with x_t the owner's own reach. Averaging the probabilities
    of each information set alone is a different policy, with other returns.
    """

    tree: Tree
    mass: NDArray[np.float64] | None = None
    """sum_t w_t x_t(I) pi_t(a|I), aligned with ``tree.legal.data``."""

    def add(self, policy: NDArray[np.float64], weight: float | NDArray[np.float64]) -> None:
        """Count ``policy`` in with ``weight``, a number or one for every seat."""
        tree = self.tree
        own = np.broadcast_to(weight, tree.info.seats)[tree.owner] * own_reach(tree, policy)
        self.mass = np.repeat(own, tree.legal.lengths) * policy + (0 if self.mass is None else self.mass)

    def policy(self) -> NDArray[np.float64]:
        """The average; uniform where no counted policy comes."""
        if self.mass is None:
            return self.tree.uniform_policy()
        total = np.repeat(segment_sum(self.mass, self.tree.legal.starts), self.tree.legal.lengths)
        return np.where(total > 0, self.mass / np.where(total > 0, total, 1), self.tree.uniform_policy())
