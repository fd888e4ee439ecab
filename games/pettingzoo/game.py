"""Any PettingZoo environment as a ``Game``, AEC or Parallel: ``pettingzoo:pettingzoo.classic.connect_four_v3`` by its module,
``from_pettingzoo(make)`` by a function that makes one. https://pettingzoo.farama.org

Seats are the environment's ``possible_agents``, in their order; actions and views are as ``spaces`` tells. A seat's key is a
digest of all it has observed and done, since PettingZoo does not say what is hidden from whom. Its text is its observation in
names and numbers, or, where nothing is hidden and the environment draws itself as text, that drawing.

What an environment does not tell is taken to be so unless stated, as arguments or as ``Facts``: a return between -10,000 and
10,000, ``max_cycles`` or 1,000 turns a seat, a general sum, hidden information. A match in which those who
lived last are all truncated was cut.

A match is ``reset(seed=...)`` of a new environment; whatever global generator it might use instead, ``check_game`` tells.
``clone`` copies the environment where a trial has shown that this can be done, and plays the seed and the moves again where not:
copying chess at move 100 takes 0.3 ms, playing it again 60 ms.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from games.arguments import Facts, read
from games.pettingzoo import page, spaces
from games.pettingzoo.cycles import Agent, Cycle, Rounds, Turns, copied
from games.pettingzoo.known import KNOWN, Known
from games.pettingzoo.spaces import Actions, mask_of
from games.recall import Recall
from marl_llm.errors import MissingExtra, UserError
from marl_llm.game import Action, ActionKind, Discrete, Game, GameInfo, Seat, State, View

SEEDS = 2**31
"""Seeds are taken modulo this, which every generator accepts."""
_ANSI = re.compile(r"\x1b\[[\d;]*m")
_BEHIND = re.compile(r"\x1b\[4\dm(.*?)\x1b\[0m", re.DOTALL)
EXTRAS = {"pettingzoo": "classic", "mpe2": "mpe", "magent2": "magent"}
"""What a module of these packages needs, if anything."""
UNKNOWN = Facts(returns=(-10_000.0, 10_000.0))
TURNS = 1_000
TRIAL = 4


def game(text: str) -> Game:
    """The game of ``MODULE(key=value, ...)``, a module with ``parallel_env`` or ``env``; the arguments are the environment's and
    those of ``Facts``. UserError with one line where there is none such."""
    name, facts, given = read(text)
    try:
        module = import_module(name)
    except ModuleNotFoundError as error:
        top = name.partition(".")[0]
        if top in EXTRAS and (error.name == top or not f"{name}.".startswith(f"{error.name}.")):
            raise MissingExtra(f"PettingZoo's {name}", EXTRAS[top]) from error
        raise UserError(
            f"PettingZoo module {name!r} cannot be imported ({error}); expected one such as pettingzoo.classic.connect_four_v3"
        ) from error
    make = getattr(module, "parallel_env", None) or getattr(module, "env", None)
    if make is None:
        raise UserError(f"module {name!r} has neither parallel_env nor env; expected a PettingZoo environment's module")
    known = KNOWN.get(name, Known(lambda given: Facts()))
    try:
        if "ansi" in make(**given).metadata.get("render_modes", ()):
            given.setdefault("render_mode", "ansi")
        return PettingZoo(lambda: make(**given), facts.over(known.facts(given)), text, known)
    except UserError:
        raise
    except Exception as error:  # an environment may refuse its arguments in any way
        if isinstance(error, ImportError) and (extra := EXTRAS.get(name.partition(".")[0])):
            raise MissingExtra(f"PettingZoo's {name}", extra) from error
        raise UserError(f"PettingZoo's {name} cannot be made: {type(error).__name__}: {' '.join(str(error).split())}") from error


def from_pettingzoo(make: Callable[[], Any], facts: Facts | None = None) -> Game:
    """The game of the environments that ``make`` makes, a new one a match. To have it under a name in any process, put a function
    that returns it into a file: ``file.py:function``."""
    return PettingZoo(make, facts or Facts())


class PettingZoo(Game):
    """See the module. UserError for an environment without ``possible_agents``, or with an action space that no kind fits."""

    def __init__(self, make: Callable[[], Any], facts: Facts, name: str = "", known: Known | None = None) -> None:
        self.make = make
        self.name_of = known.action if known else None
        env = make()
        name = name or str(env)
        if not getattr(env, "possible_agents", None):
            raise UserError(f"{name} has no possible_agents, so it has no fixed seats; expected an environment that lists them")
        self.agents: list[Agent] = list(env.possible_agents)
        self.seat = {agent: seat for seat, agent in enumerate(self.agents)}
        self.spaces = [env.observation_space(agent) for agent in self.agents]
        self.seen = [spaces.seen(space) for space in self.spaces]
        self.actions = [Actions(env.action_space(agent), f"agent {agent!r} of {name}") for agent in self.agents]
        self.idle = {agent: actions.idle for agent, actions in zip(self.agents, self.actions, strict=True)}
        self.turns = hasattr(env, "agent_iter")
        self.copies: bool | None = None
        """Whether copies of an environment have proved right; None until that has been tried."""
        self.drawn = getattr(env, "render_mode", None) == "ansi"
        table = getattr(env, "state_space", None)
        cycles = getattr(env.unwrapped, "max_cycles", None)
        plain = GameInfo(
            name=name,
            seats=len(self.agents),
            returns=(0.0, 0.0),
            max_decisions=len(self.agents) * (cycles if isinstance(cycles, int) else TURNS),
            action=_common([actions.kind for actions in self.actions], name),
            vector=spaces.vector_shape(self.seen),
            table=getattr(table, "shape", None),
            simultaneous=not self.turns and len(self.agents) > 1,
            key_kind="history",
            summary=page.rules(env),
        )
        self.info = facts.over(UNKNOWN).put(plain)

    def start(self, seed: int) -> State:
        return ZooState(self, seed, self.begin(seed), Recall())

    def begin(self, seed: int) -> Cycle:
        """A new environment at the start of the match of ``seed``."""
        env, seed = self.make(), seed % SEEDS
        return Turns(env, seed) if self.turns else Rounds(env, seed, self.idle)

    def rules(self, seat: Seat) -> str:
        return f"{self.info.summary}\nYou are {self.agents[seat]}."


class ZooState(State):
    """A PettingZoo environment behind the ``State`` contract. ``moves`` are all that have been made."""

    def __init__(self, game: PettingZoo, seed: int, cycle: Cycle, recall: Recall, moves: Sequence[Mapping[Seat, Action]] = ()) -> None:
        self.game, self.seed, self.cycle, self.recall, self.moves = game, seed, cycle, recall, list(moves)
        self.looks: dict[Seat, tuple[Any, Mapping[str, Any]]] = {}

    def to_act(self) -> tuple[Seat, ...]:
        return tuple(sorted(self.game.seat[agent] for agent in self.cycle.acting()))

    def legal(self, seat: Seat) -> Sequence[int]:
        return self.game.actions[seat].legal(self.mask(seat)) if isinstance(self.game.info.action, Discrete) else ()

    def next_legal(self, seat: Seat, chosen: tuple[int, ...]) -> Sequence[int]:
        return self.game.actions[seat].next_legal(self.mask(seat), len(chosen))

    def apply(self, moves: Mapping[Seat, Action]) -> None:
        for seat, action in moves.items():
            self.recall.acted(seat, self.observed(seat), action)
        self.moves.append(dict(moves))
        self.cycle.step({self.game.agents[seat]: self.game.actions[seat].native(action) for seat, action in moves.items()})
        self.looks = {}

    def returns(self) -> Sequence[float]:
        gained = self.cycle.gained
        return [gained[agent] for agent in self.game.agents]

    def cut(self) -> bool:
        return self.cycle.cut

    def view(self, seat: Seat | None) -> View:
        game = self.game
        if seat is None:
            table = self.cycle.env.state if game.info.table else None
            return View(self.table_text, vector=table, key=self.table_text)
        return View(
            lambda: self.text(seat),
            vector=(lambda: self.vector(seat)) if game.info.vector else None,
            key=lambda: self.recall.key(seat, self.observed(seat)),
        )

    def action_text(self, seat: Seat, action: Action) -> str:
        return self.game.name_of(self.cycle.env, seat, action) if self.game.name_of else str(action)

    def clone(self) -> State:
        if self.game.copies is None and len(self.moves) >= TRIAL:
            self.game.copies = self._copy_holds()
        return self._copy() if self.game.copies else self._again(self.moves)

    def _copy(self) -> ZooState:
        return ZooState(self.game, self.seed, copied(self.cycle), self.recall.copy(), self.moves)

    def _again(self, moves: Sequence[Mapping[Seat, Action]]) -> ZooState:
        again = ZooState(self.game, self.seed, self.game.begin(self.seed), Recall())
        for joint in moves:
            again.apply(joint)
        return again

    def _copy_holds(self) -> bool:
        """Whether a copy of this match one move ago, moved on, is this match now, and leaves what it was copied from where it was."""
        before = self._again(self.moves[:-1])
        shown = before._shown()
        try:
            copy = before._copy()
            copy.apply(self.moves[-1])
        except Exception:  # whatever it is that cannot be copied
            return False
        return copy._shown() == self._shown() and before._shown() == shown

    def _shown(self) -> Any:
        self.looks = {}
        return self.to_act(), self.returns(), [self.observed(seat) for seat in self.to_act()]

    def look(self, seat: Seat) -> tuple[Any, Mapping[str, Any]]:
        """What the seat observes now and is told beside it, asked of the environment once."""
        if seat not in self.looks:
            self.looks[seat] = self.cycle.observe(self.game.agents[seat])
        return self.looks[seat]

    def mask(self, seat: Seat) -> Any:
        return mask_of(*self.look(seat))

    def observed(self, seat: Seat) -> bytes:
        """What the seat observes as bytes, its mask included."""
        return spaces.bytes_of(self.look(seat)[0]) + spaces.bytes_of(self.mask(seat))

    def text(self, seat: Seat) -> str:
        game = self.game
        if game.drawn and game.info.perfect_information:
            return f"You are {game.agents[seat]}.\n{self.drawing()}"
        observation = spaces.observed(game.spaces[seat], self.look(seat)[0])
        return f"You are {game.agents[seat]}.\n{spaces.text(game.seen[seat], observation)}"

    def vector(self, seat: Seat) -> NDArray[np.float32]:
        game = self.game
        assert game.info.vector is not None
        return spaces.vector(game.seen[seat], spaces.observed(game.spaces[seat], self.look(seat)[0]), game.info.vector)

    def drawing(self) -> str:
        """What the environment draws as text; a cell that it shows by a colour behind it stands in brackets."""
        return _ANSI.sub("", _BEHIND.sub(r"[\1]", str(self.cycle.env.render()))).strip("\n")

    def table_text(self) -> str:
        """The whole table: the environment's own drawing, else what those who are to act observe."""
        if self.game.drawn:
            return self.drawing()
        return "\n\n".join(self.text(seat) for seat in self.to_act()) or "The match is over."


def _common(kinds: Sequence[ActionKind], name: str) -> ActionKind:
    """One kind for all seats: of Discrete ones the widest, whose masks keep the others narrow."""
    if all(isinstance(kind, Discrete) for kind in kinds):
        return max((kind for kind in kinds if isinstance(kind, Discrete)), key=lambda kind: kind.n)
    if len(set(kinds)) > 1:
        raise UserError(f"the agents of {name} have different actions, {' and '.join(sorted(set(map(str, kinds))))}; expected one kind")
    return kinds[0]
