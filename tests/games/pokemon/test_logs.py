"""The parser of Showdown's logs, on logs that the simulator writes in battles whose choices and views are known."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from games.pokemon.battles import Battle, advance, look
from games.pokemon.game import Pokemon, layout
from games.pokemon.logs import UNKNOWN, Samples, Unread, read_log, read_logs
from games.pokemon.paste import unpack, write_paste
from games.pokemon.teams import pool
from games.pokemon.worker import workers
from marl_llm.errors import UserError
from marl_llm.seeding import uniform

pytestmark = pytest.mark.vgc
MAIN = "gen9vgc2025regi"
BATTLES = 12


class Chosen(NamedTuple):
    action: list[int]
    vector: Any


def battle(game: Pokemon, k: int) -> tuple[Battle, dict[Any, list[Chosen]]]:
    """A battle of random choices, and these by (seat, turn, what was asked); one that was refused for a hidden reason is left out."""
    one = Battle(game.setup(k), workers(1)[0])
    advance([one])
    chosen: dict[Any, list[Chosen]] = defaultdict(list)
    while not one.over:
        seats = [seat for seat in (0, 1) if one.turns[seat]]
        pictures, vectors = look("pictures", [(one, seat) for seat in seats])[0], look("vectors", [(one, seat) for seat in seats])[1]
        moves = []
        for seat, picture, vector in zip(seats, pictures, vectors, strict=True):
            turn, step = one.turns[seat], len(one.history)
            assert turn is not None
            action: list[int] = []
            for slot in range(len(turn.slots)):
                legal = turn.after(*action) if slot else turn.slots[0]
                action.append(legal[int(uniform(k, step, seat, slot) * len(legal))])
            moves.append((seat, action))
            told = chosen[seat, picture["turn"], picture["asks"]]
            if picture["asks"] == "move":
                told.clear()
            told.append(Chosen(action, vector.reshape(layout()["rows"], -1)))
        one.history.append(moves)
        advance([one])
    assert not one.fault
    return one, chosen


def log(one: Battle) -> str:
    return "\n".join(look("logs", [(one, 0)])[0][0])


def with_noise(text: str, noise: str) -> str:
    """``noise`` before every line that is not one of a pair."""
    lines, out = iter(text.splitlines()), ""
    for line in lines:
        out += f"{line}\n{next(lines)}\n{next(lines)}\n" if line.startswith("|split|") else f"{noise}{line}\n"
    return out


def paired(samples: Samples, chosen: dict[Any, list[Chosen]]) -> Iterator[tuple[str, int, Chosen]]:
    """What was asked, the sample's row, and what was chosen there."""
    rows: dict[Any, list[int]] = defaultdict(list)
    for row, picture in enumerate(samples.pictures):
        rows[int(samples.seat[row]), picture["turn"], picture["asks"]].append(row)
    assert not set(rows) - set(chosen)
    for key, mine in rows.items():
        assert key[2] == "teampreview" or len(mine) == len(chosen[key])
        yield from ((key[2], row, one) for row, one in zip(mine, chosen[key], strict=False))


@pytest.fixture(scope="module")
def played() -> list[tuple[Samples, dict[Any, list[Chosen]], Battle]]:
    game = Pokemon(MAIN, teams=64)
    found = []
    for k in range(BATTLES):
        one, chosen = battle(game, k)
        found.append((read_log(log(one)), chosen, one))
    return found


def test_every_choice_that_shows_is_the_one_that_was_made(played: Any) -> None:
    count: Counter[tuple[str, str]] = Counter()
    for samples, chosen, one in played:
        assert samples.result.tolist() == [one.result if seat == 0 else -one.result for seat in samples.seat.tolist()]
        for asked, row, made in paired(samples, chosen):
            mine, theirs = samples.action[row].tolist(), made.action
            if asked == "teampreview" and any(member["picked"] for member in samples.pictures[row]["sides"][0]["team"]):
                mine, theirs = sorted(mine), sorted(theirs)  # which of those behind the lead was named first never shows
            for one_, other in zip(mine, theirs, strict=True):
                count[asked, "unknown" if one_ == UNKNOWN else "same" if one_ == other else "other"] += 1
    assert not [key for key in count if key[1] == "other"]
    shown = {asked: count[asked, "same"] / (count[asked, "same"] + count[asked, "unknown"]) for asked, _ in count}
    assert shown["teampreview"] > 0.9
    assert shown["switch"] == 1
    assert shown["move"] > 0.8


def test_decisions_come_in_order(played: Any) -> None:
    asks = ("teampreview", "move", "switch")
    for samples, _, _ in played:
        for seat in (0, 1):
            mine = [picture for picture, whose in zip(samples.pictures, samples.seat.tolist(), strict=True) if whose == seat]
            order = [(picture["turn"], asks.index(picture["asks"])) for picture in mine]
            assert order == sorted(order)


def test_few_decisions_are_passed_over(played: Any) -> None:
    found = sum(picture["asks"] == "move" for samples, _, _ in played for picture in samples.pictures)
    there = sum(len(made) for _, chosen, _ in played for (_, _, asked), made in chosen.items() if asked == "move")
    assert 0.85 < found / there <= 1


def test_what_a_log_shows_of_the_field_and_of_the_other_side_is_what_was_seen_in_play(played: Any) -> None:
    names = layout()["field"]
    hidden = [k for k, name in enumerate(names) if name.startswith(("trapped", "forced"))]  # what only the side itself is told
    for samples, chosen, _ in played:
        for _, row, made in paired(samples, chosen):
            mine, theirs = samples.vector[row].copy(), made.vector.copy()
            mine[0, hidden] = theirs[0, hidden] = 0
            np.testing.assert_array_equal(mine[0], theirs[0])
            np.testing.assert_array_equal(mine[7:], theirs[7:])


def test_the_own_team_is_as_it_was_but_for_what_a_spectator_is_not_told(played: Any) -> None:
    names = layout()["member"]
    told = [
        names.index(name) for name in ("there", "own", "seen", "fainted", "slot 0", "slot 1", "level", "item", "item none", "terastallized")
    ]
    health, boosts = names.index("hp"), [k for k, name in enumerate(names) if name.startswith(("boost", "status"))]
    for samples, chosen, _ in played:
        for _, row, made in paired(samples, chosen):
            mine, theirs = samples.vector[row][1:7], made.vector[1:7]
            np.testing.assert_array_equal(mine[:, told], theirs[:, told])
            np.testing.assert_array_equal(mine[:, boosts], theirs[:, boosts])
            # a log tells health in hundredths, and not that a Pokemon with Regenerator is healed as it goes
            plain = [member["ability"] != "regenerator" for member in samples.pictures[row]["sides"][0]["team"]]
            assert np.abs(mine[plain, health] - theirs[plain, health]).max() <= 0.01


def test_nicknames_and_talk_change_nothing(tmp_path: Path) -> None:
    plain, named = (tmp_path / name for name in ("plain.txt", "named.txt"))
    team = unpack(pool(4)[2])
    plain.write_text(write_paste(team))
    named.write_text(write_paste([replace(each, name=f"Mister {k}: a") for k, each in enumerate(team)]))
    one, other = (log(battle(Pokemon(MAIN, teams=str(path)), 5)[0]) for path in (plain, named))
    assert "|move|p1a: Mister" in other
    assert "Mister" not in one
    noise = "|c|~someone|[from] |faint|p1a: no\n|j|guest\n|inactive|Time left: 90 sec\n\n|raw|<b>1</b>\n|-message|hello\n"
    for text in (other, with_noise(other, noise)):
        mine, theirs = read_log(text), read_log(one)
        np.testing.assert_array_equal(mine.action, theirs.action)
        np.testing.assert_array_equal(mine.vector, theirs.vector)


def test_a_folder_of_logs_and_replays(tmp_path: Path) -> None:
    one, _ = battle(Pokemon(MAIN, teams=4), 3)
    hidden, _ = battle(Pokemon(MAIN, sheets="closed"), 4)
    (tmp_path / "a.log").write_text(log(one))
    (tmp_path / "b.json").write_text(json.dumps({"id": "x", "log": log(one)}))
    (tmp_path / "c.log").write_text(log(hidden))
    (tmp_path / "d.json").write_text("{")
    (tmp_path / "e.txt").write_text("no battle")
    passed: Counter[str] = Counter()
    first, second = read_logs(tmp_path, passed)
    np.testing.assert_array_equal(first.vector, second.vector)
    np.testing.assert_array_equal(first.action, second.action)
    assert len(first.action) > 10
    assert passed == {
        "its team sheets are not open": 1,
        "it is no replay in JSON": 1,
        "it is of no battle, and only singles and doubles are read": 1,
    }


def test_logs_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no battle; expected a folder with \.log, \.txt, \.json files"):
        list(read_logs(tmp_path))
    with pytest.raises(Unread, match="team sheets are not open"):
        read_log("|gametype|singles\n|gen|9")
