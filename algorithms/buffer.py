"""Episodes of a team as padded arrays, and the replay buffer that value-based learners draw them from.

Time runs over the match's joint steps: the turns that share a ``turn.ply``. What a step pays is read off the team's common
return, so it does not matter who acts next. Design choices made here: a seat that does not act in a joint step is marked so
(``acts``) and contributes nothing to a mixture, and a match is kept only if all its turns are the learner's own.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marl_llm.checkpoint import load_json, load_tensors, save_json, save_tensors
from marl_llm.records import CUT, Batch
from marl_llm.seeding import generator


@dataclass(frozen=True)
class Episodes:
    """[E] episodes, [T] joint steps, [N] seats, [V] view, [S] table, [A] actions; zero where nothing happened.

    The last step of a ``cut`` episode is the view to bootstrap from: its action and reward mean nothing.
    """

    view_ETNV: NDArray[np.float32]
    table_ETS: NDArray[np.float32]
    """[E, T, 0] where no table was recorded."""
    legal_ETNA: NDArray[np.bool_]
    acts_ETN: NDArray[np.bool_]
    action_ETN: NDArray[np.int64]
    reward_ET: NDArray[np.float64]
    """What the team gained from this step to the next."""
    elapsed_ET: NDArray[np.int64]
    """Moves of the game from this step to the next: 1 unless steps were put together."""
    length_E: NDArray[np.int64]
    cut_E: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.length_E)

    def take(self, rows: NDArray[np.int64]) -> Episodes:
        """The given episodes, padded to the longest of them."""
        steps = int(self.length_E[rows].max(initial=0))
        return Episodes(**{name: values[rows, :steps] if "_ET" in name else values[rows] for name, values in columns(self).items()})


def columns(episodes: Episodes) -> dict[str, NDArray[Any]]:
    """The arrays by name."""
    return {field.name: getattr(episodes, field.name) for field in fields(episodes)}


def episodes_of(batch: Batch, seats: int, actions: int) -> Episodes:
    """The matches of a team game whose turns were all learned from, out of ``turn.view``, ``legal.action``, ``turn.action`` and,
    if it is there, ``turn.table``."""
    match = batch.up("turn", "match")
    whole = np.bincount(match, minlength=len(batch)) > 0
    whole[match[~batch["turn.learn"]]] = False
    kept = np.flatnonzero(whole)
    turns = np.flatnonzero(whole[match])
    match, seat, ply = match[turns], batch["turn.seat"][turns], batch["turn.ply"][turns]
    known, step = np.unique(np.column_stack([match, ply]), axis=0, return_inverse=True)  # joint steps, ordered by match and time
    place = np.searchsorted(kept, known[:, 0])
    first = np.searchsorted(known[:, 0], kept)
    length = np.bincount(place, minlength=len(kept))
    time = np.arange(len(known)) - first[place]
    gained, ended = _gained(batch)
    before = np.zeros(len(known))
    before[step.ravel()] = gained[turns]
    after = ended[known[:, 0]]
    inside = np.flatnonzero(time < length[place] - 1)
    after[inside] = before[inside + 1]
    shape = (len(kept), int(length.max(initial=0)))
    at = (place[step.ravel()], time[step.ravel()], seat)
    legal = batch.ragged("legal.action").take(turns)
    row = legal.row_of()
    view = batch["turn.view"].reshape(batch.size("turn"), -1)
    table = batch["turn.table"].reshape(batch.size("turn"), -1) if "turn.table" in batch else np.zeros((batch.size("turn"), 0), np.float32)
    return Episodes(
        view_ETNV=_filled((*shape, seats, view.shape[1]), np.float32, at, view[turns]),
        table_ETS=_filled((*shape, table.shape[1]), np.float32, at[:2], table[turns]),
        legal_ETNA=_filled((*shape, seats, actions), bool, (*(index[row] for index in at), legal.data), True),
        acts_ETN=_filled((*shape, seats), bool, at, True),
        action_ETN=_filled((*shape, seats), np.int64, at, batch["turn.action"][turns]),
        reward_ET=_filled(shape, np.float64, (place, time), after - before),
        elapsed_ET=_filled(shape, np.int64, (place, time), 1),
        length_E=length,
        cut_E=batch["match.end"][kept] == CUT,
    )


def _filled(shape: tuple[int, ...], dtype: type, at: tuple[NDArray[np.int64], ...], values: Any) -> NDArray[Any]:
    array: NDArray[Any] = np.zeros(shape, dtype)
    array[at] = values
    return array


def _gained(batch: Batch) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The team's return before every turn, [turns], and at the end of every match, [matches]."""
    reward, starts = batch["turn.reward"], batch.starts["turn"]
    total = np.concatenate([[0.0], np.cumsum(reward)])
    begun = batch["seat.initial"] - total[starts[:-1]]
    return total[:-1] + begun[batch.up("turn", "seat")], batch["seat.return"][batch.starts["seat"][:-1]]


def together(episodes: Episodes, event_ET: NDArray[np.bool_], gamma: float) -> Episodes:
    """The steps marked ``event_ET`` only, as a semi-Markov process: each pays sum over k of gamma^k r(t + k) up to the next.

    Every episode's first step must be marked; of a cut episode the last is kept as well, to bootstrap from.
    """
    steps = np.arange(event_ET.shape[1])
    inside = steps < episodes.length_E[:, None]
    event = (event_ET | (episodes.cut_E[:, None] & (steps == episodes.length_E[:, None] - 1))) & inside
    reward, elapsed = episodes.reward_ET.copy(), np.ones(event.shape, np.int64)
    for t in range(event.shape[1] - 2, -1, -1):
        carries = inside[:, t + 1] & ~event[:, t + 1]
        reward[:, t] += np.where(carries, gamma * reward[:, t + 1], 0.0)
        elapsed[:, t] += np.where(carries, elapsed[:, t + 1], 0)
    order = np.argsort(~event, axis=1, kind="stable")  # the events first, in order of time
    length = event.sum(1)
    episode = np.arange(len(event))[:, None]
    joined = replace(episodes, reward_ET=reward, elapsed_ET=elapsed)
    beyond = steps >= length[:, None]
    moved = {name: values[episode, order] for name, values in columns(joined).items() if "_ET" in name}
    for values in moved.values():
        values[beyond] = 0
    return replace(joined, **moved, length_E=length).take(np.arange(len(event)))


class Buffer:
    """The last ``capacity`` episodes, in the memory of ``capacity`` episodes of the longest that was added."""

    def __init__(self, capacity: int) -> None:
        self.capacity, self.added = capacity, 0
        self.store: Episodes | None = None

    def __len__(self) -> int:
        return min(self.added, self.capacity)

    def add(self, episodes: Episodes) -> None:
        """Put episodes in the places of the oldest."""
        episodes = episodes.take(np.arange(len(episodes))[-self.capacity :])
        if not len(episodes):
            return
        steps = episodes.reward_ET.shape[1]
        if self.store is None or steps > self.store.reward_ET.shape[1]:
            self.store = self._room(episodes, steps, self.store)
        _put(self.store, (self.added + np.arange(len(episodes))) % self.capacity, episodes)
        self.added += len(episodes)

    def sample(self, count: int, *keys: int) -> Episodes:
        """``count`` different episodes, or all if there are fewer; a function of ``keys`` and of what was added."""
        assert self.store is not None, "nothing was added yet"
        return self.store.take(generator(*keys).permutation(len(self))[:count])

    def _room(self, like: Episodes, steps: int, kept: Episodes | None = None) -> Episodes:
        """Arrays for ``capacity`` episodes of ``steps``, with those of ``kept``; memory that nothing is written to costs nothing."""
        store = Episodes(
            **{
                name: np.zeros((self.capacity, steps, *values.shape[2:]) if "_ET" in name else self.capacity, values.dtype)
                for name, values in columns(like).items()
            }
        )
        if kept is not None:
            _put(store, np.arange(len(self)), kept.take(np.arange(len(self))))
        return store

    def save(self, folder: Path) -> None:
        """What is kept, into an existing folder."""
        save_json(folder / "buffer.json", {"added": self.added})
        if self.store is not None:
            save_tensors(folder / "buffer.safetensors", columns(self.store.take(np.arange(len(self)))))

    def load(self, folder: Path) -> None:
        """What ``save`` wrote."""
        self.added, self.store = load_json(folder / "buffer.json")["added"], None
        if self.added:
            kept = Episodes(**load_tensors(folder / "buffer.safetensors", "numpy"))
            self.store = self._room(kept, kept.reward_ET.shape[1], kept)


def _put(store: Episodes, rows: NDArray[np.int64], episodes: Episodes) -> None:
    for name, values in columns(episodes).items():
        kept = getattr(store, name)
        if "_ET" in name:
            kept[rows] = 0
            kept[rows, : values.shape[1]] = values
        else:
            kept[rows] = values
