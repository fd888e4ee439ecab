"""``marl-llm check-game SPEC``: does a game keep the contract? Library code for authors' own tests: ``check_game(game).require()``.

Random matches are played and every answer is checked; each match is then played again, from its clones and from its seed.
Checking stops at the first rule that is broken, and tells the seed and the moves that show it. A method that never returns
cannot be interrupted here.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, get_args

import numpy as np
import tyro

from marl_llm.answers import at_random
from marl_llm.boards import BrokenRule, StateBoards, checked
from marl_llm.examine import POSITIONS, Breach, Examiner, short
from marl_llm.game import Action, Box, Discrete, Factored, Game, GameInfo, KeyKind, Seat, Text, Utility
from marl_llm.ragged import Ragged
from marl_llm.seeding import fold
from marl_llm.tree import TooLarge, Tree

RULES = {
    "info": "info is complete and consistent",
    "start": "start() gives a State",
    "to_act": "to_act() gives a tuple of distinct seats",
    "legal": "legal() gives distinct action numbers, and none where the answer is open",
    "next_legal": "next_legal() gives distinct values of the next factor, at least one",
    "apply": "apply() takes every legal action",
    "chance": "chance() gives outcomes with probabilities that sum to 1, and apply_chance() takes them",
    "returns": "returns() gives one finite number a seat, at the end inside info.returns",
    "max_decisions": "a match ends within info.max_decisions",
    "zero_sum": "returns sum to zero at the end, as info.utility says",
    "team": "a team's seats end with equal returns, as info.utility says",
    "rewards_at_end": "returns are zero until the end, as info.rewards_at_end says",
    "views": "view() gives the same answer when asked twice, and changes nothing",
    "text": "a view's text is a string and a function of its seat and key",
    "key": "a view's key is a string, and no two seats share one",
    "legal_by_key": "what is legal is a function of the key",
    "vector": "a view's vector is finite and of the shape info.vector",
    "table": "the whole table's vector is finite and of the shape info.table",
    "action_text": "action texts are strings and distinct",
    "perfect_recall": "a key tells the seat's own earlier keys and actions, as info.key_kind says",
    "seed": "equal seeds, chance and moves give equal matches",
    "clone": "clone() has the same future and shares nothing",
    "resample": "resample() gives a world in which the seat's key and legal actions are the same",
    "enumerable": "the tree can be unrolled and chance() exposes all randomness, as info.enumerable says",
    "boards": "the boards of this game play as its states do",
    "globals": "a match leaves the global random generators and the working folder alone",
}


@dataclass(frozen=True)
class Finding:
    """One rule. ``holds`` is None where no case came up. ``moves`` are (seat, action) pairs; chance follows from ``seed``."""

    rule: str
    says: str
    holds: bool | None
    problem: str = ""
    seed: int | None = None
    moves: tuple[tuple[Seat, Action], ...] = ()


@dataclass(frozen=True)
class Report:
    """What was found of a game, one finding a rule."""

    game: str
    matches: int
    findings: tuple[Finding, ...]

    @property
    def broken(self) -> Finding | None:
        """The rule that does not hold, if there is one."""
        return next((finding for finding in self.findings if finding.holds is False), None)

    def require(self) -> None:
        """AssertionError with the broken rule and what shows it."""
        if self.broken:
            raise AssertionError(f"{self.game}: {_told(self.broken)}")


def check_game(game: Game, *, matches: int = 20, seed: int = 0) -> Report:
    """Play ``matches`` random matches of ``game`` and check every rule of the contract. Never raises for what the game does."""
    broken: list[Finding] = []
    examiner: Examiner | None = None

    def holds(part: Callable[..., None], *arguments: Any) -> bool:
        """Whether nothing was broken; a breach is kept."""
        try:
            part(*arguments)
        except Breach as breach:
            shown = (examiner.seed, tuple(examiner.moves)) if examiner else (None, ())
            broken.append(Finding(breach.rule, RULES[breach.rule], False, str(breach), *shown))
        return not broken

    done = 0
    if holds(_facts, game):
        examiner = Examiner(game)
        while done < matches and holds(examiner.match, int(fold(seed, done)) >> 1):
            done += 1
        if not broken:
            examiner.seed, examiner.moves = None, []
            _ = holds(_unrolled, examiner) and holds(_boards, examiner, seed)
    tested = examiner.tested | {"info"} if examiner else set()
    found = {finding.rule: finding for finding in broken}
    findings = [found.get(rule) or Finding(rule, says, True if rule in tested else None) for rule, says in RULES.items()]
    return Report(game.info.name if examiner else type(game).__name__, done, tuple(findings))


def _facts(game: Game) -> None:
    try:
        for problem in _wrong(checked(game.info, GameInfo, "info")):
            raise BrokenRule(problem)
    except Exception as error:
        raise Breach("info", str(error) if isinstance(error, BrokenRule) else f"info raised {type(error).__name__}: {error}") from error


def _wrong(info: GameInfo) -> Iterator[str]:
    if not isinstance(info.name, str):
        yield f"info.name is {info.name!r}; expected a string"
    if not isinstance(info.seats, int) or info.seats < 1:
        yield f"info.seats is {info.seats!r}; expected an integer of at least 1"
    low, high = info.returns
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        yield f"info.returns is {info.returns!r}; expected two finite numbers, the lower first"
    if not isinstance(info.max_decisions, int) or info.max_decisions < 1:
        yield f"info.max_decisions is {info.max_decisions!r}; expected an integer of at least 1"
    yield from _kinds(info)
    if info.utility not in get_args(Utility):
        yield f"info.utility is {info.utility!r}; expected one of {', '.join(get_args(Utility))}"
    if info.key_kind not in get_args(KeyKind):
        yield f"info.key_kind is {info.key_kind!r}; expected one of {', '.join(get_args(KeyKind))}"
    if info.teams and sorted(seat for team in info.teams for seat in team) != list(range(info.seats)):
        yield f"info.teams is {info.teams!r}; expected every seat in exactly one team"


def _kinds(info: GameInfo) -> Iterator[str]:
    match info.action:
        case Discrete(n) if n < 1:
            yield f"info.action is {info.action!r}; expected at least one action"
        case Factored(sizes) if not sizes or min(sizes) < 1:
            yield f"info.action is {info.action!r}; expected at least one factor, and at least one value of each"
        case Box(low, high) if not (math.isfinite(low) and math.isfinite(high) and low <= high):
            yield f"info.action is {info.action!r}; expected finite bounds, the lower first"
        case Text(limit) if limit < 1:
            yield f"info.action is {info.action!r}; expected room for at least one token"
        case Discrete() | Factored() | Box() | Text():
            pass
        case _:
            yield f"info.action is {info.action!r}; expected Discrete, Factored, Box or Text"
    if info.message is not None and not (isinstance(info.message, Text) and isinstance(info.action, Discrete)):
        yield f"info.message is {info.message!r}; expected Text, in a game of Discrete actions"


def _unrolled(one: Examiner) -> None:
    if one.info.enumerable:
        with one.rule("enumerable", "the tree"):
            try:
                tree = Tree(one.game)
            except TooLarge as error:
                raise BrokenRule(f"{error}; leave info.enumerable out") from error
        if one.info.key_kind != "state":
            one.expect("perfect_recall", tree.perfect_recall, "some key is reached after different own keys or actions")


def _boards(one: Examiner, seed: int, rows: int = 16) -> None:
    """The game's own boards beside stacked states, with the same seeds and moves."""
    with one.rule("boards", "boards()"):
        ours, plain = one.game.boards(rows), StateBoards(one.game, rows)
        if isinstance(ours, StateBoards):
            one.tested.discard("boards")
            return
        row = np.arange(rows)
        for boards in (ours, plain):
            boards.start(row, fold(seed, row) >> np.uint64(1))
        for k in range(min(one.info.max_decisions, POSITIONS // rows)):
            row, seat = plain.acting()
            _same("acting()", ours.acting(), (row, seat))
            if not len(row):
                return
            legal = plain.legal(row, seat)
            _same("legal()", _flat(ours.legal(row, seat)), _flat(legal))
            mine, theirs = ours.views(row, seat), plain.views(row, seat)
            keys = [[views.codes[code] for code in views.keys().tolist()] for views in (mine, theirs)]
            _same("views().keys()", *keys)
            _same("views().texts()", mine.texts(), theirs.texts())
            _same("views().action_texts()", mine.action_texts(), theirs.action_texts())
            if one.info.vector is not None:
                _same("views().vectors()", mine.vectors(), theirs.vectors())
            if one.info.table is not None:
                _same("views().tables()", mine.tables(), theirs.tables())
            moves = at_random(theirs, legal, fold(seed, row, k, seat))
            _same("step()", np.sort(ours.step(row, seat, moves)), np.sort(plain.step(row, seat, moves)))
            if not (one.info.rewards_at_end and len(plain.acting()[0])):
                everyone = np.arange(rows)
                _same("returns()", np.round(ours.returns(everyone), 9), np.round(plain.returns(everyone), 9))


def _same(what: str, ours: Any, plain: Any) -> None:
    if not all(np.array_equal(a, b) for a, b in zip(ours, plain, strict=True)):
        raise BrokenRule(f"{what} of the game's boards gave {short(ours)}; its states give {short(plain)}")


def _flat(rows: Ragged) -> tuple[Any, Any]:
    return rows.data, rows.starts


def _told(finding: Finding) -> str:
    shown = "" if finding.seed is None else f" (seed {finding.seed}, moves {', '.join(f'{s}:{a}' for s, a in finding.moves) or 'none'})"
    return f"{finding.rule}: {finding.problem}{shown}"


@dataclass(frozen=True)
class Settings:
    game: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SPEC")]
    """the game, as anywhere: a name, module:Class or path/to/file.py:Class"""
    matches: int = 20
    """random matches to play"""
    seed: int = 0
    """the matches' root seed"""
    json: bool = False
    """print one JSON object"""


def main(argv: Sequence[str]) -> int:
    from marl_llm import registry
    from marl_llm.config import parse

    settings = parse(Settings, argv, prog="marl-llm check-game", description="Check that a game keeps the rules of the contract.")
    report = check_game(registry.game(settings.game), matches=settings.matches, seed=settings.seed)
    out = sys.stderr if settings.json else sys.stdout
    for finding in report.findings:
        mark = {True: "holds ", False: "BROKEN", None: "-     "}[finding.holds]
        print(f"{mark} {finding.rule:15} {finding.says}", file=out)
    verdict = f"breaks the contract\n{_told(report.broken)}" if report.broken else f"keeps the contract ({report.matches} matches)"
    print(f"\n{report.game} {verdict}", file=out)
    if settings.json:
        print(json.dumps({"game": report.game, "matches": report.matches, "findings": [asdict(f) for f in report.findings]}))
    return 1 if report.broken else 0
