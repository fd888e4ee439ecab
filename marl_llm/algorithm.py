"""What a learning algorithm is: it plans matches, learns from the batch they give, and offers the agents it trains.

A recipe is a dataclass that configuration may re-number; ``build`` makes the algorithm for the games at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from marl_llm.agent import Agent
from marl_llm.errors import UserError
from marl_llm.game import ActionKind, Discrete, Game, GameInfo, Spec, Utility
from marl_llm.league import League
from marl_llm.matches import Match
from marl_llm.records import Batch


class Unsuitable(UserError):
    """An algorithm cannot learn this game; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Requires:
    """What a game must have for an algorithm to be right on it; checked before anything starts."""

    utility: tuple[Utility, ...] = ("zero_sum", "team", "general")
    action: tuple[type[ActionKind], ...] = (Discrete,)
    simultaneous: bool = True
    message: bool = False
    vector: bool = False
    table: bool = False

    def check(self, algorithm: str, info: GameInfo) -> None:
        """Raise ``Unsuitable`` with the reason."""
        if info.utility not in self.utility:
            raise Unsuitable(f"{algorithm} needs a {' or '.join(self.utility)} game; {info.name} is {info.utility}")
        if not isinstance(info.action, self.action):
            kinds = " or ".join(kind.__name__ for kind in self.action)
            raise Unsuitable(f"{algorithm} needs {kinds} actions; {info.name} has {type(info.action).__name__}")
        if info.message is not None and not self.message:
            raise Unsuitable(f"{algorithm} cannot speak, and seats of {info.name} do")
        if info.simultaneous and not self.simultaneous:
            raise Unsuitable(f"{algorithm} needs seats that move in turn; in {info.name} they move at once")
        if self.vector and info.vector is None:
            raise Unsuitable(f"{algorithm} needs a vector view; {info.name} gives none")
        if self.table and info.table is None:
            raise Unsuitable(f"{algorithm} needs a view of the whole table as numbers; {info.name} gives none")


@dataclass(frozen=True)
class Setup:
    """What an algorithm is built from: games, an optional base model, the root seed, and a folder for what it makes."""

    games: tuple[Spec, ...]
    load: Callable[[Spec], Game]
    model: str | None
    seed: int
    report: Callable[[str], None] = lambda line: None
    """Tells the person waiting what is being prepared."""
    league: League | None = None
    """Past policies to play against; None where nobody keeps any."""


class Algorithm(Protocol):
    """Three calls in a loop. ``agents`` are the agents that its matches name, live: they play with the newest weights. The first is the
    one that is trained for, measured and saved; it stays the same object."""

    requires: Requires
    agents: Mapping[str, Agent]

    def plan(self, step: int) -> Sequence[Match]:
        """Matches of iteration ``step``."""
        ...

    def learn(self, batch: Batch) -> Mapping[str, float]:
        """Update from one iteration's matches; metrics."""
        ...

    def save(self, folder: Path) -> None:
        """Everything that bit-exact resuming needs, into an existing empty folder."""
        ...

    def load(self, folder: Path) -> None:
        """Continue from what ``save`` wrote."""
        ...

    def save_agent(self, player: str, folder: Path) -> None:
        """The player alone, playable without this algorithm: ``agent.json`` names the loader."""
        ...

    def save_past(self, player: str, folder: Path) -> None:
        """The same for a league of this run, in a form that costs little where its members share a base."""
        ...


@runtime_checkable
class Reacting(Protocol):
    """An algorithm that asks for further matches while an iteration goes on: forks, or more where there are too few."""

    def react(self, ended: Batch) -> Sequence[Match]:
        """Matches to play now that all of ``ended`` are, in the same iteration; none when it has enough."""
        ...


class Recipe(Protocol):
    """A frozen dataclass of settings that builds its algorithm."""

    @property
    def horizon(self) -> int:
        """Iterations that its schedules are laid over, and how long a run lasts unless told."""
        ...

    def build(self, setup: Setup) -> Algorithm: ...
