"""SRPO (arXiv 2511.15605): what was lost earns by how near it came to what was won, measured without a reward model.

Winners of a group earn 1; their trajectories, embedded and standardised, are clustered (DBSCAN with two points a cluster at least, that
is, the connected parts of the graph of neighbours). A loser at distance d of the nearest cluster's centre earns
``most`` x sigmoid(steep x (1/2 - d')), d' = d scaled to 0..1 among the group's losers, 1/2 where they are equally far. Without winners or
without losers it is 1 and 0.

Our reading for games: a trajectory's embedding is how often it met each information set of its group; centres are means of these
counts as they are. One that met none earns nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from algorithms.groups import Floats, cell_sum, combined, group_of, learning
from algorithms.parts import Memory, OutcomeTransform
from algorithms.shaping import won
from marl_llm.ragged import spans
from marl_llm.records import Batch


@dataclass(frozen=True, kw_only=True)
class Progress(OutcomeTransform):
    """In the outcome's place."""

    most: float = 0.6
    steep: float = 10.0
    neighbours: float = 0.5
    """Distance within which two standardised winners are neighbours."""
    above: float = 0.0

    def channels(self, batch: Batch, units: Mapping[str, float], memory: Memory) -> Batch:
        right, counted, group = won(batch, self.above), learning(batch), group_of(batch, "seat", ("deal", "seat"))
        wins, size = cell_sum(group, right.astype(np.float64), counted), cell_sum(group, np.ones(len(group)), counted)
        worth = right.astype(np.float64)
        rows = np.flatnonzero(counted & (wins > 0) & (wins < size))
        rows = rows[np.argsort(group[rows], kind="stable")]
        views = combined([batch["match.game"][batch.up("turn", "match")], batch["turn.key"]])
        for members in np.split(rows, np.flatnonzero(np.diff(group[rows])) + 1) if len(rows) else ():
            visits, good = _visits(batch, views, members), right[members]
            found = self.earned(_nearest(visits[~good], centres(visits[good], self.neighbours)))
            worth[members[~good]] = np.where(visits[~good].any(1), found, 0.0)
        return batch.with_columns(**{"seat.outcome": worth})

    def earned(self, distance: Floats) -> Floats:
        """What losers of one group at these distances earn."""
        span = np.ptp(distance)
        scaled = (distance - distance.min()) / span if span > 1e-6 else np.full(len(distance), 0.5)
        return self.most / (1 + np.exp(-self.steep * (0.5 - scaled)))


def centres(winners: Floats, neighbours: float) -> Floats:
    """Means of clusters of the rows of ``winners``, or of all where no two are near; shapes [n, d] -> [clusters, d]."""
    spread = winners.std(0)
    scaled = winners / np.where(spread > 0, spread, 1.0)
    reach = np.linalg.norm(scaled[:, None] - scaled[None], axis=2) <= neighbours
    for _ in range(int(np.ceil(np.log2(len(winners))))):
        reach = reach @ reach
    label, count = np.unique(reach.argmax(1), return_counts=True)
    clusters = [winners[reach[first]].mean(0) for first in label[count > 1]]
    return np.stack(clusters or [winners.mean(0)])


def _nearest(rows: Floats, centres: Floats) -> Floats:
    return np.asarray(np.linalg.norm(rows[:, None] - centres[None], axis=2).min(1))


def _visits(batch: Batch, views: NDArray[np.int64], members: NDArray[np.int64]) -> Floats:
    """How often each trajectory met each information set that any of them met; shape [members, sets]."""
    turns, starts = spans(batch.starts["turn"], members)
    turns, of = (x[batch["turn.key"][turns] >= 0] for x in (turns, np.repeat(np.arange(len(members)), np.diff(starts))))
    met, place = np.unique(views[turns], return_inverse=True)
    counts = np.zeros((len(members), len(met)))
    np.add.at(counts, (of, place), 1)
    return counts
