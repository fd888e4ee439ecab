"""PettingZoo's environments that are installed, by module, for ``marl-llm games pettingzoo``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pkgutil import iter_modules

from games.pettingzoo.game import game
from marl_llm.errors import UserError
from marl_llm.game import Game

PACKAGES = ("pettingzoo.classic", "mpe2", "magent2.environments")


def modules() -> Iterator[str]:
    """``pettingzoo.classic.chess_v6`` and its like."""
    for package in PACKAGES:
        spec = find_spec(package) if find_spec(package.partition(".")[0]) else None
        found = iter_modules(spec.submodule_search_locations or []) if spec else ()
        yield from (f"{package}.{module.name}" for module in found if re.search(r"_v\d+$", module.name))


def members() -> Iterator[tuple[str, Game | UserError]]:
    """Each with default arguments, or why there is none."""
    for name in modules():
        try:
            yield name, game(name)
        except UserError as error:
            yield name, error
