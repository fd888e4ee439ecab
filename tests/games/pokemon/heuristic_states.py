"""Records heuristic_states.json.gz: decisions in battles, and what poke-env's SimpleHeuristicsPlayer chooses there.

Where poke-env is installed (the extra ``vgc``) and the simulator too: ``python tests/games/pokemon/heuristic_states.py``. poke-env reads
the messages that a Showdown server would send; the same battle's pictures and action numbers are what our heuristic goes by.
"""

from __future__ import annotations

import gzip
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from poke_env.battle import DoubleBattle, PokemonType
from poke_env.player import Player, SimpleHeuristicsPlayer, SingleBattleOrder

from games.pokemon.battles import Turn
from games.pokemon.install import installed, node
from games.pokemon.teams import MAIN, pool
from marl_llm.seeding import fold, uniform

HERE = Path(__file__).parent
STATES = HERE / "heuristic_states.json.gz"
FORMATS = {MAIN: 350, "gen9randomdoublesbattle": 150}
FOLLOWED = 0.5
"""How often a side does what poke-env chose; else it plays at random, so that many kinds of states come up."""
KEPT = 0.4
RANDOM, DEFAULT = "random", "default"
IGNORED = {*Player.MESSAGES_TO_IGNORE, "request", "win", "tie", ""}

# what poke-env draws at random is marked, not drawn
Player.choose_random_singles_move = staticmethod(lambda battle: SingleBattleOrder(f"/choose {RANDOM}"))


class Simulator:
    def __init__(self) -> None:
        packages = {**os.environ, "NODE_PATH": str(installed() / "node_modules")}
        words = [node(), str(HERE / "heuristic_states.js")]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=packages)

    def ask(self, **message: Any) -> Any:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def setup(format: str, k: int) -> dict[str, Any]:
    seeds = [f"gen5,{fold(k, part):016x}" for part in range(3)]
    packed = pool(64)
    deal = [{"team": packed[int(uniform(k, 3, seat) * len(packed))]} for seat in (0, 1)]
    teams = deal if format == MAIN else [{"seed": seeds[1]}, {"seed": seeds[2]}]
    return {"format": format, "seed": seeds[0], "teams": teams, "open": False}


def states(simulator: Simulator, format: str) -> Iterator[dict[str, Any]]:
    player = SimpleHeuristicsPlayer.__new__(SimpleHeuristicsPlayer)
    for k in range(10_000):
        battles = [DoubleBattle(f"battle-{format}-{k}", f"Player {n + 1}", logging.getLogger("poke-env"), gen=9) for n in (0, 1)]
        told, step = simulator.ask(start=setup(format, k)), 0
        while True:
            moves = []
            for seat, (battle, side) in enumerate(zip(battles, told["sides"], strict=True)):
                for line in side["lines"]:
                    words = line.split("|")
                    if len(words) > 1 and words[1] not in IGNORED:
                        battle.parse_message(words)
                if side["request"]:
                    battle.parse_request(side["request"])
                    for member in side["request"]["side"]["pokemon"]:
                        # what poke-env reads from open team sheets alone, though the side's own request tells it too
                        battle.team[member["ident"]]._terastallized_type = PokemonType.from_name(member["teraType"])
                if side["slots"]:
                    moves.append([seat, at_random(side, fold(k, step, seat))])
                    if side["picture"]["asks"] == "teampreview":
                        continue
                    chosen = numbers(player.choose_move(battle).message, side)
                    if any(isinstance(each, int) and each > 0 for each in chosen) and uniform(k, step, seat, 7) < KEPT:
                        yield {"picture": side["picture"], "slots": side["slots"], "joint": side["joint"], "chosen": chosen}
                    if all(isinstance(each, int) for each in chosen) and uniform(k, step, seat, 8) < FOLLOWED:
                        moves[-1][1] = chosen
            if told["over"]:
                break
            told, step = simulator.ask(moves=moves), step + 1
            if told["fault"]:
                raise SystemExit(told["fault"])


def at_random(side: dict[str, Any], seed: int) -> list[int]:
    turn = Turn(side["slots"], side["joint"], "")
    first = turn.slots[0][int(uniform(seed, 0) * len(turn.slots[0]))]
    second = turn.after(first)
    return [first, second[int(uniform(seed, 1) * len(second))]]


def numbers(message: str, side: dict[str, Any]) -> list[int | str]:
    """poke-env's words as action numbers; a target that the simulator does not offer as the first one that it does."""
    slots = message.removeprefix("/choose ").split(", ")
    return [number(words.removeprefix("/choose ").split(" "), side, slot) for slot, words in enumerate(slots)]


def number(words: list[str], side: dict[str, Any], slot: int) -> int | str:
    own = side["picture"]["sides"][0]["team"]
    if words[0] in (RANDOM, DEFAULT):
        return words[0]
    if words[0] == "pass":
        return 0
    if words[0] == "switch":
        place = [one["ident"].partition(": ")[2] for one in side["request"]["side"]["pokemon"]].index(" ".join(words[1:]))
        return next(member["number"] for member in own if member["place"] == place)
    known = [move["id"] for member in own if member["slot"] == slot for move in member["moves"]]
    place = known.index(words[1]) if words[1] in known else 0  # struggle and recharge
    base = 7 + 20 * (4 if "terastallize" in words else 0) + 5 * place + 2
    aim = int(words[-1]) if words[-1].lstrip("-").isdigit() else 0
    return next(base + target for target in (aim, 0, 1, 2, -1, -2) if base + target in side["slots"][slot])


def needed(dex: dict[str, Any], kept: list[dict[str, Any]]) -> dict[str, Any]:
    """The part of the dex that these states ask for."""
    members = [member for state in kept for side in state["picture"]["sides"] for member in side["team"]]
    moves = {move["id"] for member in members for move in member["moves"]}
    species = {member["species"] for member in members}
    return {
        "species": {k: dex["species"][k] for k in sorted(species)},
        "moves": {k: dex["moves"][k] for k in sorted(moves)},
        "chart": dex["chart"],
    }


def main() -> None:
    simulator = Simulator()
    kept: list[dict[str, Any]] = []
    for format, count in FORMATS.items():
        found = states(simulator, format)
        kept += [next(found) for _ in range(count)]
        print(f"{format}: {count} states", file=sys.stderr)
    record = {"dex": needed(simulator.ask(format=MAIN), kept), "states": kept}
    with gzip.GzipFile(STATES, "wb", mtime=0) as file:
        file.write(json.dumps(record, separators=(",", ":")).encode())
    simulator.process.stdin.close()  # type: ignore[union-attr]
    simulator.process.wait()


if __name__ == "__main__":
    main()
