"""Makes our teams of the main format: ``python -m games.pokemon.teams_build`` writes ``data/FORMAT.txt``, the same ones every time.

An archetype is a core and its partners; ``FORMAT_sets.txt`` has a paste for every Pokemon with its sensible alternatives, ``A / B``.
Partners and alternatives are drawn until no item comes twice and the six are not those of a team that is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import count, islice
from typing import Any

import numpy as np
import yaml

from games.pokemon.paste import PokemonSet, Team, pack, read_paste
from games.pokemon.teams import DATA, HELD_OUT, MAIN, POOLS, legal
from marl_llm.seeding import generator

SIZE = 6


def main() -> None:
    made = [(name, pack(team)) for name, team in ours()]
    legal([packed for _, packed in made], MAIN)
    (DATA / f"{MAIN}.txt").write_text("".join(f"{name}|{packed}\n" for name, packed in made))


def ours() -> list[tuple[str, Team]]:
    """The teams of our own, by name."""
    sets = {each.species: each for each in read_paste((DATA / f"{MAIN}_sets.txt").read_text())}
    archetypes = yaml.safe_load((DATA / f"{MAIN}_archetypes.yaml").read_text())
    return list(islice(teams(archetypes, sets), POOLS[-1] + HELD_OUT))


def teams(archetypes: list[dict[str, Any]], sets: Mapping[str, PokemonSet]) -> Iterator[tuple[str, Team]]:
    """Named teams without end, archetypes in turn."""
    seen: set[frozenset[str]] = set()
    for k in count():
        turn, place = divmod(k, len(archetypes))
        drawn = (draw(archetypes[place], sets, generator(k, attempt)) for attempt in count())
        team = next(team for team in drawn if distinct(team) and species(team) not in seen)
        seen.add(species(team))
        yield f"{archetypes[place]['name']} {turn + 1}", team


def draw(archetype: dict[str, Any], sets: Mapping[str, PokemonSet], rng: np.random.Generator) -> Team:
    """The core, partners that complete it, and one of the alternatives wherever there are some."""
    core: list[str] = archetype["core"]
    partners = rng.permutation(archetype["partners"])[: SIZE - len(core)].tolist()
    return tuple(settled(sets[name], rng) for name in core + partners)


def settled(each: PokemonSet, rng: np.random.Generator) -> PokemonSet:
    """The set with one of its alternatives, ``A / B``, wherever there are some."""

    def one(text: str) -> str:
        options = text.split(" / ")
        return options[rng.integers(len(options))]

    moves = tuple(map(one, each.moves))
    return replace(
        each, item=one(each.item), ability=one(each.ability), nature=one(each.nature), tera=one(each.tera), moves=moves, level=50
    )


def species(team: Team) -> frozenset[str]:
    return frozenset(each.species for each in team)


def distinct(team: Team) -> bool:
    """No item twice, and no Pokemon twice in two forms."""
    kinds = {each.species.split("-")[0] for each in team}
    return len({each.item for each in team}) == len(kinds) == SIZE


if __name__ == "__main__":
    main()
