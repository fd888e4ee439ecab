"""Teams: paste and packed form in and out, our own pools, and the simulator's word on them."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from games.pokemon import teams, teams_build
from games.pokemon.install import installed, node
from games.pokemon.paste import PokemonSet, Team, pack, read_paste, unpack, write_paste
from marl_llm.errors import UserError

ALL = [unpack(packed) for _, packed in teams.named()]

PASTE = """
Fluffy (Flutter Mane) @ Booster Energy
Ability: Protosynthesis
Level: 50
Shiny: Yes
Tera Type: Fairy
EVs: 4 HP / 252 SpA / 252 Spe
Timid Nature
IVs: 0 Atk
- Moonblast
- Shadow Ball

Indeedee-F (F)
Ability: Psychic Surge
- Follow Me
"""


def test_a_paste_is_read_as_it_says() -> None:
    flutter, indeedee = read_paste(PASTE)
    assert flutter == PokemonSet(
        species="Flutter Mane",
        name="Fluffy",
        item="Booster Energy",
        ability="Protosynthesis",
        level=50,
        shiny=True,
        tera="Fairy",
        evs=(4, 0, 0, 252, 0, 252),
        nature="Timid",
        ivs=(31, 0, 31, 31, 31, 31),
        moves=("Moonblast", "Shadow Ball"),
    )
    assert indeedee == PokemonSet(species="Indeedee-F", gender="F", ability="Psychic Surge", moves=("Follow Me",))


def test_the_packed_form_is_showdowns() -> None:
    assert pack(read_paste(PASTE)) == (
        "Fluffy|Flutter Mane|Booster Energy|Protosynthesis|Moonblast,Shadow Ball|Timid|4,,,252,,252||,0,,,,|S|50|,,,,,Fairy"
        "]Indeedee-F|||Psychic Surge|Follow Me|||F||||"
    )


@pytest.mark.parametrize("team", ALL, ids=[name for name, _ in teams.named()])
def test_every_team_comes_back_from_both_forms(team: tuple[PokemonSet, ...]) -> None:
    assert read_paste(write_paste(team)) == team
    assert unpack(pack(team)) == team


WORD = st.text("abcXYZ -'.:", min_size=2, max_size=12).map(str.strip).filter(lambda word: len(word) > 1 and ": " not in word)
SPREAD = st.tuples(*[st.integers(0, 252)] * 6)
IVS = st.tuples(*[st.integers(0, 31)] * 6)
PLAIN_WORD = st.text("abcXYZ", min_size=2, max_size=12)
SETS = st.builds(
    PokemonSet,
    species=PLAIN_WORD,
    item=st.one_of(st.just(""), PLAIN_WORD),
    ability=PLAIN_WORD,
    moves=st.lists(WORD.filter(lambda word: not word.startswith("-")), max_size=4).map(tuple),
    nature=PLAIN_WORD,
    evs=SPREAD,
    ivs=IVS,
    gender=st.sampled_from(["", "M", "F"]),
    level=st.integers(1, 100),
    shiny=st.booleans(),
    happiness=st.integers(0, 255),
    tera=st.sampled_from(["", "Stellar"]),
    ball=st.sampled_from(["", "Luxury Ball"]),
    gigantamax=st.booleans(),
    dynamax_level=st.integers(0, 10),
)


@drawn(st.lists(SETS, min_size=1, max_size=6).map(tuple))
def test_any_team_comes_back_from_both_forms(team: tuple[PokemonSet, ...]) -> None:
    assert read_paste(write_paste(team)) == team
    assert unpack(pack(team)) == team


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("Tera: Fire", "line 'Tera: Fire' of Flutter Mane cannot be read"),
        ("Level: fifty", "line 'Level: fifty' of the team cannot be read; expected a number"),
        ("EVs: 252 Speed", "line 'EVs: 252 Speed' of the team cannot be read; expected numbers with HP, Atk"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(line: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        read_paste(f"Flutter Mane @ Booster Energy\n{line}\n- Moonblast")


def test_a_broken_packed_line_is_named() -> None:
    with pytest.raises(UserError, match="it has 3 fields; expected 12"):
        unpack("Flutter Mane||Booster Energy")
    with pytest.raises(UserError, match="packed Pokemon 'Flutter Mane' cannot be read"):
        unpack("Flutter Mane|||||||||||,a")
    with pytest.raises(UserError, match="paste is empty"):
        read_paste(" \n")


def test_pools_grow_and_held_out_teams_are_in_none() -> None:
    pools = [teams.pool(size) for size in teams.POOLS]
    assert [len(pool) for pool in pools] == list(teams.POOLS) == [1, 4, 16, 64]
    assert all(small == big[: len(small)] for small, big in pairwise(pools))
    six = [frozenset(each.species for each in unpack(packed)) for packed in (*pools[-1], *teams.held_out())]
    assert len(set(six)) == len(six) == 80


def test_refusals_of_pools() -> None:
    with pytest.raises(UserError, match="no pool of 5 teams; expected 1, 4, 16, 64"):
        teams.pool(5)
    with pytest.raises(UserError, match="no teams of our own for format 'gen9ou'; use gen9vgc2025regi"):
        teams.pool(1, "gen9ou")


def test_the_generator_makes_the_teams_that_are_there() -> None:
    assert [(name, pack(team)) for name, team in teams_build.ours()] == list(teams.named())


@pytest.mark.vgc
def test_the_simulator_finds_every_team_legal() -> None:
    packed = [packed for _, packed in teams.named()]
    assert [content(unpack(line)) for line in teams.legal(packed, teams.MAIN)] == [content(team) for team in ALL]


def content(team: Team) -> list[tuple[str, ...]]:
    """What matters in battle, without spaces and marks."""
    return [
        tuple(
            re.sub("[^a-z0-9]", "", str(value).lower()) for value in (s.species, s.item, s.ability, s.moves, s.nature, s.evs, s.ivs, s.tera)
        )
        for s in team
    ]


@pytest.mark.vgc
def test_the_simulator_reads_both_forms_alike() -> None:
    code = (
        "const {Teams} = require('@pkmn/sim'); const asked = JSON.parse(require('fs').readFileSync(0, 'utf8'));"
        "console.log(JSON.stringify(asked.map(([packed, paste]) => [Teams.pack(Teams.unpack(packed)), Teams.pack(Teams.import(paste))])))"
    )
    asked = json.dumps([[pack(team), write_paste(team)] for team in ALL])
    there = {**os.environ, "NODE_PATH": str(installed() / "node_modules")}
    done = subprocess.run([node(), "-e", code], input=asked, capture_output=True, text=True, check=True, env=there)
    pairs = json.loads(done.stdout)
    assert len(pairs) == 80
    assert all(from_packed == from_paste for from_packed, from_paste in pairs)
    assert pairs[0][0].startswith("Calyrex-Ice||ClearAmulet|AsOneGlastrier|GlacialLance,HighHorsepower")


@pytest.mark.vgc
def test_an_illegal_team_is_refused_with_the_simulators_reason(tmp_path: Path) -> None:
    first, *rest = ALL[0]
    wrong = (replace(first, moves=("Surf", *first.moves[1:])), *rest)
    path = tmp_path / "team.txt"
    path.write_text(write_paste(wrong))
    with pytest.raises(UserError, match=r"team 1 of 1 is illegal in gen9vgc2025regi: Calyrex-Ice can't learn Surf\.") as told:
        teams.given(path, teams.MAIN)
    assert "\n" not in str(told.value)
    path.write_text(f"{pack(ALL[0])}\n{pack(wrong)}\n")
    with pytest.raises(UserError, match=r"team 2 of 2 is illegal"):
        teams.given(path, teams.MAIN)
    path.write_text(write_paste(ALL[0]))
    assert len(teams.given(path, teams.MAIN)) == 1
    path.write_text(f"=== [gen9vgc2025regi] One ===\n\n{write_paste(ALL[0])}\n\n=== [gen9vgc2025regi] Two ===\n\n{write_paste(ALL[1])}\n")
    one, two = teams.given(path, teams.MAIN)
    assert "Zamazenta|" in one
    assert "Kyogre|" in two
    with pytest.raises(UserError, match="the simulator has no format 'gen9vgc2099'"):
        teams.given(path, "gen9vgc2099")
    with pytest.raises(UserError, match="cannot be read: No such file"):
        teams.given(tmp_path / "none.txt", teams.MAIN)
