"""The heuristic's choices beside those of poke-env's SimpleHeuristicsPlayer, and what rules of thumb are worth in battle."""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from games.pokemon.battles import Turn
from games.pokemon.heuristics import Dex, Position, max_power, simple
from marl_llm import registry
from marl_llm.agents.pool import AgentPool
from marl_llm.errors import UserError
from marl_llm.matches import round_robin
from marl_llm.play import play

STATES = Path(__file__).parent / "heuristic_states.json.gz"
"""Made by heuristic_states.py with poke-env 0.16.1 and @pkmn/sim 0.10.11."""


@cache
def recorded() -> dict[str, Any]:
    return json.loads(gzip.decompress(STATES.read_bytes()))


def differs(state: dict[str, Any], dex: Dex) -> str:
    """Where our choice is not poke-env's. Its ``random`` is several actions of ours, its ``default`` a second slot that may not do what
    it was to do."""
    turn = Turn(state["slots"], state["joint"], "")
    ours = simple(Position(state["picture"], turn.slots, dex))
    for slot, (mine, theirs) in enumerate(zip(ours, state["chosen"], strict=True)):
        if theirs == "random":
            same = list(mine) == turn.slots[slot]
        elif theirs == "default":
            same = len(mine) == 1 and mine[0] not in turn.after(ours[0][0])
        else:
            same = list(mine) == [theirs]
        if not same:
            return f"slot {slot}: {mine}, poke-env {theirs} of {turn.slots[slot]}"
    return ""


def test_the_heuristic_chooses_as_poke_env_does_in_500_states() -> None:
    states, dex = recorded()["states"], Dex(**recorded()["dex"])
    wrong = {k: told for k, state in enumerate(states) if (told := differs(state, dex))}
    assert len(states) == 500
    assert not wrong, f"{len(wrong)} of {len(states)}"


def test_the_strongest_move_counts_half_as_much_again_where_it_hits_both() -> None:
    state, dex = recorded()["states"][0], Dex(**recorded()["dex"])
    flutter_mane, miraidon = (next(each for each in state["picture"]["sides"][0]["team"] if each["slot"] == slot) for slot in (0, 1))
    assert [move["id"] for move in flutter_mane["moves"]] == ["moonblast", "mysticalfire", "taunt", "dazzlinggleam"]  # 95, 75, 0, 80
    assert [move["id"] for move in miraidon["moves"]] == ["electrodrift", "dracometeor", "voltswitch", "dazzlinggleam"]  # 100, 130, 70, 80
    assert max_power(Position(state["picture"], state["slots"], dex)) == ([24], [15, 16])  # Dazzling Gleam; Draco Meteor at either


@pytest.mark.vgc
@pytest.mark.parametrize(
    ("game", "better", "worse", "share"),
    [
        ("pokemon:gen9vgc2025regi(teams=16)", "pokemon-heuristic", "random", 0.9),
        ("pokemon:gen9vgc2025regi(teams=16)", "pokemon-max-power", "random", 0.8),
        ("pokemon:gen9randombattle", "pokemon-heuristic", "pokemon-max-power", 0.75),
    ],
)
def test_rules_of_thumb_are_worth_something(game: str, better: str, worse: str, share: float) -> None:
    matches = round_robin(game, [better, worse], seats=2, rounds=10, seed=0)
    (batch,) = play(matches, AgentPool(), registry.game)
    assert len(batch) == 20
    assert not (batch["turn.fault"] != 0).any()
    mine = batch["seat.return"][batch["seat.player"] == batch.tables["player"].index(better)]
    assert (mine > 0).mean() >= share


def test_they_refuse_other_games() -> None:
    matches = round_robin("kuhn_poker", ["pokemon-heuristic", "random"], seats=2, rounds=1, seed=0)
    with pytest.raises(UserError, match="a Pokemon agent cannot play kuhn_poker; use random, or train an agent"):
        list(play(matches, AgentPool(), registry.game))
