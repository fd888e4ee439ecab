"""Two OpenSpiel games as strict as some of its own: they raise when asked what may not be asked. Importing registers them."""

from __future__ import annotations

from typing import Any

import pyspiel

_Type = pyspiel.GameType


class StrictGame(pyspiel.Game):
    """A die is rolled before each seat's one move; the die's face allows actions 0..face."""

    def __init__(self, params: Any = None) -> None:
        super().__init__(STRICT, pyspiel.GameInfo(4, 3, 2, -3.0, 3.0, 0.0, 2), params or {})

    def new_initial_state(self) -> Any:
        return StrictState(self)

    def make_py_observer(self, iig_obs_type: Any = None, params: Any = None) -> Any:
        return StrictObserver()


class StrictState(pyspiel.State):
    def __init__(self, game: Any) -> None:
        super().__init__(game)
        self.steps: list[int] = []

    def current_player(self) -> int:
        k = len(self.steps)
        return pyspiel.PlayerId.TERMINAL if k == 4 else pyspiel.PlayerId.CHANCE if k % 2 == 0 else k // 2

    def _legal_actions(self, player: int) -> list[int]:
        if player != self.current_player():
            raise ValueError(f"legal actions of player {player} asked for at step {len(self.steps)}")
        return list(range(self.steps[-1] + 1))

    def chance_outcomes(self) -> list[tuple[int, float]]:
        assert self.is_chance_node()
        return [(face, 1 / 3) for face in range(1, 4)]

    def _apply_action(self, action: int) -> None:
        if not self.is_chance_node() and action not in self._legal_actions(self.current_player()):
            raise ValueError(f"illegal action {action}")
        self.steps.append(action)

    def _action_to_string(self, player: int, action: int) -> str:
        return f"{action}"

    def is_terminal(self) -> bool:
        return len(self.steps) == 4

    def returns(self) -> list[float]:
        gain = float(self.steps[1] - self.steps[3]) if self.is_terminal() else 0.0
        return [gain, -gain]

    def __str__(self) -> str:
        return str(self.steps)


class StrictObserver:
    tensor, dict = None, None

    def set_from(self, state: Any, player: int) -> None:
        """Called before ``string_from``; there is no tensor to fill."""

    def string_from(self, state: Any, player: int) -> str:
        if player < 0 or state.current_player() != player:
            raise ValueError(f"player {player} observed at step {len(state.steps)}")
        return " ".join(map(str, state.steps))


def described(name: str, dynamics: Any) -> Any:
    return _Type(
        short_name=name,
        long_name=name,
        dynamics=dynamics,
        chance_mode=_Type.ChanceMode.EXPLICIT_STOCHASTIC,
        information=_Type.Information.PERFECT_INFORMATION,
        utility=_Type.Utility.ZERO_SUM,
        reward_model=_Type.RewardModel.TERMINAL,
        max_num_players=2,
        min_num_players=2,
        provides_information_state_string=False,
        provides_information_state_tensor=False,
        provides_observation_string=True,
        provides_observation_tensor=False,
        parameter_specification={},
    )


STRICT = described("strict_dice", _Type.Dynamics.SEQUENTIAL)
STILL = described("standstill", _Type.Dynamics.SIMULTANEOUS)


class StillGame(pyspiel.Game):
    """Both seats move, then seat 1 alone, and then nobody can, though the game does not say that it is over."""

    def __init__(self, params: Any = None) -> None:
        super().__init__(STILL, pyspiel.GameInfo(3, 0, 2, -2.0, 2.0, 0.0, 2), params or {})

    def new_initial_state(self) -> Any:
        return StillState(self)

    def make_py_observer(self, iig_obs_type: Any = None, params: Any = None) -> Any:
        return StillObserver()


class StillState(pyspiel.State):
    def __init__(self, game: Any) -> None:
        super().__init__(game)
        self.joint: list[list[int]] = []

    def current_player(self) -> int:
        return pyspiel.PlayerId.SIMULTANEOUS

    def _legal_actions(self, player: int) -> list[int]:
        return [[0, 1, 2], [] if player == 0 else [1, 2], []][len(self.joint)]

    def _action_to_string(self, player: int, action: int) -> str:
        return f"{action}"

    def _apply_actions(self, actions: Any) -> None:
        self.joint.append(list(actions))

    def is_terminal(self) -> bool:
        return False

    def returns(self) -> list[float]:
        gain = 0.0 if len(self.joint) < 2 else float(self.joint[0][0] - self.joint[1][1])
        return [gain, -gain]

    def __str__(self) -> str:
        return str(self.joint)


class StillObserver:
    tensor, dict = None, None

    def set_from(self, state: Any, player: int) -> None:
        """Called before ``string_from``; there is no tensor to fill."""

    def string_from(self, state: Any, player: int) -> str:
        return str(state.joint)


pyspiel.register_game(STRICT, StrictGame)
pyspiel.register_game(STILL, StillGame)
