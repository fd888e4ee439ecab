"""Pokemon battles as Pokemon Showdown plays them: ``pokemon:FORMAT``, for two sides, singles or doubles.

``pokemon:gen9randombattle`` and the other random formats make a team for each side and match. Elsewhere each side is dealt one of
``teams``: a pool of our own by its size (1, 4, 16 or 64, the default 1), ``held_out``, or a file of packed teams or a paste.
``sheets`` says whether sides see each other's team sheets before the battle; ``open`` is the default of formats that offer it.

An action numbers what each slot in play does: 0 passes, 1 to 6 send in that member of the own team (before the battle: pick it,
those that lead first), 7 + 20 gimmick + 5 move + (target + 2) uses a move, gimmick 1 mega evolves, 2 is a Z-move, 3 Dynamax or Ultra
Burst, 4 Terastal, and target 1 and 2 are their slots, -1 and -2 the own ones, 0 none to choose. In doubles the action is the pair, or
with ``decide=slots`` a seat decides for one slot after the other, so that there is a list of what it may do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from games.arguments import read
from games.pokemon.battles import Battle, Turn, advance, look
from games.pokemon.teams import MAIN, given, held_out, pool
from games.pokemon.worker import Worker, known, workers
from marl_llm.boards import Boards, BrokenRule
from marl_llm.errors import UserError, unknown
from marl_llm.game import Action, Discrete, Factored, Game, GameInfo, Seat, State, View
from marl_llm.seeding import fold, uniform

ACTIONS = 107
MAX_DECISIONS = 12_000
"""The simulator ends a battle after 1000 turns, of at most three decisions a slot in play."""
Sheets = Literal["open", "closed"]
Decide = Literal["pairs", "slots"]
PARAMETERS = {"teams", "sheets", "decide"}
BATTLE, TEAM, DEAL = 1, 2, 3  # names of random streams

RULES = (
    "A Pokemon battle ({name}). Each turn both sides choose at once, for each of their Pokemon in play, a move or a switch; "
    "a side whose Pokemon have all fainted has lost."
)


def game(text: str) -> Game:
    """The game of ``FORMAT`` or ``FORMAT(teams=..., sheets=..., decide=...)``."""
    name, _, options = read(text)
    wrong = sorted(set(options) - PARAMETERS)
    if wrong:
        raise UserError(f"game 'pokemon:{text}' has no parameter {wrong[0]!r}; parameters: {', '.join(sorted(PARAMETERS))}")
    return Pokemon(name, **options)


def members() -> Iterator[tuple[str, Game | UserError]]:
    """Every format that needs no teams of its player's, and ours."""
    for name in known("formats"):
        facts = _facts(name)
        if facts["players"] == 2 and facts["type"] in ("singles", "doubles") and (facts["makes"] or name == MAIN):
            yield name, game(name)


@cache
def _facts(format: str) -> dict[str, Any]:
    facts = known("facts", format=format)
    if facts is None:
        raise unknown("Pokemon format", format, known("formats"))
    return facts


@cache
def layout() -> dict[str, Any]:
    """What the numbers of a view are: ``rows``, ``width``, and the names of the entries of the row of the ``field`` and of a ``member``."""
    return known("layout")


class Pokemon(Game):
    def __init__(self, format: str, teams: int | str = 1, sheets: Sheets | None = None, decide: Decide = "pairs") -> None:
        facts = _facts(format)
        if facts["players"] != 2 or facts["type"] not in ("singles", "doubles"):
            raise UserError(f"format {format!r} is {facts['type']} for {facts['players']}; expected singles or doubles for 2")
        if facts["random"] and not facts["makes"]:
            raise UserError(f"the simulator makes no teams for format {format!r}; try gen9randombattle or gen9randomdoublesbattle")
        if sheets is not None and (sheets not in get_args(Sheets) or not facts["preview"]):
            known_ = "open or closed" if facts["preview"] else "none, since this format has no team preview"
            raise UserError(f"sheets of pokemon:{format} is {sheets!r}; expected {known_}")
        if decide not in get_args(Decide):
            raise UserError(f"decide of pokemon:{format} is {decide!r}; expected pairs or slots")
        self.format, self.facts = format, facts
        self.open = facts["open"] if sheets is None else sheets == "open"
        self.teams: tuple[str, ...] = () if facts["makes"] else _teams(teams, format)
        self.by_slot = facts["type"] == "doubles" and decide == "slots"
        shape = (layout()["rows"], layout()["width"])
        self.info = GameInfo(
            name=f"pokemon:{format}",
            seats=2,
            returns=(-1.0, 1.0),
            max_decisions=MAX_DECISIONS,
            action=Discrete(ACTIONS) if facts["type"] == "singles" or self.by_slot else Factored((ACTIONS, ACTIONS)),
            utility="zero_sum",
            vector=shape,
            table=(2, *shape),
            rewards_at_end=True,
            simultaneous=True,
            key_kind="information",
            summary=f"{facts['name']} as Pokemon Showdown plays it",
        )

    def rules(self, seat: Seat) -> str:
        return RULES.format(name=self.facts["name"])

    def battle(self, seed: int, worker: Worker) -> Battle:
        """The battle of a match's seed; ``advance`` begins it."""
        return Battle(self.setup(seed), worker, by_slot=self.by_slot)

    def setup(self, seed: int) -> dict[str, Any]:
        """What the simulator begins it from."""
        if self.teams:
            teams = [{"team": self.teams[int(uniform(seed, DEAL, seat) * len(self.teams))]} for seat in (0, 1)]
        else:
            teams = [{"seed": _seed(fold(seed, TEAM, seat))} for seat in (0, 1)]
        return {"format": self.format, "seed": _seed(fold(seed, BATTLE)), "teams": teams, "open": self.open}

    def start(self, seed: int) -> State:
        battle = self.battle(seed, workers(1)[0])
        advance([battle])
        return PokemonState(self, battle)

    def boards(self, rows: int) -> Boards:
        from games.pokemon.boards import PokemonBoards

        return PokemonBoards(self, rows)


def _seed(number: int) -> str:
    return f"gen5,{number:016x}"


def _teams(teams: int | str, format: str) -> tuple[str, ...]:
    if isinstance(teams, int):
        return pool(teams, format)
    return held_out(format) if teams == "held_out" else given(Path(teams), format)


class PokemonState(State):
    """One battle. What is hidden stays in the simulator: everything here is what the seat asked for may know."""

    def __init__(self, game: Pokemon, battle: Battle) -> None:
        self.game, self.battle = game, battle
        self.labels: dict[Seat, list[dict[int, str]]] = {}

    def to_act(self) -> tuple[Seat, ...]:
        if self.battle.fault:
            raise BrokenRule(self.battle.fault)
        return tuple(seat for seat in (0, 1) if self.battle.turn(seat))

    def _turn(self, seat: Seat) -> Turn:
        turn = self.battle.turn(seat)
        assert turn is not None
        return turn

    def legal(self, seat: Seat) -> Sequence[int]:
        return self._turn(seat).slots[0] if isinstance(self.game.info.action, Discrete) else ()

    def next_legal(self, seat: Seat, chosen: tuple[int, ...]) -> Sequence[int]:
        return self._turn(seat).open(chosen)

    def apply(self, moves: Mapping[Seat, Action]) -> None:
        self.labels = {}
        if self.battle.choose([(seat, [move] if isinstance(move, int) else list(move)) for seat, move in sorted(moves.items())]):
            advance([self.battle])

    def returns(self) -> Sequence[float]:
        return [float(self.battle.result), -float(self.battle.result)]

    def view(self, seat: Seat | None) -> View:
        battle, shape = self.battle, self.game.info.vector or ()
        if seat is None:
            return View(
                text=lambda: "\n\n".join(look("texts", [(battle, 0), (battle, 1)])[0]),
                vector=lambda: look("vectors", [(battle, 0), (battle, 1)])[1].reshape(2, *shape),
            )
        return View(
            text=lambda: look("texts", [(battle, seat)])[0][0],
            vector=lambda: look("vectors", [(battle, seat)])[1].reshape(shape),
            key=lambda: self._turn(seat).key,
        )

    def action_text(self, seat: Seat, action: Action) -> str:
        if seat not in self.labels:
            self.labels[seat] = self.battle.labels(seat, look("labels", [(self.battle, seat)])[0][0])
        chosen = [action] if isinstance(action, int) else action
        return ", ".join(labels[number] for labels, number in zip(self.labels[seat], chosen, strict=False))

    def clone(self) -> State:
        return PokemonState(self.game, self.battle.fork())
