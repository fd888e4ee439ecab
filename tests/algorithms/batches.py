"""Batches written by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from marl_llm.ragged import starts_of
from marl_llm.records import Batch


def batch_of(rewards: list[list[list[float]]], games: list[int] | None = None) -> Batch:
    """``rewards[match][seat]`` lists the rewards of that seat's own turns."""
    seats = len(rewards[0])
    turns = [own for match in rewards for own in match]
    lengths = np.asarray([len(own) for own in turns])
    total = int(lengths.sum())
    return Batch(
        columns={
            "match.id": np.arange(len(rewards)),
            "match.game": np.asarray(games or [0] * len(rewards)),
            "seat.seat": np.tile(np.arange(seats), len(rewards)),
            "turn.seat": np.repeat(np.tile(np.arange(seats), len(rewards)), lengths),
            "turn.index": np.concatenate([np.arange(n) for n in lengths]),
            "turn.game": np.concatenate([np.asarray(own, float) for own in turns]),
            "turn.learn": np.ones(total, bool),
            "turn.format": np.zeros(total),
            "turn.key": np.full(total, -1),
            "match.seed": np.arange(len(rewards), dtype=np.uint64),
            "match.end": np.zeros(len(rewards), np.int64),
            "seat.learn": np.ones(len(turns), bool),
            "seat.outcome": np.asarray([float(sum(own)) for own in turns]),
            "match.sample": np.arange(len(rewards)),
        },
        starts={"turn": starts_of(lengths), "seat": np.arange(len(rewards) + 1) * seats},
        tables={"game": ["a", "b"]},
    )


def group_of_matches(rewards: list[Any], deals: list[int] | None = None, columns: dict[str, Any] | None = None) -> Batch:
    """Matches of one seat, on one deal unless told: each is its reward, or the rewards of its turns."""
    batch = batch_of([[reward if isinstance(reward, list) else [float(reward)]] for reward in rewards])
    seeds = np.asarray(deals or [0] * len(rewards), np.uint64)
    given = {name: np.asarray(values) for name, values in (columns or {}).items()}
    return batch.with_columns(**{"match.seed": seeds, "seat.return": batch["seat.outcome"], **given})
