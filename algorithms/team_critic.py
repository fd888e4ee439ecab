"""What critics of teams share: features of what a seat saw when no vector is recorded, and utilities against their expectation.

A view's features are its key's words, each at its place and anywhere, and the key as a whole, hashed into ``size`` numbers with random
signs (feature hashing; Weinberger et al. 2009, arXiv 0902.2206). So views that read alike are judged alike, and any game has them.
"""

from __future__ import annotations

import re

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from algorithms.nets import distinct
from marl_llm.algorithm import Requires, Setup, Unsuitable
from marl_llm.game import GameInfo
from marl_llm.ragged import Ragged
from marl_llm.records import Batch
from marl_llm.seeding import fold, name_key

WORD = re.compile(r"\w+")
PLACE, ANYWHERE, WHOLE = 1, 2, 3  # kinds of features

Floats = NDArray[np.float64]


def team_of(name: str, setup: Setup) -> GameInfo:
    """The one game of ``setup``; ``Unsuitable`` if it is none of a team, or there are several."""
    if len(setup.games) != 1:
        raise Unsuitable(f"{name} learns the value of one team's moves; got {', '.join(setup.games)}; give one --game")
    info = setup.load(setup.games[0]).info
    Requires(utility=("team",)).check(f"{name}, which shares out what a team earns together,", info)
    return info


def hashed(keys: list[str], size: int) -> NDArray[np.float32]:
    """Features of ``keys``, [keys, size]."""
    known: dict[str, int] = {}
    words = [[known.setdefault(word, len(known)) for word in WORD.findall(key)] for key in keys]
    codes = np.asarray([name_key(word) for word in known] or [0], np.uint64)
    told = Ragged.of(words)
    row, word = told.row_of(), codes[told.data]
    place = np.arange(len(row)) - told.starts[row]
    whole = np.asarray([name_key(key) for key in keys], np.uint64)
    row = np.concatenate([row, row, np.arange(len(keys))])
    feature = np.concatenate([fold(word, PLACE, place), fold(word, ANYWHERE), fold(whole, WHOLE)])
    at, sign = (feature >> np.uint64(1)) % np.uint64(size), 1 - 2 * (feature & np.uint64(1)).astype(np.int64)
    flat = np.bincount(row * size + at.astype(np.int64), sign, len(keys) * size)
    return flat.reshape(len(keys), size).astype(np.float32)


def seen(batch: Batch, seats: int, size: int) -> tuple[Tensor, NDArray[np.int64]]:
    """Features of every distinct pair of view and seat, [pairs, size + seats], and each turn's pair."""
    key, seat = batch["turn.key"], batch["turn.seat"]
    first, place = distinct(key, seat)
    views = hashed([batch.tables["key"][code] if code >= 0 else "" for code in key[first].tolist()], size)
    return torch.from_numpy(np.concatenate([views, np.eye(seats, dtype=np.float32)[seat[first]]], 1)), place


class Moves:
    """The moves of a batch that were drawn from known probabilities: every one against what its seat would do on average."""

    def __init__(self, batch: Batch) -> None:
        action, logp = batch.ragged("legal.action"), batch.ragged("legal.logp")
        self.turns = batch.size("turn")
        known = (action.lengths > 0) & (batch["turn.action"] >= 0)
        self.known = torch.from_numpy(known)
        """Whether the probabilities of a turn are recorded, [turns]."""
        self.taken = torch.from_numpy(np.where(known, batch["turn.action"], 0))
        self.row, self.action = torch.from_numpy(action.row_of()), torch.from_numpy(action.data)
        self.probability = torch.from_numpy(np.exp(logp.data))

    def advantage(self, q: Tensor, at: Tensor) -> Tensor:
        """Q(a) - sum over legal b of pi(b) Q(b) of every turn, [turns], from values ``q`` [rows, actions] and each turn's row ``at``; 0
        where probabilities are not known. Its expectation over the seat's own draw is 0."""
        each = self.probability.to(q.dtype) * q[at[self.row], self.action]
        expected = torch.zeros(self.turns, dtype=q.dtype).index_add(0, self.row, each)
        return torch.where(self.known, q[at, self.taken] - expected, 0.0)
