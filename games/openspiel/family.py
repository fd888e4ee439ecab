"""Every registered game of OpenSpiel under one name, ``openspiel:NAME(parameters)``, and the list of them all."""

from __future__ import annotations

from collections.abc import Iterator

from games.openspiel.game import OpenSpiel
from games.openspiel.mean_field import MeanField
from games.openspiel.native import is_mean_field, kind_of, names, short_name
from marl_llm.errors import UserError
from marl_llm.game import Game


def game(name: str) -> Game:
    """The game of ``NAME(parameters)``; a mean-field game for a population of ``seats``. UserError with one line otherwise."""
    return MeanField(name) if is_mean_field(kind_of(short_name(name))) else OpenSpiel(name)


def members() -> Iterator[tuple[str, Game | UserError]]:
    """Every registered game with default parameters, or why there is none."""
    for name in names():
        try:
            yield name, game(name)
        except UserError as error:
            yield name, error
