"""Teams to play with: pools of our own for the main format, held-out ones to generalise to, and the simulator's word on any other.

``data/FORMAT.txt`` has one team a line, its name and its packed form; ``teams_build`` made it. Every pool is the beginning of the
next one, so that an agent trained on four teams has met those of the agent trained on one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from games.pokemon.paste import pack, read_paste, unpack
from games.pokemon.worker import known
from marl_llm.errors import UserError

DATA = Path(__file__).parent / "data"
MAIN = "gen9vgc2025regi"
POOLS = (1, 4, 16, 64)
HELD_OUT = 16


@dataclass(frozen=True)
class Judgement:
    """What the simulator says of a team: its packed form with the simulator's own names, or the reasons why it is illegal."""

    team: str = ""
    problems: tuple[str, ...] = ()


def pool(size: int, format: str = MAIN) -> tuple[str, ...]:
    """The packed teams of the pool of ``size``; UserError for a size that there is none of, or a format without teams of our own."""
    if size not in POOLS:
        raise UserError(f"there is no pool of {size} teams; expected {', '.join(map(str, POOLS))}")
    return tuple(packed for _, packed in named(format)[:size])


def held_out(format: str = MAIN) -> tuple[str, ...]:
    """The packed teams that are in no pool."""
    return tuple(packed for _, packed in named(format)[-HELD_OUT:])


@cache
def named(format: str = MAIN) -> tuple[tuple[str, str], ...]:
    """Names and packed forms of all our teams of a format: those of the biggest pool, then those held out."""
    path = DATA / f"{format}.txt"
    if not path.is_file():
        ours = ", ".join(sorted(path.stem for path in DATA.glob("gen*[0-9a-z].txt") if not path.stem.endswith("_sets")))
        raise UserError(f"there are no teams of our own for format {format!r}; use {ours}, or give a file of teams")
    pairs = (line.partition("|") for line in path.read_text().splitlines())
    return tuple((name, packed) for name, _, packed in pairs)


def given(path: Path, format: str) -> tuple[str, ...]:
    """The packed teams of a person's file: packed lines, or pastes with a line ``=== title ===`` between them as in Showdown's backup.
    UserError says what is wrong with it or with a team."""
    try:
        text = path.read_text()
    except OSError as error:
        raise UserError(f"teams {path} cannot be read: {error.strerror}; expected a file of a Showdown paste or packed lines") from error
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if lines and "|" in lines[0]:
        return legal([pack(unpack(line)) for line in lines], format)
    pastes = [paste for paste in re.split(r"^===.*$", text, flags=re.MULTILINE) if paste.strip()] or [text]
    return legal([pack(read_paste(paste)) for paste in pastes], format)


def legal(packed: Sequence[str], format: str) -> tuple[str, ...]:
    """The teams with the simulator's own names; UserError with its reasons for the first that is illegal."""
    judgements = judge(packed, format)
    for k, judgement in enumerate(judgements):
        if judgement.problems:
            reasons = " ".join(reason.rstrip(".") + "." for reason in judgement.problems)
            raise UserError(f"team {k + 1} of {len(packed)} is illegal in {format}: {reasons} Change it, or play a format that allows it")
    return tuple(judgement.team for judgement in judgements)


def judge(packed: Sequence[str], format: str) -> list[Judgement]:
    """What the simulator says of every team; UserError for a format that it does not have."""
    answers = known("teams", format=format, teams=list(packed))
    if answers is None:
        raise UserError(f"the simulator has no format {format!r}; try {MAIN}")
    return [Judgement(answer.get("team", ""), tuple(answer.get("problems", ()))) for answer in answers]
