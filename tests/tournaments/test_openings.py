"""Opening lists: every deal begins where its line leads, in every seating, and a wrong line is named."""

import json

import pytest

from marl_llm import registry
from marl_llm.errors import UserError
from tests.tournaments.players import First
from tournaments.formats import Tournament
from tournaments.host import host
from tournaments.openings import read
from tournaments.store import RESULTS


@pytest.fixture
def written(tmp_path):
    def write(text):
        (tmp_path / "openings.txt").write_text(text)
        return tmp_path / "openings.txt"

    return write


def test_deals_take_the_openings_in_turn(tmp_path, written):
    game = registry.game("connect_four")
    lines = read(written("# two lines\n4 4 3\n\n[0, 6]\n"), game, 0)
    assert lines == (((3, 2), (3,)), ((0,), (6,)))
    live = {"a": First(), "b": First()}
    tournament = Tournament(game="connect_four", agents=("a", "b"), rounds=4, openings=lines)
    report = host(tournament, live=live, folder=tmp_path / "out")
    moves = [json.loads(line) for line in (tmp_path / "out" / RESULTS).read_text().splitlines()]
    begins = {}
    for match in moves:
        begins.setdefault(match["deal"], set()).add(tuple(match["moves"][:2]))
    assert sorted(map(len, begins.values())) == [1] * 4  # a deal has one opening, in both seatings
    assert sorted(begin for (begin,) in begins.values()) == [(0, 6), (0, 6), (3, 3), (3, 3)]
    assert report.balance.whole
    assert all(standing.faults == {} for standing in report.standings)
    again = host(tournament, live=live, folder=tmp_path / "out", resume=True)
    assert again.json() == report.json()
    with pytest.raises(UserError, match="its openings is"):
        host(Tournament(game="connect_four", agents=("a", "b"), rounds=4), live=live, folder=tmp_path / "out", resume=True)


def test_moves_as_players_write_them(written):
    game = registry.game("kuhn_poker")
    assert read(written('pass bet\n["pass", 1]\n'), game, 0) == (((0,), (1,)),) * 2


@pytest.mark.parametrize(
    ("game", "text", "expected"),
    [
        ("connect_four", "3 9\n", "line 1: move 2, '9', is not legal; expected one of"),
        ("connect_four", "\n# nothing\n", "has no opening"),
        ("connect_four", "3\n[3,\n", "line 2 is not a JSON list"),
        ("connect_four", "1 2 1 2 1 2 1\n", "ends the match"),
        ("connect_four", "1 2 1 2 1 2 1 2\n", "is over before move 8"),
        ("openspiel:matrix_rps", "0\n", "has no line of moves"),
    ],
)
def test_a_wrong_line_is_named(written, game, text, expected):
    with pytest.raises(UserError, match=expected.replace("[", r"\[")):
        read(written(text), registry.game(game), 0)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="cannot read --openings"):
        read(tmp_path / "none.txt", registry.game("connect_four"), 0)
