"""Whether an OpenSpiel game is small enough to unroll: a quick estimate rejects the large ones, a count decides the rest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from typing import Any

import pyspiel

from marl_llm.seeding import generator

UNROLL = 50_000
"""Positions up to which a game is unrolled into a tree and stepped as arrays."""

PROBES = 48


@lru_cache(maxsize=256)
def fits(name: str, merges: bool, limit: int = UNROLL) -> bool:
    """Whether the game has at most ``limit`` positions.

    With ``merges``, equal observations at equal depth are one position, and a game whose tensors tell such positions apart
    does not fit: a tree would keep one tensor for both.
    """
    size = positions(name)
    return (size**0.5 if merges else size) <= limit and _counted(pyspiel.load_game(name), merges, limit)


@lru_cache(maxsize=256)
def positions(name: str) -> float:
    """Knuth's (1975) estimate of the number of positions in the game tree, by random descents."""
    game, rng, total = pyspiel.load_game(name), generator(20_24), 0.0
    for _ in range(PROBES):
        state, weight = game.new_initial_state(), 1.0
        while (choices := _choices(state)) and weight < 1e12:
            total += weight / PROBES
            weight *= math.prod(len(actions) for actions in choices)
            _apply(state, [actions[int(rng.integers(len(actions)))] for actions in choices])
        total += weight / PROBES
    return total


def _counted(game: Any, merges: bool, limit: int) -> bool:
    layer, count = [game.new_initial_state()], 1
    tensors = game.get_type().provides_observation_tensor
    while layer:
        below: list[Any] = []
        seen: dict[tuple[int, str], Any] = {}
        for state in layer:
            choices = _choices(state)
            for move in product(*choices) if choices else ():
                child = state.clone()
                _apply(child, move)
                if merges and child.current_player() >= 0:
                    seat = child.current_player()
                    key = seat, child.observation_string(seat)
                    tensor = child.observation_tensor(seat) if tensors else None
                    if key in seen:
                        if seen[key] != tensor:
                            return False
                        continue
                    seen[key] = tensor
                below.append(child)
                count += 1
                if count > limit:
                    return False
        layer = below
    return True


def _choices(state: Any) -> list[list[int]]:
    """What each mover can do next: one mover, chance included, or all seats at once; empty where nobody can move."""
    if state.is_terminal():
        return []
    if state.is_simultaneous_node():
        legal = [state.legal_actions(seat) for seat in range(state.num_players())]
        return [actions or [0] for actions in legal] if any(legal) else []
    return [state.legal_actions()]


def _apply(state: Any, move: Sequence[int]) -> None:
    if state.is_simultaneous_node():
        state.apply_actions(list(move))
    else:
        state.apply_action(move[0])
