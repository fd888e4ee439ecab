"""Any OpenSpiel game as a ``Game``: ``openspiel:NAME(parameters)``. Rules, chance and views are OpenSpiel's own.

A policy's key is the observation where information is perfect (OpenSpiel's information state string is the list of moves
there) and the information state elsewhere. https://github.com/google-deepmind/open_spiel
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import open_spiel.python.games  # noqa: F401  # registers the games written in Python
import pyspiel

from games.openspiel.texts import text_of
from marl_llm.boards import Boards
from marl_llm.game import Action, Discrete, Game, GameInfo, Seat, State, View
from marl_llm.seeding import generator

UNROLL = 50_000
"""Positions up to which a game is unrolled into a tree and stepped as arrays."""

_Type = pyspiel.GameType
_UTILITY = {_Type.Utility.ZERO_SUM: "zero_sum", _Type.Utility.IDENTICAL: "team"}


class OpenSpiel(Game):
    """An OpenSpiel game by its string, such as ``"leduc_poker(players=3)"``."""

    def __init__(self, name: str) -> None:
        self.native = pyspiel.load_game(name)
        kind = self.native.get_type()
        if kind.dynamics == _Type.Dynamics.MEAN_FIELD:
            raise ValueError(f"{name} is a mean-field game: it has no seats to play; use it through a population game")
        self.kind = kind
        self.text = text_of(kind.short_name, self.native)
        perfect = kind.information == _Type.Information.PERFECT_INFORMATION
        self.by_observation = perfect and kind.provides_observation_string
        self.tensor = (
            "information_state_tensor"
            if kind.provides_information_state_tensor and not (perfect and kind.provides_observation_tensor)
            else "observation_tensor"
            if kind.provides_observation_tensor
            else None
        )
        simultaneous = kind.dynamics == _Type.Dynamics.SIMULTANEOUS
        size = 0 if self.tensor is None else int(np.prod(getattr(self.native, f"{self.tensor}_shape")()))
        low, high = self.native.min_utility(), self.native.max_utility()
        self.info = GameInfo(
            name=str(self.native),
            seats=self.native.num_players(),
            returns=(float(low), float(high)),
            max_decisions=self.native.max_game_length() * (self.native.num_players() if simultaneous else 1),
            action=Discrete(self.native.num_distinct_actions()),
            utility=_UTILITY.get(kind.utility, "general"),  # type: ignore[arg-type]
            vector=(size,) if size else None,
            perfect_information=perfect and not simultaneous,
            rewards_at_end=kind.reward_model == _Type.RewardModel.TERMINAL,
            enumerable=kind.chance_mode != _Type.ChanceMode.SAMPLED_STOCHASTIC and _positions(self.native) <= UNROLL,
            simultaneous=simultaneous,
            key_kind="state" if self.by_observation else "information" if kind.provides_information_state_string else "history",
            summary=kind.long_name,
        )

    def start(self, seed: int) -> State:
        return SpielState(self, self.native.new_initial_state())

    def rules(self, seat: Seat) -> str:
        return self.text.rules(seat)

    def boards(self, rows: int) -> Boards:
        from games.openspiel.boards import SpielBoards

        if self.info.enumerable or self.info.simultaneous:
            return super().boards(rows)
        return SpielBoards(self, rows)

    def key(self, state: Any, seat: Seat) -> str:
        """What the seat's policy may depend on."""
        if self.by_observation:
            return f"{seat}:{state.observation_string(seat)}"
        return state.information_state_string(seat)

    def view(self, state: Any, seat: Seat | None) -> View:
        if seat is None:
            return View(text=lambda: str(state), key=lambda: state.history_str())
        return View(
            text=lambda: self.text.view(state, seat),
            vector=None if self.tensor is None else lambda: np.asarray(getattr(state, self.tensor)(seat), np.float32),
            key=None if self.info.key_kind == "history" else lambda: self.key(state, seat),
        )


class SpielState(State):
    """A pyspiel state behind the ``State`` contract."""

    __slots__ = ("game", "native")

    def __init__(self, game: OpenSpiel, native: Any) -> None:
        self.game, self.native = game, native

    def to_act(self) -> tuple[Seat, ...]:
        player = self.native.current_player()
        if player >= 0:
            return (player,)
        if player == pyspiel.PlayerId.SIMULTANEOUS:
            return tuple(seat for seat in range(self.game.info.seats) if self.native.legal_actions(seat))
        return ()

    def legal(self, seat: Seat) -> Sequence[int]:
        return self.native.legal_actions(seat)

    def apply(self, moves: Mapping[Seat, Action]) -> None:
        if self.native.current_player() == pyspiel.PlayerId.SIMULTANEOUS:
            self.native.apply_actions([moves.get(seat, 0) for seat in range(self.game.info.seats)])
        else:
            ((_, action),) = moves.items()
            self.native.apply_action(action)

    def returns(self) -> Sequence[float]:
        return self.native.returns()

    def view(self, seat: Seat | None) -> View:
        return self.game.view(self.native, seat)

    def chance(self) -> Sequence[tuple[int, float]]:
        return self.native.chance_outcomes() if self.native.is_chance_node() else ()

    def apply_chance(self, outcome: int) -> None:
        self.native.apply_action(outcome)

    def action_text(self, seat: Seat, action: Action) -> str:
        return self.game.text.action(self.native, seat, action)

    def clone(self) -> State:
        return SpielState(self.game, self.native.clone())

    def resample(self, seat: Seat, seed: int) -> State:
        rng = generator(seed)
        try:
            return SpielState(self.game, self.native.resample_from_infostate(seat, rng.random))
        except (RuntimeError, pyspiel.SpielError) as error:
            raise NotImplementedError(f"{self.game.info.name} cannot resample hidden information: {error}") from error

    def __getstate__(self) -> Any:
        return self.game, str(self.game.native), self.native.serialize()


@lru_cache(maxsize=256)
def _estimate(name: str, probes: int = 48) -> float:
    """Knuth's (1975) estimate of the number of positions in the game tree, by random descents."""
    game, rng = pyspiel.load_game(name), generator(20_24)
    total = 0.0
    for _ in range(probes):
        state, weight = game.new_initial_state(), 1.0
        while not state.is_terminal() and weight < 1e12:
            total += weight / probes
            if state.is_simultaneous_node():
                joint = [state.legal_actions(p) for p in range(game.num_players())]
                weight *= float(np.prod([max(len(legal), 1) for legal in joint]))
                state.apply_actions([int(rng.choice(legal)) if legal else 0 for legal in joint])
            else:
                legal = state.legal_actions()
                weight *= len(legal)
                state.apply_action(int(rng.choice(legal)))
        total += weight / probes
    return total


def _positions(native: Any) -> float:
    """Estimated size of the unrolled game; equal positions of a perfect-information game count once, about the square root."""
    kind = native.get_type()
    merges = (
        kind.information == _Type.Information.PERFECT_INFORMATION
        and kind.provides_observation_string
        and kind.reward_model == _Type.RewardModel.TERMINAL
    )
    size = _estimate(str(native))
    return size**0.5 if merges and size < 1e8 else size
