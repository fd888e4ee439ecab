"""Any OpenSpiel game as a ``Game``: ``openspiel:NAME(parameters)``. Rules, chance and views are OpenSpiel's own.

A policy's key is the observation where information is perfect (OpenSpiel's information state string is the list of moves
there) and the information state elsewhere, each after the seat. https://github.com/google-deepmind/open_spiel
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyspiel
from numpy.typing import NDArray
from open_spiel.python.observation import make_observation

from games.openspiel.flaws import CLONES_BREAK, FORGETFUL, REWARDS_BEFORE_THE_END, TENSOR_OF_OTHER_STATES
from games.openspiel.native import full_name, is_mean_field, load
from games.openspiel.size import fits
from games.openspiel.texts.by_name import text_of
from marl_llm.boards import Boards
from marl_llm.errors import UserError
from marl_llm.game import Action, Discrete, Game, GameInfo, Seat, State, Utility, View
from marl_llm.seeding import generator

_Type = pyspiel.GameType
_UTILITY: dict[Any, Utility] = {_Type.Utility.ZERO_SUM: "zero_sum", _Type.Utility.IDENTICAL: "team"}


class OpenSpiel(Game):
    """An OpenSpiel game by its string, such as ``"leduc_poker(players=3)"``.

    Raises UserError for a name that OpenSpiel does not have, for parameters it does not take, and for the few games that
    cannot be played so.
    """

    def __init__(self, name: str) -> None:
        self.native = load(name)
        kind = self.kind = self.native.get_type()
        if is_mean_field(kind):
            raise UserError(f"{name} is a mean-field game, played by a population: openspiel:{kind.short_name}(seats=10)")
        self.sampled = kind.chance_mode == _Type.ChanceMode.SAMPLED_STOCHASTIC
        """Chance is drawn inside OpenSpiel, from a stream that the match's seed starts."""
        if self.sampled and "rng_seed" not in kind.parameter_specification:
            raise UserError(f"{name} draws chance from a stream that cannot be seeded, so no match of it can be repeated")
        self.replays = self.sampled or kind.short_name in CLONES_BREAK
        """A copy of a match is made by playing it again."""
        perfect = kind.information == _Type.Information.PERFECT_INFORMATION
        simultaneous = kind.dynamics == _Type.Dynamics.SIMULTANEOUS
        self.by_observation = perfect and kind.provides_observation_string
        self.resamples = True
        """Until OpenSpiel says that it cannot."""
        self.text = text_of(kind.short_name, self.native)
        self.tensor = (
            None
            if kind.short_name in TENSOR_OF_OTHER_STATES
            else "information_state_tensor"
            if kind.provides_information_state_tensor and not (perfect and kind.provides_observation_tensor)
            else "observation_tensor"
            if kind.provides_observation_tensor
            else None
        )
        size = 0 if self.tensor is None else int(np.prod(getattr(self.native, f"{self.tensor}_shape")()))
        at_end = kind.reward_model == _Type.RewardModel.TERMINAL and kind.short_name not in REWARDS_BEFORE_THE_END
        name = full_name(self.native, name)
        merges = self.by_observation and at_end and not simultaneous
        recalls = kind.provides_information_state_string and kind.short_name not in FORGETFUL
        self.info = GameInfo(
            name=name,
            seats=self.native.num_players(),
            returns=(float(self.native.min_utility()), float(self.native.max_utility())),
            max_decisions=self.native.max_game_length() * (self.native.num_players() if simultaneous else 1),
            action=Discrete(self.native.num_distinct_actions()),
            utility=_UTILITY.get(kind.utility, "general"),
            vector=(size,) if size else None,
            table=(size if perfect and not simultaneous else size * self.native.num_players(),) if size else None,
            perfect_information=perfect and not simultaneous,
            rewards_at_end=at_end,
            enumerable=not self.sampled and fits(name, merges),
            simultaneous=simultaneous,
            key_kind="state" if self.by_observation else "information" if recalls else "history",
            summary=kind.long_name,
        )

    def start(self, seed: int) -> State:
        if not self.sampled:
            return SpielState(self, self.native.new_initial_state())
        parameters = {**self.native.get_parameters(), "rng_seed": seed % 2**31}
        return SpielState(self, pyspiel.load_game(self.kind.short_name, parameters).new_initial_state(), seed)

    def rules(self, seat: Seat) -> str:
        return self.text.rules(seat)

    def boards(self, rows: int) -> Boards:
        from games.openspiel.boards import SpielBoards

        info = self.info
        if info.enumerable or info.simultaneous or info.key_kind == "history" or self.replays:
            return super().boards(rows)
        return SpielBoards(self, rows)

    def key(self, state: Any, seat: Seat) -> str:
        """What the seat's policy may depend on."""
        return f"{seat}:{state.observation_string(seat) if self.by_observation else state.information_state_string(seat)}"

    @cached_property
    def observation(self) -> Any:
        """OpenSpiel's buffer for the game's tensor, filled without a list of floats; None for its games written in Python, where
        buffer and tensor may differ."""
        if self.tensor is None or hasattr(self.native, "make_py_observer"):
            return None
        if self.tensor == "observation_tensor":
            return make_observation(self.native)
        one = pyspiel.PrivateInfoType.SINGLE_PLAYER
        return make_observation(self.native, pyspiel.IIGObservationType(public_info=True, perfect_recall=True, private_info=one))

    def vector(self, state: Any, seat: Seat) -> NDArray[np.float32]:
        """The game's tensor for a seat."""
        if self.observation is None:
            return np.asarray(getattr(state, str(self.tensor))(seat), np.float32)
        self.observation.set_from(state, seat)
        return self.observation.tensor.copy()

    def table(self, state: Any) -> NDArray[np.float32]:
        """The tensors of all seats, one after the other; where information is perfect, that of the seat that moves."""
        alone = self.info.perfect_information
        return np.concatenate(
            [self.vector(state, seat) for seat in ([max(0, state.current_player())] if alone else range(self.info.seats))]
        )

    def view(self, state: Any, seat: Seat | None) -> View:
        if seat is None:
            return View(text=lambda: str(state), vector=lambda: self.table(state), key=lambda: state.history_str())
        return View(
            text=lambda: self.text.view(state, seat),
            vector=None if self.tensor is None else lambda: self.vector(state, seat),
            key=None if self.info.key_kind == "history" else lambda: self.key(state, seat),
        )


class SpielState(State):
    """A pyspiel state behind the ``State`` contract."""

    __slots__ = ("game", "names", "native", "seed")

    def __init__(self, game: OpenSpiel, native: Any, seed: int = 0) -> None:
        self.game, self.native, self.seed = game, native, seed
        self.names: dict[tuple[Seat, Action], str] = {}

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
        self.names = {}
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
        if (seat, action) not in self.names:
            names = self.game.text.actions(self.native, seat)
            self.names = {(seat, legal): name for legal, name in zip(self.native.legal_actions(seat), names, strict=True)}
        return self.names[seat, action]

    def clone(self) -> State:
        if not self.game.replays:
            return SpielState(self.game, self.native.clone())
        copy = self.game.start(self.seed)  # pyspiel's clones share one stream of chance; a replay has its own
        for action in self.native.history():
            copy.native.apply_action(action)  # type: ignore[attr-defined]
        return copy

    def resample(self, seat: Seat, seed: int) -> State:
        if self.game.info.perfect_information:
            return self.clone()
        if self.game.resamples:
            try:
                return SpielState(self.game, self.native.resample_from_infostate(seat, generator(seed).random))
            except (RuntimeError, pyspiel.SpielError):
                self.game.resamples = False
        raise NotImplementedError(f"OpenSpiel does not resample the hidden information of {self.game.info.name}")
