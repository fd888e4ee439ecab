"""TextArena's games: ``textarena:KuhnPoker-v0``, ``textarena:TicTacToe-v0``, for any number of seats. https://github.com/LeonGuertler/TextArena

A seat reads what TextArena shows it and answers in free text; TextArena judges the answer, so an invalid one is a move like
any other, which costs what TextArena makes it cost (as a rule a warning, then the game). Returns are its rewards.

TextArena draws from, and seeds, the generator that all of Python shares. Here its modules find another under that name, one
a match, so no match moves what another or the rest of the program draws.
"""

from __future__ import annotations

import copy
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import textarena
from textarena.envs.registration import ENV_REGISTRY

from games.arguments import Facts, read
from games.recall import Recall
from marl_llm.errors import UserError, unknown
from marl_llm.game import Action, Game, GameInfo, Seat, State, Text, View

SEATS = (2, 1, *range(3, 16))
"""Tried in this order where none are given; the first that the game takes is played."""
TOKENS = 256
UNKNOWN = Facts(returns=(-1.0, 1.0), max_decisions=1_000)


def game(text: str) -> Game:
    """The game of ``ID(key=value, ...)``; the arguments are ``seats``, those of ``Facts``, and TextArena's. UserError with one
    line where TextArena has none such or cannot begin it."""
    name, facts, given = read(text)
    if name not in ENV_REGISTRY:
        raise unknown("TextArena game", name, ENV_REGISTRY)
    return TextArena(name, facts, given.pop("seats", None), given, text)


class TextArena(Game):
    """A game of TextArena's registry. Answers have up to 256 tokens, matches up to 1,000 decisions and seats returns from -1 to 1
    unless ``Facts`` say otherwise."""

    def __init__(self, name: str, facts: Facts, seats: int | None, given: Mapping[str, Any], text: str) -> None:
        self.name, self.given = name, given
        refused: Exception | None = None
        for count in SEATS if seats is None else (seats,):
            try:
                self.seats = count
                self.begin(0)
                break
            except Exception as error:  # a game may refuse seats, or what is not installed, in any way
                refused = refused or error
        else:
            why = f"{type(refused).__name__}: {' '.join(str(refused).split())}"
            raise UserError(f"TextArena's {name} cannot begin with {seats or 'any number of'} seats: {why}")
        plain = GameInfo(
            name=text,
            seats=self.seats,
            returns=(-1.0, 1.0),
            max_decisions=1,
            action=Text(TOKENS),
            rewards_at_end=True,
            key_kind="history",
            summary=f"The game {name.partition('-v')[0]} of TextArena.",
        )
        self.info = facts.over(UNKNOWN).put(plain)

    def start(self, seed: int) -> State:
        return TextState(*self.begin(seed), Recall())

    def begin(self, seed: int) -> tuple[Any, random.Random]:
        """A new environment after its reset, and the generator that it draws from."""
        env, draws = textarena.make(self.name, **self.given), random.Random(seed)
        for name, module in list(sys.modules.items()):
            if name.startswith("textarena.") and vars(module).get("random") is random:
                vars(module)["random"] = _Draws()
        with _drawing_from(draws):
            env.reset(num_players=self.seats, seed=seed)
        return env, draws


class TextState(State):
    """A match of a TextArena game. What it shows is read once a turn, since reading takes it away."""

    def __init__(self, env: Any, draws: random.Random, recall: Recall) -> None:
        self.env, self.draws, self.recall = env, draws, recall
        self.over = False
        self._look()

    def _look(self) -> None:
        with _drawing_from(self.draws):
            self.seat, shown = self.env.get_observation()
        self.shown = shown if isinstance(shown, str) else "\n".join(message for _, message, *_ in shown)

    def to_act(self) -> tuple[Seat, ...]:
        return () if self.over else (self.seat,)

    def legal(self, seat: Seat) -> Sequence[int]:
        return ()

    def apply(self, moves: Mapping[Seat, Action]) -> None:
        ((seat, said),) = moves.items()
        self.recall.acted(seat, self.shown.encode(), said)
        with _drawing_from(self.draws):
            self.over, _ = self.env.step(action=said)
        if not self.over:
            self._look()

    def returns(self) -> Sequence[float]:
        rewards = self.env.state.rewards if self.over else None
        return [float((rewards or {}).get(seat, 0.0)) for seat in range(self.env.state.num_players)]

    def view(self, seat: Seat | None) -> View:
        if seat is None:
            return View(self._log, key=self._log)
        return View(lambda: self.shown, key=lambda: self.recall.key(seat, self.shown.encode()))

    def _log(self) -> str:
        """All that has been said, by the game (-1) and by the seats, to whomever."""
        return "\n".join(f"[{sender}] {message}" for sender, message in self.env.state.logs)

    def clone(self) -> State:
        twin = copy.copy(self)
        twin.env, twin.draws = copy.deepcopy((self.env, self.draws))
        twin.recall = self.recall.copy()
        return twin


_stream: ContextVar[Any] = ContextVar("stream", default=random)
"""What TextArena's modules draw from now: a match's own generator, and outside any match of ours what they always did."""


class _Draws:
    """Stands in TextArena's modules under the name ``random``."""

    def __getattr__(self, name: str) -> Any:
        return getattr(_stream.get(), name, None) or getattr(random, name)


@contextmanager
def _drawing_from(draws: random.Random) -> Iterator[None]:
    token = _stream.set(draws)
    try:
        yield
    finally:
        _stream.reset(token)
