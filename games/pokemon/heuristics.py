"""Rules of thumb for one decision: the choices of poke-env's ``SimpleHeuristicsPlayer`` and ``MaxBasePowerPlayer`` (0.16, MIT licence).

Both go by a ``picture`` of what the side knows (picture.js) and by what each slot may do, as action numbers. For every slot they give
the actions that are as good as each other: one, or where poke-env draws at random, several. Its quirks are kept: a boost of one
stage counts as two, setting up never happens, and hitting both others is worth no more than hitting one. Dynamax is left aside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

PASS, FIRST_MOVE, PER_GIMMICK, PER_MOVE, TERASTAL = 0, 7, 20, 5, 4
"""How moves are numbered, see ``games.pokemon.game``."""
HAZARDS = {"spikes", "stealthrock", "stickyweb", "toxicspikes"}
SWEEPERS = {"rapidspin", "defog"}
SPEED, HEALTH = 0.1, 0.4
"""What being faster, and having all hit points rather than none, are worth beside a type's effectiveness."""
POOR = -2
"""A match-up below this is left for a decent one."""
STELLAR = "Stellar"
NEUTRAL = {STELLAR, "???"}
"""Types to and from which everything does plain damage."""
_STRUGGLE = {"power": 50, "type": "Normal", "category": "Physical", "accuracy": 1, "hits": 1, "target": "randomNormal", "shy": False}

Member = Mapping[str, Any]
Moves = dict[int, Mapping[str, Any]]
"""By place among the user's moves, what the dex says of each move that may be used."""
Choice = Sequence[int]
"""Actions of one slot, none better than another."""


@dataclass(frozen=True)
class Dex:
    """``species[id]`` has types and base stats, ``moves[id]`` see dex.js, ``chart[defending][attacking]`` multiplies damage."""

    species: Mapping[str, Any]
    moves: Mapping[str, Any]
    chart: Mapping[str, Mapping[str, float]]

    def effect(self, attack: str, types: Sequence[str]) -> float:
        """What a type's damage is multiplied by against all of ``types``."""
        return 1.0 if NEUTRAL & {attack, *types} else prod(self.chart[each][attack] for each in types)

    def base(self, member: Member, stat: str) -> int:
        return self.species[member["species"]]["base"][stat]


class Position:
    """One decision of a side: what it knows, and the action numbers of each slot."""

    def __init__(self, picture: Mapping[str, Any], slots: Sequence[Sequence[int]], dex: Dex) -> None:
        self.picture, self.slots, self.dex = picture, slots, dex
        self.own, self.theirs = (side["team"] for side in picture["sides"])
        self.forced: list[bool] = picture["forced"]

    def active(self, team: Sequence[Member], slot: int) -> Member | None:
        """Who stands in a slot."""
        return next((member for member in team if member["slot"] == slot), None)

    def switches(self, slot: int) -> list[Member]:
        """Who may be sent in, in the order of the battle's own list."""
        return sorted((self.own[k - 1] for k in self.slots[slot] if PASS < k < FIRST_MOVE), key=lambda member: member["place"])

    def moves(self, slot: int) -> Moves:
        """The moves that may be used."""
        member = self.active(self.own, slot)
        places = dict.fromkeys((k - FIRST_MOVE) % PER_GIMMICK // PER_MOVE for k in self.slots[slot] if k >= FIRST_MOVE)
        return {place: self._move(member, place) for place in places} if member else {}

    def _move(self, member: Member, place: int) -> Mapping[str, Any]:
        known = member["moves"][place]
        return _STRUGGLE if known["disabled"] else {"id": known["id"], **self.dex.moves[known["id"]]}

    def aimed(self, slot: int, place: int, targets: Sequence[int], gimmick: int = 0) -> Choice:
        """The actions that use a move at one of ``targets``, or where it cannot be aimed so, at the first one that it can."""
        base = FIRST_MOVE + PER_GIMMICK * gimmick + PER_MOVE * place + 2
        found = [target for target in (0, 1, 2, -1, -2) if base + target in self.slots[slot]]
        return [base + target for target in found if target in targets] or [base + found[0]]


def types(member: Member) -> list[str]:
    """Types as they defend; a Stellar Terastal counts as a type against which everything is neutral."""
    return [STELLAR] if member["terastallized"] and member["tera"] == STELLAR else member["types"]


def matchup(one: Member, other: Member, dex: Dex) -> float:
    """How ``one`` stands against ``other`` by types, base speed and health."""
    score = max(dex.effect(kind, types(other)) for kind in types(one)) - max(dex.effect(kind, types(one)) for kind in types(other))
    faster = dex.base(one, "spe") - dex.base(other, "spe")
    return score + SPEED * ((faster > 0) - (faster < 0)) + HEALTH * (one["hp"] - other["hp"])


def leaves(one: Member, other: Member, switches: Sequence[Member], dex: Dex) -> bool:
    """Whether to switch out: somebody decent is there, and stats have fallen far or the match-up is poor."""
    if not any(matchup(member, other, dex) > 0 for member in switches):
        return False
    boosts, stats = one["boosts"], one["stats"]
    if boosts["def"] <= -3 or boosts["spd"] <= -3:
        return True
    if (boosts["atk"] <= -3 and stats["atk"] >= stats["spa"]) or (boosts["spa"] <= -3 and stats["atk"] <= stats["spa"]):
        return True
    return matchup(one, other, dex) < POOR


def stat(member: Member, name: str, dex: Dex) -> float:
    """A stat as it is estimated from base stats and boosts."""
    by = member["boosts"][name]
    return (2 * dex.base(member, name) + 36) * ((2 + by) / 2 if by > 1 else 2 / (2 - by))


def hits(move: Mapping[str, Any]) -> float:
    """How many hits are expected."""
    if move.get("id") in ("triplekick", "tripleaxel"):
        return 1 + 2 * 0.9 + 3 * 0.81
    return 5 / 3 + 9 / 6 if isinstance(move["hits"], list) else move["hits"]


def damage(move: Mapping[str, Any], one: Member, other: Member, dex: Dex) -> float:
    """A number that grows with the damage which a move can be expected to do."""
    attack, defence = ("atk", "def") if move["category"] == "Physical" else ("spa", "spd")
    ratio = stat(one, attack, dex) / stat(other, defence, dex)
    own = 1.5 if move["type"] in types(one) else 1
    return move["power"] * own * ratio * move["accuracy"] * hits(move) * dex.effect(move["type"], types(other))


def terastallizes(move: Mapping[str, Any], one: Member, other: Member, dex: Dex) -> bool:
    """Whether the Terastal type's defence, beside the move's effectiveness, is worth it."""
    before, after = (min(1 / (dex.effect(kind, mine) or 1 / 8) for kind in types(other)) for mine in (types(one), [one["tera"]]))
    return dex.effect(move["type"], types(other)) * after / before > 1


def simple(position: Position) -> tuple[Choice, ...]:
    """What ``SimpleHeuristicsPlayer`` does in each slot."""
    if len(position.slots) == 1:
        return (against(position, 0, 0)[0],)
    return tuple(_either(position, slot) for slot in range(len(position.slots)))


def _either(position: Position, slot: int) -> Choice:
    """What to do in a slot of two, facing two."""
    one, switches, forced = position.active(position.own, slot), position.switches(slot), position.forced
    if (one is None and not switches) or (one is not None and "commanding" in one["volatiles"]):
        return [PASS]
    if forced[1 - slot] and (not forced[slot] or (slot == 1 and len(switches) == 1)):
        return [PASS]
    return max((against(position, slot, foe) for foe in (0, 1)), key=lambda each: each[1])[0]


def against(position: Position, slot: int, foe: int) -> tuple[Choice, float]:
    """What to do in a slot as if ``foe`` were the only other one, and its score."""
    dex, moves, switches = position.dex, position.moves(slot), position.switches(slot)
    one, other = position.active(position.own, slot), position.active(position.theirs, foe)
    if one is not None and other is not None:
        if moves and not (switches and leaves(one, other, switches, dex)):
            return attack(position, slot, foe, moves)
        if switches:
            return [max(switches, key=lambda member: matchup(member, other, dex))["number"]], 0.0
    return position.slots[slot], 0.0


def attack(position: Position, slot: int, foe: int, moves: Moves) -> tuple[Choice, float]:
    """Hazards laid or swept away where there is reason to, else the move that does most damage, and that damage."""
    dex, one, other = position.dex, position.active(position.own, slot), position.active(position.theirs, foe)
    assert one is not None
    assert other is not None
    theirs_left = 6 - sum(member["fainted"] for member in position.theirs)
    own_left = sum(not member["fainted"] for member in position.own)
    own_side, their_side = (side["conditions"] for side in position.picture["sides"])
    for place, move in moves.items():
        name = move.get("id", "")
        lays = theirs_left >= 3 and name in HAZARDS and name not in their_side
        if lays or (own_side and name in SWEEPERS and own_left >= 2):
            return position.aimed(slot, place, target(move, one, slot, foe)), 0.0
    place, score = max(((place, damage(move, one, other, dex)) for place, move in moves.items()), key=lambda each: each[1])
    may = any(action >= FIRST_MOVE + PER_GIMMICK * TERASTAL for action in position.slots[slot])
    gimmick = TERASTAL if may and terastallizes(moves[place], one, other, dex) else 0
    return position.aimed(slot, place, target(moves[place], one, slot, foe), gimmick), score


def target(move: Mapping[str, Any], one: Member, slot: int, foe: int) -> tuple[int]:
    """Where a move is to be aimed in doubles."""
    if move["shy"] and "Ghost" not in types(one):
        return (0,)
    if move["target"] in ("adjacentAlly", "adjacentAllyOrSelf"):
        return (slot - 2,)
    return (foe + 1,) if move["target"] in ("normal", "any", "adjacentFoe") else (0,)


def max_power(position: Position) -> tuple[Choice, ...]:
    """What ``MaxBasePowerPlayer`` does in each slot: the strongest move, one that may hit several counting half as much again."""
    both = len(position.slots) == 2 and all(position.active(position.theirs, foe) for foe in (0, 1))
    return tuple(_strongest(position, slot, both) for slot in range(len(position.slots)))


def _strongest(position: Position, slot: int, both: bool) -> Choice:
    moves = position.moves(slot)
    if not moves:
        return position.slots[slot]
    spread = {place: 1.5 if both and move["target"] not in ("normal", "any") else 1.0 for place, move in moves.items()}
    return position.aimed(slot, max(moves, key=lambda place: moves[place]["power"] * spread[place]), (1, 2))
