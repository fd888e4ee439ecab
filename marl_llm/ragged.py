"""Rows of different lengths in one flat array, and the segment operations that replace loops over them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Ragged:
    """Row ``i`` is ``data[starts[i]:starts[i + 1]]``; no padding. ``starts`` has one more entry than there are rows."""

    data: NDArray[Any]
    starts: NDArray[np.int64]

    @staticmethod
    def of(rows: Sequence[Sequence[Any]] | Sequence[NDArray[Any]], dtype: Any = np.int64) -> Ragged:
        """From a list of rows."""
        lengths = np.fromiter((len(row) for row in rows), np.int64, len(rows))
        parts = [np.asarray(row, dtype) for row in rows if len(row)]
        return Ragged(np.concatenate(parts) if parts else np.zeros(0, dtype), starts_of(lengths))

    @staticmethod
    def concat(parts: Iterable[Ragged]) -> Ragged:
        """All rows of ``parts``, in order."""
        parts = list(parts)
        if not parts:
            return Ragged(np.zeros(0, np.int64), np.zeros(1, np.int64))
        return Ragged(np.concatenate([part.data for part in parts]), starts_of(np.concatenate([part.lengths for part in parts])))

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, i: int) -> NDArray[Any]:
        return self.data[self.starts[i] : self.starts[i + 1]]

    @property
    def lengths(self) -> NDArray[np.int64]:
        return np.diff(self.starts)

    def row_of(self) -> NDArray[np.int64]:
        """For every entry of ``data`` the row it belongs to."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def take(self, rows: NDArray[np.int64]) -> Ragged:
        """The given rows, in the given order, repeats allowed."""
        entries, starts = spans(self.starts, rows)
        return Ragged(self.data[entries], starts)

    def at(self, columns: NDArray[np.int64]) -> NDArray[Any]:
        """Entry ``columns[i]`` of every row ``i``."""
        return self.data[self.starts[:-1] + columns]

    def sum(self) -> NDArray[Any]:
        """Sum of every row; 0 for an empty one."""
        return segment_sum(self.data, self.starts)


def starts_of(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Offsets of segments with the given lengths."""
    starts = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=starts[1:])
    return starts


def spans(starts: NDArray[np.int64], rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Entries of the given segments one after the other, and the offsets of the result."""
    lengths = starts[rows + 1] - starts[rows]
    out = starts_of(lengths)
    return np.arange(out[-1]) + np.repeat(starts[rows] - out[:-1], lengths), out


def segment_sum(values: NDArray[Any], starts: NDArray[np.int64]) -> NDArray[Any]:
    """Sums of the segments ``values[starts[i]:starts[i + 1]]``; 0 for an empty segment."""
    dtype = np.dtype(np.int64) if values.dtype == bool else values.dtype
    sums = np.zeros((len(starts) - 1, *values.shape[1:]), dtype)
    filled = starts[:-1] < starts[1:]
    if filled.any():
        sums[filled] = np.add.reduceat(values.astype(dtype, copy=False), starts[:-1][filled], axis=0)
    return sums


def padded(rows: Ragged, fill: float = 0.0) -> NDArray[np.float64]:
    """Rows as a matrix, shorter ones filled up at the end."""
    lengths = rows.lengths
    matrix = np.full((len(rows), int(lengths.max(initial=0))), fill)
    matrix[np.arange(matrix.shape[1]) < lengths[:, None]] = rows.data
    return matrix
