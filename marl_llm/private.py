"""Whether what a seat alone knows shows in its play: the first thing that collapsed self-play loses.

Two information sets of one seat are *twins* if they differ only in the seat's private chance: some history of each has the
same moves, and no other seat can tell these two apart. Another seat cannot where its last own information set is the same
in both, and so may be its next one (or it has none to come in either).
"""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from marl_llm.exact import reach
from marl_llm.ragged import segment_sum, spans
from marl_llm.tree import Tree

COLLAPSED = 0.05
"""A ``private_tv`` below this is reported as collapse."""


def twins(tree: Tree) -> NDArray[np.int64]:
    """All pairs of information sets with the same legal actions that differ only in their seat's private chance, [pairs, 2].

    None where nothing is private, and none where views forget (no perfect recall).
    """
    found: set[tuple[int, int]] = set()
    if not tree.perfect_recall or tree.merged:
        return np.zeros((0, 2), np.int64)
    seat, infoset, owner = tree.seat.tolist(), tree.infoset.tolist(), tree.owner.tolist()
    up = [-1] * len(seat)
    moves, last = [0] * len(seat), [(-1,) * tree.info.seats] * len(seat)
    coming: list[set[int]] = [set() for _ in seat]
    names: dict[tuple[int, int], int] = {}
    groups: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
    action = tree.legal.data[tree.edge_choice].tolist()  # read at decisions only
    for above, child, move in zip(tree.edge_node.tolist(), tree.children.data.tolist(), action, strict=True):
        up[child], moves[child], last[child] = above, moves[above], last[above]
        if (s := seat[above]) >= 0:
            moves[child] = names.setdefault((moves[above], move), 1 + len(names))
            last[child] = (*last[above][:s], infoset[above], *last[above][s + 1 :])
    for node, s in enumerate(seat):
        if s >= 0:
            groups[s, moves[node], *last[node][:s], *last[node][s + 1 :]].append(node)
            above = up[node]
            while above >= 0 and seat[above] != s:
                coming[above].add(infoset[node])
                above = up[above]
    for group in groups.values():
        for one, two in combinations(group, 2):
            pair = infoset[one], infoset[two]
            if pair[0] != pair[1] and pair not in found:
                both, either = coming[one] & coming[two], coming[one] | coming[two]
                if {owner[i] for i in both} == {owner[i] for i in either}:
                    found |= {pair, pair[::-1]}
    alike = (pair for pair in found if pair[0] < pair[1] and np.array_equal(tree.legal[pair[0]], tree.legal[pair[1]]))
    return np.asarray(sorted(alike), np.int64).reshape(-1, 2)


def private_tv(tree: Tree, policy: NDArray[np.float64], pairs: NDArray[np.int64]) -> float | None:
    """Mean total-variation distance between the policies at ``twins``, each pair weighted by how often play comes to it.

    0 for play that is blind to private chance; None where play comes to no twins.
    """
    decided = tree.infoset >= 0
    visits = np.bincount(tree.infoset[decided], reach(tree, policy)[decided], len(tree.keys))
    weight = visits[pairs].sum(1)
    if not weight.sum():
        return None
    (one, starts), (two, _) = spans(tree.legal.starts, pairs[:, 0]), spans(tree.legal.starts, pairs[:, 1])
    distance = segment_sum(abs(policy[one] - policy[two]), starts) / 2
    return float(np.average(distance, weights=weight))
