"""What PettingZoo's environments do not tell of themselves, by module: bounds, whose gain is whose loss, names of actions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from games.arguments import Facts

Given = Mapping[str, Any]
"""The arguments that an environment is made with."""


@dataclass(frozen=True)
class Known:
    """``facts`` follow from the arguments; ``action`` names a Discrete action, given the environment and the seat."""

    facts: Callable[[Given], Facts]
    action: Callable[[Any, int, int], str] = lambda env, seat, action: str(action)


def _named(*names: str) -> Callable[[Any, int, int], str]:
    return lambda env, seat, action: names[action]


def _board(moves: int) -> Facts:
    return Facts((-1.0, 1.0), moves, "zero_sum", True)


def _poker(most: float, decisions: int, given: Given) -> Facts:
    """``most`` is what a seat can lose, ``decisions`` how many it can make."""
    seats = given.get("num_players", 2)
    return Facts((-most, most * (seats - 1)), decisions * seats, "zero_sum")


def _hanabi(given: Given) -> Facts:
    colors, ranks, hints = given.get("colors", 5), given.get("ranks", 5), given.get("max_information_tokens", 8)
    cards = colors * 2 * ranks
    return Facts((0.0, float(colors * ranks)), 2 * cards + hints + 5, "team")


def _rps(given: Given) -> Facts:
    rounds = given.get("max_cycles", 15)
    return Facts((-float(rounds), float(rounds)), 2 * rounds, "zero_sum")


def _chess_move(env: Any, seat: int, action: int) -> str:
    from pettingzoo.classic.chess.chess_utils import action_to_move

    return str(action_to_move(env.unwrapped.board, action, seat))


_LIMIT = _named("call", "raise", "fold", "check")

KNOWN = {
    "pettingzoo.classic.connect_four_v3": Known(lambda given: _board(42)),
    "pettingzoo.classic.tictactoe_v3": Known(lambda given: _board(9)),
    "pettingzoo.classic.chess_v6": Known(lambda given: _board(12_000), _chess_move),
    "pettingzoo.classic.go_v5": Known(lambda given: _board(6 * given.get("board_size", 19) ** 2)),
    "pettingzoo.classic.rps_v2": Known(_rps),
    "pettingzoo.classic.hanabi_v5": Known(_hanabi),
    "pettingzoo.classic.leduc_holdem_v4": Known(lambda given: _poker(7.0, 6, given), _LIMIT),
    "pettingzoo.classic.texas_holdem_v4": Known(lambda given: _poker(25.0, 20, given), _LIMIT),
    "pettingzoo.classic.texas_holdem_no_limit_v6": Known(
        lambda given: _poker(100.0, 48, given), _named("fold", "check or call", "raise half the pot", "raise the pot", "all in")
    ),
}
