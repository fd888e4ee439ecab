"""Gymnasium spaces as the game contract has them: actions of some kind, observations as numbers and as text, and masks.

Actions. The scalars of a space, in order, are its parts. One discrete part makes a Discrete action, several a Factored one
(MultiDiscrete, MultiBinary, and any Tuple or Dict of such). Continuous parts make a Box: whatever a coordinate's own bounds
are, it is played on [-1, 1], -1 for the lower bound and 1 for the upper one.

Observations. The vector view of a Box is of the Box's own shape (an image stays one); of any other space it is flattened as
``gymnasium.spaces.flatten`` does. An action mask is no part of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.spaces import Space
from numpy.typing import NDArray

from marl_llm.errors import UserError
from marl_llm.game import Action, ActionKind, Box, Discrete, Factored

MASK = "action_mask"
LOW, HIGH = -1.0, 1.0
Part = int | tuple[float, float]
"""How many values a discrete scalar has, or the bounds of a continuous one."""


class Actions:
    """One agent's action space. UserError for a space that no kind of action fits."""

    def __init__(self, space: Space[Any], whose: str) -> None:
        self.space = space
        self.parts = list(_parts(space, whose))
        self.sizes = tuple(part for part in self.parts if isinstance(part, int))
        if self.sizes and len(self.sizes) < len(self.parts):
            raise UserError(f"{whose} has the action space {space}, partly discrete and partly not; expected one or the other")
        bounds = [part for part in self.parts if not isinstance(part, int)]
        if not np.isfinite(bounds).all():
            raise UserError(f"{whose} has the action space {space} without bounds; expected a bounded Box: wrap the environment")

    @property
    def kind(self) -> ActionKind:
        if len(self.sizes) == 1:
            return Discrete(self.sizes[0])
        if self.sizes:
            return Factored(self.sizes)
        return Box(LOW, HIGH, self.space.shape if isinstance(self.space, spaces.Box) else (len(self.parts),))

    def native(self, action: Action) -> Any:
        """An action of ``kind`` as the environment takes it."""
        return _filled(self.space, iter(np.ravel(action).tolist()))

    @property
    def idle(self) -> Any:
        """What stands for the action of an agent that has no choice: first values, and the middle of every interval."""
        return _filled(self.space, iter([0] * len(self.parts)))

    def legal(self, mask: Any) -> Sequence[int]:
        """What a mask allows of a Discrete action; everything where there is none."""
        return range(self.sizes[0]) if mask is None else np.flatnonzero(self._flags(mask)).tolist()

    def next_legal(self, mask: Any, factor: int) -> Sequence[int]:
        """What a mask allows of one factor of a Factored action."""
        if mask is None:
            return range(self.sizes[factor])
        start = sum(self.sizes[:factor])
        return np.flatnonzero(self._flags(mask)[start : start + self.sizes[factor]]).tolist()

    def _flags(self, mask: Any) -> NDArray[Any]:
        flags = np.concatenate([np.ravel(piece) for piece in _pieces(mask)])
        if len(flags) != sum(self.sizes):
            raise ValueError(f"the action mask has {len(flags)} entries; expected {sum(self.sizes)}, as {self.space} has values")
        return flags


def mask_of(observation: Any, info: Mapping[str, Any]) -> Any:
    """The action mask, from the observation or else from the info; None where there is none."""
    return observation[MASK] if isinstance(observation, Mapping) and MASK in observation else info.get(MASK)


def forbids_all(mask: Any) -> bool:
    """Whether a mask says that its agent has no choice now."""
    return mask is not None and not any(np.any(piece) for piece in _pieces(mask))


def seen(space: Space[Any]) -> Space[Any]:
    """The space of what an agent observes, without the mask; a Dict of one entry is that entry."""
    if not isinstance(space, spaces.Dict):
        return space
    left = {name: part for name, part in space.items() if name != MASK}
    return next(iter(left.values())) if len(left) == 1 else spaces.Dict(left)


def observed(space: Space[Any], observation: Any) -> Any:
    """The part of an observation of ``space`` that is in ``seen(space)``."""
    if not isinstance(space, spaces.Dict):
        return observation
    left = {name: observation[name] for name in space if name != MASK}
    return next(iter(left.values())) if len(left) == 1 else left


def vector_shape(all_seen: Sequence[Space[Any]]) -> tuple[int, ...] | None:
    """The shape of all agents' vector views: a common Box's own, else as long as the longest; None for spaces of no fixed size."""
    shapes = {space.shape for space in all_seen if isinstance(space, spaces.Box)}
    if len(shapes) == 1 and all(isinstance(space, spaces.Box) for space in all_seen) and () not in shapes:
        return shapes.pop()
    try:
        return (max(spaces.flatdim(space) for space in all_seen),)
    except (ValueError, NotImplementedError):
        return None


def vector(space: Space[Any], value: Any, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """A value of a ``seen`` space as numbers of ``shape``, with zeros after a short one."""
    numbers = np.asarray(value if isinstance(space, spaces.Box) else spaces.flatten(space, value), np.float32)
    if numbers.shape == shape:
        return numbers
    out = np.zeros(int(np.prod(shape)), np.float32)
    out[: numbers.size] = numbers.ravel()
    return out.reshape(shape)


def text(space: Space[Any], value: Any) -> str:
    """A value of a space in names and numbers. A board of 0/1 planes is drawn once, each cell with the numbers of its planes."""
    if isinstance(space, spaces.Dict):
        return "\n".join(f"{name}: {_below(text(part, value[name]))}" for name, part in space.items())
    if isinstance(space, spaces.Tuple):
        return "\n".join(f"{i}: {_below(text(part, one))}" for i, (part, one) in enumerate(zip(space, value, strict=True)))
    if isinstance(space, (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)):
        return _drawn(np.asarray(value))
    return str(value)


def bytes_of(value: Any) -> bytes:
    """An observation or a mask as bytes: equal for equal ones."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype.str}{value.shape}".encode() + value.tobytes()
    if isinstance(value, Mapping):
        return b"".join(f"{name!r}:".encode() + bytes_of(value[name]) for name in sorted(value, key=repr))
    if isinstance(value, (tuple, list)):
        return b"(" + b",".join(map(bytes_of, value)) + b")"
    return repr(value).encode()


def _drawn(array: NDArray[Any]) -> str:
    if array.ndim == 3 and np.isin(array, (0, 1)).all():
        return "\n".join(" ".join(",".join(map(str, np.flatnonzero(cell))) or "." for cell in row) for row in array)
    if array.ndim > 1:
        return "\n".join(map(_drawn, array)) if array.ndim == 2 else "\n\n".join(map(_drawn, np.moveaxis(array, -1, 0)))
    return " ".join(f"{number:.4g}" for number in array.astype(float).ravel().tolist())


def _below(shown: str) -> str:
    return f"\n{shown}" if "\n" in shown else shown


def _pieces(mask: Any) -> Iterator[Any]:
    """The arrays of a mask: one, or one a factor."""
    parts = mask.values() if isinstance(mask, Mapping) else mask if isinstance(mask, tuple) else None
    if parts is None:
        yield mask
    else:
        for part in parts:
            yield from _pieces(part)


def _parts(space: Space[Any], whose: str) -> Iterator[Part]:
    match space:
        case spaces.Discrete():
            yield int(space.n)
        case spaces.MultiDiscrete():
            yield from map(int, space.nvec.ravel())
        case spaces.MultiBinary():
            yield from [2] * int(np.prod(space.shape))
        case spaces.Box():
            yield from zip(space.low.ravel().tolist(), space.high.ravel().tolist(), strict=True)
        case spaces.Dict() | spaces.Tuple():
            for part in space.values() if isinstance(space, spaces.Dict) else space:
                yield from _parts(part, whose)
        case _:
            kinds = "Discrete, MultiDiscrete, MultiBinary, Box, and Dict or Tuple of these"
            raise UserError(f"{whose} has the action space {space}; expected one of {kinds}")


def _filled(space: Space[Any], values: Iterator[Any]) -> Any:
    """A value of ``space`` whose scalars are the next of ``values``."""
    match space:
        case spaces.Discrete():
            return int(next(values)) + int(space.start)
        case spaces.MultiDiscrete():
            chosen = np.fromiter(islice(values, space.nvec.size), space.dtype).reshape(space.nvec.shape)
            return chosen + space.start
        case spaces.MultiBinary():
            return np.fromiter(islice(values, int(np.prod(space.shape))), space.dtype).reshape(space.shape)
        case spaces.Box():
            share = (np.fromiter(islice(values, space.low.size), float).reshape(space.shape) - LOW) / (HIGH - LOW)
            value = space.low + share * (space.high.astype(float) - space.low)
            whole = np.issubdtype(space.dtype, np.integer)
            return np.clip(np.rint(value) if whole else value, space.low, space.high).astype(space.dtype)
        case spaces.Dict():
            return {name: _filled(part, values) for name, part in space.items()}
        case spaces.Tuple():
            return tuple(_filled(part, values) for part in space)
