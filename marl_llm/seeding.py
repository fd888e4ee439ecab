"""Counter-based randomness: every draw is a function of named integers, so no generator is shared and none is global.

``uniform(seed, k)`` is the k-th draw of the stream ``seed``; ``fold`` derives child seeds. Both take integers or arrays
and give the same bits for either, so a value drawn for one match alone equals the one drawn in a batch of thousands.
The mixing function is the finaliser of SplitMix64 (Steele, Lea and Flood, 2014).
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MASK = (1 << 64) - 1
_GAMMA, _M1, _M2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def _mix(x: int) -> int:
    x = ((x ^ (x >> 30)) * _M1) & _MASK
    x = ((x ^ (x >> 27)) * _M2) & _MASK
    return x ^ (x >> 31)


def _mix_array(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """``_mix`` of every entry, in place."""
    x ^= x >> np.uint64(30)
    x *= np.uint64(_M1)
    x ^= x >> np.uint64(27)
    x *= np.uint64(_M2)
    x ^= x >> np.uint64(31)
    return x


def fold(*keys: Any) -> Any:
    """A 64-bit child seed of the integer ``keys`` (ints give an int; any array gives a uint64 array of the broadcast shape)."""
    if all(isinstance(key, (int, np.integer)) for key in keys):
        state = 0
        for key in keys:
            state = _mix((state + _GAMMA + _mix(int(key) & _MASK)) & _MASK)
        return state
    total = np.zeros(np.broadcast_shapes(*(np.shape(key) for key in keys)) or (1,), np.uint64)
    for key in keys:
        if isinstance(key, (int, np.integer)):
            total += np.uint64((_GAMMA + _mix(int(key) & _MASK)) & _MASK)
        else:
            total += _mix_array(np.asarray(key).astype(np.uint64)) + np.uint64(_GAMMA)
        _mix_array(total)
    return total


def uniform(*keys: Any) -> Any:
    """A float in [0, 1) with 53 random bits, a function of ``keys`` alone."""
    bits = fold(*keys)
    if isinstance(bits, int):
        return (bits >> 11) * 2.0**-53
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def gaussian(*keys: Any) -> Any:
    """A standard normal draw, a function of ``keys`` alone (Box and Muller, 1958)."""
    radius, angle = 1 - uniform(*keys, 0), 2 * np.pi * uniform(*keys, 1)
    return np.sqrt(-2 * np.log(radius)) * np.cos(angle)


def name_key(text: str) -> int:
    """The 64-bit integer that stands for ``text`` in ``fold``; equal in every process."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def generator(*keys: int) -> np.random.Generator:
    """A numpy generator of its own for ``keys``, for the few uses that need more than uniform draws."""
    return np.random.Generator(np.random.Philox(key=fold(*keys)))
