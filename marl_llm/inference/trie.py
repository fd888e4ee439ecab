"""The legal replies of one decision as a trie over token ids, ended by an end token: what ``choose`` samples from.

Where a node has one child the token is forced: it costs no model call and has log-probability 0. Where it has several,
the model's distribution is renormalised over them, so the probabilities of all replies sum to 1 whatever their texts,
one a prefix of another included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Path = tuple[int, ...]


@dataclass(frozen=True)
class Trie:
    """``replies[a]`` are the token ids of reply ``a`` with the end token.

    Branching nodes are numbered, deepest first; node ``b`` lies after the tokens ``paths[b]`` and may continue with ``supports[b]``.
    ``node[a][j]`` is the node at which token ``j`` of reply ``a`` is chosen (-1 where it is forced), ``place[a][j]`` its
    place in that node's support.
    """

    replies: tuple[Path, ...]
    paths: tuple[Path, ...]
    supports: tuple[Path, ...]
    node: tuple[Path, ...]
    place: tuple[Path, ...]

    @staticmethod
    def of(texts: Sequence[Sequence[int]], end: int) -> Trie:
        """From the canonical token ids of each reply; ValueError where two replies are equal or empty."""
        replies = tuple((*map(int, text), end) for text in texts)
        if len(set(replies)) != len(replies) or any(len(reply) == 1 for reply in replies):
            raise ValueError("legal actions must have distinct, non-empty texts")
        children: dict[Path, list[int]] = {}
        for reply in replies:
            for j, token in enumerate(reply):
                after = children.setdefault(reply[:j], [])
                if token not in after:
                    after.append(token)
        paths = tuple(sorted((path for path, after in children.items() if len(after) > 1), key=lambda path: (-len(path), path)))
        number = {path: b for b, path in enumerate(paths)}
        supports = tuple(tuple(children[path]) for path in paths)
        node = tuple(tuple(number.get(reply[:j], -1) for j in range(len(reply))) for reply in replies)
        place = tuple(
            tuple(supports[b].index(reply[j]) if b >= 0 else 0 for j, b in enumerate(nodes))
            for reply, nodes in zip(replies, node, strict=True)
        )
        return Trie(replies, paths, supports, node, place)

    def log_probs(self, node_logp: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        """Log-probability of every reply from the log-probabilities over each branching node's support."""
        return np.asarray(
            [
                sum(node_logp[b][k] for b, k in zip(nodes, places, strict=True) if b >= 0)
                for nodes, places in zip(self.node, self.place, strict=True)
            ],
            np.float64,
        )
