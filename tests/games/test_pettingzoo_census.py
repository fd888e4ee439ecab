"""Every installed environment of PettingZoo's classic games, of MPE and of MAgent2: what keeps the contract, and why what does not is
refused. Prints a table."""

from __future__ import annotations

import pytest

from games.pettingzoo.family import modules
from games.pettingzoo.game import game
from marl_llm import registry
from marl_llm.agents.random import RandomAgent
from marl_llm.check import check_game
from marl_llm.matches import self_play
from marl_llm.play import play
from marl_llm.records import CUT, Batch
from tests.games.zoo import documented, played

pytestmark = pytest.mark.pettingzoo
CLASSIC = {
    *("chess_v6", "connect_four_v3", "go_v5", "hanabi_v5", "leduc_holdem_v4", "rps_v2"),
    *("texas_holdem_no_limit_v6", "texas_holdem_v4", "tictactoe_v3"),
}
SLOW = {"pettingzoo.classic.go_v5": "board_size=9"}
"""Arguments with which random matches are short enough to be examined at every position."""
CONTINUOUS = ["mpe2.simple_spread_v3(continuous_actions=True)", "mpe2.simple_tag_v3(continuous_actions=True)"]
BATTLE = "magent2.environments.battle_v4(map_size=16,max_cycles=20)"
SPECS = [f"{name}({SLOW[name]})" if name in SLOW else name for name in modules() if not name.startswith("magent2")]


class Pool:
    def resolve(self, player: str) -> RandomAgent:
        return RandomAgent()


def test_all_nine_classic_games_and_more_are_here() -> None:
    names = set(modules())
    assert {f"pettingzoo.classic.{name}" for name in CLASSIC} <= names
    assert {"mpe2.simple_spread_v3", "mpe2.simple_tag_v3", "mpe2.simple_adversary_v3", "magent2.environments.battle_v4"} <= names


@pytest.mark.parametrize("spec", [*SPECS, *CONTINUOUS, BATTLE, "pettingzoo.classic.go_v5"])
def test_the_contract_holds(spec: str) -> None:
    made = registry.game(f"pettingzoo:{spec}")
    report = check_game(made, matches=1 if "go_v5" in spec or "chess" in spec else 3)
    info = made.info
    broken = "" if report.broken is None else f"{report.broken.rule}: {report.broken.problem}"
    print(f"\n{spec:62} {info.seats:3} seats  {info.action!s:40} vector {info.vector!s:16} {broken or 'passes'}")
    report.require()


@pytest.mark.parametrize("name", sorted(CLASSIC - {"rps_v2"}))
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_returns_are_what_its_own_loop_tells(name: str, seed: int) -> None:
    from importlib import import_module

    made = game(f"pettingzoo.classic.{name}")
    moves, returns, _ = played(made, seed)
    theirs, told = documented(import_module(f"pettingzoo.classic.{name}").env(), seed)
    assert [action for _, action in moves] == [action for _, action in theirs]
    assert returns == pytest.approx(list(told.values()))


def test_texts_of_chess_and_poker() -> None:
    chess = game("pettingzoo.classic.chess_v6").start(0)
    assert chess.view(0).text.startswith("You are player_0.\nr n b q k b n r\np p p p p p p p\n")
    names = [chess.action_text(0, action) for action in chess.legal(0)]
    assert {"e2e4", "g1f3"} <= set(names)
    chess.apply({0: chess.legal(0)[names.index("e2e4")]})
    assert {"e7e5", "g8f6"} <= {chess.action_text(1, action) for action in chess.legal(1)}
    leduc = game("pettingzoo.classic.leduc_holdem_v4").start(0)
    (seat,) = leduc.to_act()
    assert {leduc.action_text(seat, action) for action in leduc.legal(seat)} == {"call", "raise", "fold"}


def test_a_battle_of_many_agents_is_played() -> None:
    spec = "pettingzoo:magent2.environments.battle_v4(max_cycles=30)"
    batch = Batch.concat(list(play(self_play(spec, "random", registry.game(spec).info.seats, 1, 1), Pool(), registry.game, in_flight=1)))
    assert registry.game(spec).info.seats == 162
    assert (batch["match.end"] == CUT).all(), "the environment stops it after 30 cycles"
    print(f"\n{spec}: {batch.size('turn')} decisions")


def test_whole_tables() -> None:
    made = game("mpe2.simple_spread_v3")
    assert made.info.table == (54,)
    assert made.start(0).view(None).vector.shape == (54,)
