"""OpenSpiel's own games by name: what is registered, how one is loaded, and in one line why another cannot be."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

import open_spiel.python.games  # noqa: F401  # importing registers the games written in Python
import pyspiel

from games.openspiel.flaws import REFUSED
from marl_llm.errors import UserError, unknown

EXAMPLES = {
    "add_noise": "epsilon=0.1,seed=1,game=kuhn_poker()",
    "cached_tree": "game=kuhn_poker()",
    "chat_game": "num_distinct_actions=8",
    "efg_game": "filename=game.efg",
    "misere": "game=tic_tac_toe()",
    "nfg_game": "filename=game.nfg",
    "normal_form_extensive_game": "game=kuhn_poker()",
    "repeated_game": "num_repetitions=10,stage_game=matrix_pd()",
    "repeated_poker": "max_num_hands=3,reset_stacks=true,universal_poker_game_string=universal_poker()",
    "restricted_nash_response": "fixed_player=0,p=0.5,game=kuhn_poker()",
    "start_at": "history=4;0,game=tic_tac_toe()",
    "turn_based_simultaneous_game": "game=goofspiel(num_cards=3)",
    "zerosum": "game=matrix_pd()",
}
"""Parameters that work, for the games whose defaults do not."""


def names() -> list[str]:
    """The registered games, sorted."""
    _register_mean_field()
    return sorted(pyspiel.registered_names())


def short_name(name: str) -> str:
    """The registered name in ``name(parameters)``; UserError where there is none such."""
    short = name.partition("(")[0].strip()
    if short not in _kinds():
        _register_mean_field()
    if short not in _kinds():
        raise unknown("OpenSpiel game", short, _kinds())
    return short


def kind_of(short: str) -> Any:
    """OpenSpiel's description of a registered game."""
    return _kinds()[short]


def is_mean_field(kind: Any) -> bool:
    return kind.dynamics == pyspiel.GameType.Dynamics.MEAN_FIELD


def _register_mean_field() -> None:
    """Register OpenSpiel's mean-field games written in Python, whose import takes as long as all else together, and see
    what others have registered by now."""
    import_module("open_spiel.python.mfg.games.normal_form_game")
    _kinds.cache_clear()


@cache
def _kinds() -> dict[str, Any]:
    return {kind.short_name: kind for kind in pyspiel.registered_games()}


def load(name: str) -> Any:
    """The pyspiel game of ``name(parameters)``; UserError with one line where OpenSpiel has none or it cannot be played."""
    short = short_name(name)
    takes = ", ".join(sorted(kind_of(short).parameter_specification)) or "none"
    if short in REFUSED:
        raise UserError(f"OpenSpiel's {short} cannot be played: {REFUSED[short]}")
    if short in EXAMPLES and "=" not in name:
        raise UserError(f"{short} needs parameters ({takes}); for example openspiel:{short}({EXAMPLES[short]})")
    try:
        return pyspiel.load_game(name)
    except (RuntimeError, IndexError, pyspiel.SpielError) as error:  # the types in which pyspiel passes on C++ errors
        raise UserError(
            f"OpenSpiel game {name!r} cannot be made: {' '.join(str(error).split())}; parameters of {short}: {takes}"
        ) from error


def full_name(native: Any, name: str) -> str:
    """A name with parameters from which pyspiel loads this game again: its own, or what it was loaded by where it forgets that."""
    given = pyspiel.game_parameters_from_string(name)
    kept = native.get_type().short_name == given.pop("name") and given.keys() <= native.get_parameters().keys()
    return str(native).removesuffix("()") if kept else name
