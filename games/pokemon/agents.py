"""Agents for Pokemon battles that learn nothing: ``pokemon-max-power`` and ``pokemon-heuristic``. Before the battle they pick at random."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from games.pokemon.battles import Turn
from games.pokemon.boards import PokemonViews
from games.pokemon.heuristics import Choice, Dex, Position, max_power, simple
from games.pokemon.worker import known
from marl_llm.agent import Decision, Immediate, Request, answer
from marl_llm.answers import column
from marl_llm.errors import UserError
from marl_llm.game import Discrete
from marl_llm.seeding import uniform

Thumb = Callable[[Position], Sequence[Choice]]


class RuleOfThumb(Immediate):
    """Plays what ``thumb`` says; among equals, and where the second slot may not do what it should, at random."""

    def __init__(self, thumb: Thumb) -> None:
        super().__init__()
        self.thumb = thumb

    def decide(self, request: Request) -> Decision:
        views = request.views
        if not isinstance(views, PokemonViews):
            raise UserError(f"a Pokemon agent cannot play {views.game.info.name}; use random, or train an agent")
        dex = _dex(views.game.format)
        rows = zip(views.pictures(), views.options(), request.seed.tolist(), strict=True)
        actions = [self._action(picture, turn, dex, seed) for picture, turn, seed in rows]
        info = views.game.info
        return answer(request, column(info, [action[0] for action in actions] if isinstance(info.action, Discrete) else actions))

    def _action(self, picture: dict[str, Any], turn: Turn, dex: Dex, seed: int) -> tuple[int, ...]:
        choices = turn.slots if picture["asks"] == "teampreview" else self.thumb(Position(picture, turn.slots, dex))
        before = picture["chosen"] or ()  # where slots are decided one after the other
        chosen = list(before)
        for slot, choice in list(enumerate(choices))[len(before) :]:
            legal = turn.after(*chosen) if slot else turn.slots[0]
            good = [action for action in choice if action in legal] or legal
            chosen.append(good[int(uniform(seed, slot) * len(good))])
        return tuple(chosen[len(before) :])


def heuristic() -> RuleOfThumb:
    """The choices of poke-env's SimpleHeuristicsPlayer."""
    return RuleOfThumb(simple)


def strongest() -> RuleOfThumb:
    """The move of greatest base power, as poke-env's MaxBasePowerPlayer."""
    return RuleOfThumb(max_power)


@cache
def _dex(format: str) -> Dex:
    return Dex(**known("dex", format=format))
