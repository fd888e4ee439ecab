"""Teams as text: Showdown's paste, which people read and edit, and its packed line, which the simulator reads.

Names are kept as they are written; whether a team is legal is the simulator's to say (``games.pokemon.teams``). Both forms are
those of Pokemon Showdown's teambuilder and ``sim/TEAMS.md``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from marl_llm.errors import UserError

STATS = ("HP", "Atk", "Def", "SpA", "SpD", "Spe")
_HEAD = re.compile(r"(?P<name>.+?)(?: \((?P<species>[^()]{2,})\))?(?: \((?P<gender>[MF])\))?(?: @ (?P<item>.+))?")
_FIELDS = {"Ability": "ability", "Level": "level", "Shiny": "shiny", "Happiness": "happiness", "Tera Type": "tera"}
_FIELDS |= {"Pokeball": "ball", "Hidden Power": "hidden_power", "Gigantamax": "gigantamax", "Dynamax Level": "dynamax_level"}
_PACKED = 12
"""Fields of a packed set; the last one holds six more, with commas."""


@dataclass(frozen=True, kw_only=True)
class PokemonSet:
    """One Pokemon of a team. ``evs`` and ``ivs`` have six numbers each, in the order of ``STATS``."""

    species: str
    name: str = ""
    item: str = ""
    ability: str = ""
    moves: tuple[str, ...] = ()
    nature: str = ""
    evs: tuple[int, ...] = (0,) * 6
    ivs: tuple[int, ...] = (31,) * 6
    gender: str = ""
    level: int = 100
    shiny: bool = False
    happiness: int = 255
    tera: str = ""
    ball: str = ""
    hidden_power: str = ""
    gigantamax: bool = False
    dynamax_level: int = 10


Team = tuple[PokemonSet, ...]
_PLAIN = PokemonSet(species="")


def read_paste(text: str) -> Team:
    """The team that a paste gives; UserError names the line that cannot be read."""
    blocks = re.split(r"\n\s*\n", "\n".join(text.strip().splitlines()))
    sets = tuple(_read_set(block.strip().splitlines()) for block in blocks if block.strip())
    if not sets:
        raise UserError("the team's paste is empty; expected Pokemon as Showdown's teambuilder exports them")
    return sets


def write_paste(team: Sequence[PokemonSet]) -> str:
    """The paste of a team; ``read_paste`` gives the team again."""
    return "\n".join(_write_set(each) for each in team)


def unpack(line: str) -> Team:
    """The team of a packed line; UserError where that is none."""
    return tuple(_unpack_set(text) for text in line.strip().split("]"))


def pack(team: Sequence[PokemonSet]) -> str:
    """The packed line of a team; ``unpack`` gives the team again."""
    return "]".join(_pack_set(each) for each in team)


def _read_set(lines: Sequence[str]) -> PokemonSet:
    head = _HEAD.fullmatch(lines[0].strip())
    if head is None:
        raise UserError(f"line {lines[0]!r} of the team cannot be read; expected 'Species @ Item'")
    nickname = head["name"] if head["species"] else ""
    values: dict[str, Any] = {"species": head["species"] or head["name"], "name": nickname, "item": head["item"] or ""}
    values["gender"] = head["gender"] or ""
    moves: list[str] = []
    for line in map(str.strip, lines[1:]):
        key, colon, value = line.partition(":")
        if line.startswith("-"):
            moves.append(line[1:].strip())
        elif line.lower().endswith(" nature"):
            values["nature"] = line[: -len(" nature")]
        elif colon and key in ("EVs", "IVs"):
            values[key.lower()] = _spread(value, line, _PLAIN.evs if key == "EVs" else _PLAIN.ivs)
        elif colon and key in _FIELDS:
            values[_FIELDS[key]] = _value(_FIELDS[key], value.strip(), line)
        else:
            expected = ", ".join(f"'{name}:'" for name in (*_FIELDS, "EVs", "IVs"))
            raise UserError(f"line {line!r} of {values['species']} cannot be read; expected {expected}, 'X Nature' or '- Move'")
    return PokemonSet(moves=tuple(moves), **values)


def _spread(text: str, line: str, least: tuple[int, ...]) -> tuple[int, ...]:
    numbers = list(least)
    for part in text.split("/"):
        number, _, stat = part.strip().partition(" ")
        if stat not in STATS or not number.isdecimal():
            raise UserError(f"line {line!r} of the team cannot be read; expected numbers with {', '.join(STATS)}, as in '252 HP / 4 Spe'")
        numbers[STATS.index(stat)] = int(number)
    return tuple(numbers)


def _value(name: str, text: str, line: str) -> Any:
    plain = getattr(_PLAIN, name)
    if isinstance(plain, bool):
        return text == "Yes"
    if isinstance(plain, int):
        if not text.isdecimal():
            raise UserError(f"line {line!r} of the team cannot be read; expected a number")
        return int(text)
    return text


def _write_set(each: PokemonSet) -> str:
    head = f"{each.name} ({each.species})" if each.name else each.species
    head += f" ({each.gender})" if each.gender else ""
    lines = [head + (f" @ {each.item}" if each.item else "")]
    for key, name in _FIELDS.items():
        value = getattr(each, name)
        if value != getattr(_PLAIN, name):
            lines.append(f"{key}: {'Yes' if value is True else value}")
    if each.evs != _PLAIN.evs:
        lines.append(f"EVs: {_stats(each.evs, 0)}")
    if each.nature:
        lines.append(f"{each.nature} Nature")
    if each.ivs != _PLAIN.ivs:
        lines.append(f"IVs: {_stats(each.ivs, 31)}")
    return "\n".join([*lines, *(f"- {move}" for move in each.moves)]) + "\n"


def _stats(values: Sequence[int], usual: int) -> str:
    return " / ".join(f"{value} {stat}" for value, stat in zip(values, STATS, strict=True) if value != usual)


def _pack_set(each: PokemonSet) -> str:
    moves = ",".join(move.replace("[", "").replace("]", "") for move in each.moves)  # Hidden Power [Ice]
    evs = "" if each.evs == _PLAIN.evs else ",".join(str(value or "") for value in each.evs)
    ivs = "" if each.ivs == _PLAIN.ivs else ",".join("" if value == 31 else str(value) for value in each.ivs)
    level = "" if each.level == 100 else str(each.level)
    rest = [each.hidden_power, each.ball, "G" if each.gigantamax else ""]
    rest += ["" if each.dynamax_level == 10 else str(each.dynamax_level), each.tera]
    last = ("" if each.happiness == 255 else str(each.happiness)) + ("," + ",".join(rest) if any(rest) else "")
    head = [each.name or each.species, each.species if each.name else "", each.item, each.ability or "-"]
    return "|".join([*head, moves, each.nature, evs, each.gender, ivs, "S" if each.shiny else "", level, last])


def _unpack_set(text: str) -> PokemonSet:
    parts = text.split("|")
    if len(parts) != _PACKED or not parts[0]:
        raise UserError(f"{text[:60]!r} is no packed Pokemon: it has {len(parts)} fields; expected {_PACKED}, with | between them")
    name, species, item, ability, moves, nature, evs, gender, ivs, shiny, level, last = parts
    try:
        made = PokemonSet(
            species=species or name,
            name=name if species else "",
            item=item,
            ability="" if ability == "-" else ability,
            moves=tuple(move for move in moves.split(",") if move),
            nature=nature,
            evs=_numbers(evs, 0),
            ivs=_numbers(ivs, 31),
            gender=gender,
            level=int(level or 100),
            shiny=bool(shiny),
        )
        happiness, *rest = last.split(",")
        made = replace(made, happiness=int(happiness or 255))
        if rest:
            hidden_power, ball, gigantamax, dynamax_level, tera = rest
            made = replace(made, hidden_power=hidden_power, ball=ball, gigantamax=bool(gigantamax), dynamax_level=int(dynamax_level or 10))
            made = replace(made, tera=tera)
    except ValueError as error:
        raise UserError(f"packed Pokemon {name!r} cannot be read: {error}") from error
    return made


def _numbers(text: str, usual: int) -> tuple[int, ...]:
    if not text:
        return (usual,) * 6
    values = tuple(int(value or usual) for value in text.split(","))
    if len(values) != 6:
        raise ValueError(f"{text!r} has {len(values)} numbers; expected 6")
    return values
