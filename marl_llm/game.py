"""What a game is: rules for one match, written by its author; everything else (batches, chance, legality, replay) is the runtime's.

The smallest game is a ``Game`` with ``info`` and ``start``, and a ``State`` with ``to_act``, ``legal``, ``apply``,
``returns`` and ``view``. A game with dice or cards adds ``chance`` and ``apply_chance``.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from marl_llm.boards import Boards

Seat = int
Spec = str
"""``"leduc_poker(players=2)"``, ``"pkg.mod:Nim"`` or ``"/abs/nim.py:Nim"``: what a process needs to load the game."""
Action = Any


@dataclass(frozen=True)
class Discrete:
    """Actions are the integers 0 to ``n`` - 1."""

    n: int


@dataclass(frozen=True)
class Factored:
    """An action is a tuple of integers, factor k from 0 to ``sizes[k]`` - 1; ``State.next_legal`` tells what may follow what."""

    sizes: tuple[int, ...]


@dataclass(frozen=True)
class Box:
    """Actions are float arrays of ``shape`` between ``low`` and ``high``."""

    low: float
    high: float
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Text:
    """Actions are strings of at most ``max_tokens`` tokens."""

    max_tokens: int


ActionKind = Discrete | Factored | Box | Text
Utility = Literal["zero_sum", "team", "general"]
KeyKind = Literal["state", "information", "history"]


@dataclass(frozen=True, kw_only=True)
class GameInfo:
    """Facts about a game that hold in every match.

    ``returns`` bounds what a seat can end with; ``max_decisions`` bounds the decisions of all seats together, and a
    longer match is cut there. ``vector`` is the shape of a seat's view as numbers. ``rewards_at_end`` promises that
    returns are zero until the match is over. ``message`` is what a seat may say where its legal set is empty, in a game of
    Discrete actions whose seats also talk. ``enumerable`` promises that all randomness is exposed by ``State.chance``
    and that the whole tree is small: such games are unrolled once and stepped as arrays. ``anonymous`` marks a
    population whose seats are exchangeable. ``key_kind`` says what ``View.key`` is: the Markov state, the information
    state, or (where the author gives none) the seat's own history of observations and actions.
    """

    name: str
    seats: int
    returns: tuple[float, float]
    max_decisions: int
    action: ActionKind
    message: Text | None = None
    utility: Utility = "general"
    teams: tuple[tuple[Seat, ...], ...] = ()
    vector: tuple[int, ...] | None = None
    table: tuple[int, ...] | None = None
    perfect_information: bool = False
    rewards_at_end: bool = False
    enumerable: bool = False
    anonymous: bool = False
    simultaneous: bool = False
    key_kind: KeyKind = "history"
    summary: str = ""


class View:
    """What one seat may know now. ``text``, ``vector`` and ``key`` are computed when first asked for.

    ``key`` names everything the seat's policy may depend on. Leave it out and the runtime keeps the seat's own
    history of texts and actions for it.
    """

    def __init__(
        self,
        text: Callable[[], str],
        *,
        vector: Callable[[], NDArray[Any]] | None = None,
        key: Callable[[], str] | None = None,
    ) -> None:
        self._text, self._vector, self._key = text, vector, key

    @cached_property
    def text(self) -> str:
        return self._text()

    @cached_property
    def vector(self) -> NDArray[np.float32]:
        if self._vector is None:
            raise TypeError("this game gives no vector view; set GameInfo.vector and View(vector=...) to train a neural agent on it")
        return np.asarray(self._vector(), np.float32)

    @cached_property
    def key(self) -> str | None:
        return None if self._key is None else self._key()


class State(ABC):
    """One match in progress. The runtime calls these methods in a fixed order and checks every answer."""

    @abstractmethod
    def to_act(self) -> tuple[Seat, ...]:
        """Seats that must move now: one, several at once, or none when the match is over or chance moves."""

    @abstractmethod
    def legal(self, seat: Seat) -> Sequence[int]:
        """Legal actions of a seat that must move, in a fixed order. None where its answer is open: any Factored, Box or Text
        action, or a message."""

    def next_legal(self, seat: Seat, chosen: tuple[int, ...]) -> Sequence[int]:
        """Of a Factored action that begins with ``chosen``, the values that the next factor may take; at least one."""
        raise TypeError(f"{type(self).__name__} has Factored actions but no next_legal()")

    @abstractmethod
    def apply(self, moves: Mapping[Seat, Action]) -> None:
        """Play one legal action for exactly the seats of ``to_act``."""

    @abstractmethod
    def returns(self) -> Sequence[float]:
        """What each seat has gained since the start."""

    @abstractmethod
    def view(self, seat: Seat | None) -> View:
        """What ``seat`` may know; with ``None`` the whole table, for critics and spectators only."""

    def chance(self) -> Sequence[tuple[int, float]]:
        """Outcomes and probabilities where chance moves; empty elsewhere."""
        return ()

    def apply_chance(self, outcome: int) -> None:
        """Let chance choose ``outcome``."""
        raise TypeError(f"{type(self).__name__} exposes chance() but has no apply_chance()")

    def cut(self) -> bool:
        """Of a match that is over: whether it was stopped by a limit rather than ended, so that there was more to gain."""
        return False

    def action_text(self, seat: Seat, action: Action) -> str:
        """A legal action as players write it; distinct for distinct actions."""
        return str(action)

    def clone(self) -> State:
        """A copy with the same future."""
        return copy.deepcopy(self)

    def resample(self, seat: Seat, seed: int) -> State:
        """A world that ``seat`` cannot tell from this one: all that search may use where information is hidden."""
        raise NotImplementedError


class Game(ABC):
    """A game's rules and facts. ``spec`` is filled by whoever loads it; two processes share a game by its spec."""

    info: GameInfo
    spec: Spec = ""

    @abstractmethod
    def start(self, seed: int) -> State:
        """A new match. ``seed`` matters only to games with randomness that ``State.chance`` does not expose."""

    def rules(self, seat: Seat) -> str:
        """The rules as told to a language agent in ``seat``."""
        return self.info.summary or self.info.name

    def boards(self, rows: int) -> Boards:
        """Room for ``rows`` matches side by side. Array games override this and never make an object a step."""
        from marl_llm.boards import StateBoards
        from marl_llm.tree import TreeBoards, tree_of

        if self.info.enumerable:
            try:
                return TreeBoards(tree_of(self), rows)
            except (Exception, SystemExit):  # rules that break while unrolled are played match by match: each says what it broke
                pass
        return StateBoards(self, rows)


def actions(info: GameInfo) -> int:
    """The number of actions of a discrete game; for any other kind a TypeError that says so."""
    if not isinstance(info.action, Discrete):
        raise TypeError(f"{info.name} has {type(info.action).__name__} actions, and this needs Discrete ones")
    return info.action.n


@runtime_checkable
class Subgoals(Protocol):
    """What a game adds that offers subgoals to hierarchical learners: their names, and when a seat has fulfilled one.

    Both are the seat's own business: it must be able to tell from its own views.
    """

    subgoals: tuple[str, ...]

    def reached(self, before: NDArray[Any], now: NDArray[Any]) -> NDArray[np.bool_]:
        """Which subgoals were fulfilled between two of a seat's turns that follow each other, [n, subgoals], by its views as
        numbers, [n, \\*info.vector] each."""
        ...
