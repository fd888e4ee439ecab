"""TextArena's games: as they are by themselves, and without a trace in the generator that Python shares."""

from __future__ import annotations

import random
from typing import Any

import pytest

from marl_llm import registry
from marl_llm.agents.callable import CallableAgent
from marl_llm.agents.random import RandomAgent
from marl_llm.check import check_game
from marl_llm.errors import UserError
from marl_llm.game import Text
from marl_llm.matches import Match
from marl_llm.play import play
from marl_llm.records import PLAYED, Batch

pytestmark = pytest.mark.pettingzoo
GAMES = [
    *("KuhnPoker-v0", "TicTacToe-v0", "IteratedPrisonersDilemma-v0", "SimpleNegotiation-v0", "Nim-v0", "LiarsDice-v0", "Nim-v0-raw"),
    *("SecretMafia-v0", "GuessTheNumber-v0", "ConnectFour-v0(seats=2)", "KuhnPoker-v0(max_rounds=1)", "ThreePlayerIPD-v0(seats=3)"),
]
SEATS = {"SecretMafia-v0": 6, "GuessTheNumber-v0": 1, "ThreePlayerIPD-v0(seats=3)": 3}


@pytest.mark.parametrize("name", GAMES)
def test_the_contract_holds(name: str) -> None:
    game = registry.game(f"textarena:{name}")
    assert game.info.seats == SEATS.get(name, 2)
    assert isinstance(game.info.action, Text)
    check_game(game, matches=3).require()


def kuhn(k: int, text: str) -> str:
    offered = text[text.rindex("available actions are") :]
    return "[check]" if "[check]" in offered and k % 3 else "[bet]" if "[bet]" in offered else "[call]" if k % 2 else "[fold]"


def test_matches_are_as_they_are_in_textarena() -> None:
    import textarena

    game = registry.game("textarena:KuhnPoker-v0")
    for seed in range(5):
        state = game.start(seed)
        theirs = textarena.make("KuhnPoker-v0")
        held = random.getstate()
        theirs.reset(num_players=2, seed=seed)  # outside of our matches TextArena draws as ever
        done, k = False, 0
        while not done:
            seat, text = theirs.get_observation()
            assert state.to_act() == (seat,)
            assert state.view(seat).text == text
            done, _ = theirs.step(kuhn(k, text))
            state.apply({seat: kuhn(k, text)})
            k += 1
        rewards, _ = theirs.close()
        assert state.to_act() == ()
        assert list(state.returns()) == [rewards[0], rewards[1]]
        assert random.getstate() != held


def test_matches_leave_each_other_and_everything_else_alone() -> None:
    game = registry.game("textarena:KuhnPoker-v0")
    held = random.getstate()

    def cards(state: Any) -> list[str]:
        return [line for line in state.view(None).text.splitlines() if "Your card is" in line]

    def alone(seed: int) -> list[str]:
        state = game.start(seed)
        for k in range(30):
            if state.to_act():
                (seat,) = state.to_act()
                state.apply({seat: kuhn(k, state.view(seat).text)})
        return cards(state)

    apart = [alone(seed) for seed in range(4)]
    together = [game.start(seed) for seed in range(4)]
    for k in range(30):
        for state in together:
            if state.to_act():
                (seat,) = state.to_act()
                state.apply({seat: kuhn(k, state.view(seat).text)})
    assert [cards(state) for state in together] == apart
    assert len(set(map(str, apart))) > 1
    assert random.getstate() == held


def test_invalid_moves_are_textarenas() -> None:
    game = registry.game("textarena:KuhnPoker-v0")
    state = game.start(0)
    (seat,) = state.to_act()
    state.apply({seat: "nonsense"})
    assert state.to_act() == (seat,)
    assert "attempted an invalid move" in state.view(seat).text
    state.apply({seat: "nonsense"})
    assert state.to_act() == ()
    assert state.returns()[seat] == -1
    assert sum(state.returns()) == 0


class Pool:
    def resolve(self, player: str) -> Any:
        return RandomAgent() if player == "random" else CallableAgent(lambda text, legal: kuhn(1, text))


def test_they_are_played() -> None:
    spec = "textarena:KuhnPoker-v0"
    matches = [Match(game=spec, seed=seed, players=players) for seed in range(6) for players in (("plays", "random"), ("random", "plays"))]
    batch = Batch.concat(list(play(iter(matches), Pool(), registry.game, in_flight=4)))
    assert (batch["match.end"] == PLAYED).all(), batch.tables["error"]
    won = batch["seat.return"][batch["seat.player"] == batch.tables["player"].index("plays")]
    assert (won == 1).all(), "what is said at random is invalid"
    assert {"[bet]", "[check]"} & set(batch.tables["said"])


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("textarena:Kuhn-v0", "unknown TextArena game 'Kuhn-v0'; did you mean"),
        ("textarena:KuhnPoker-v0(seats=3)", "cannot begin with 3 seats: .*has to be 2"),
        ("textarena:KuhnPoker-v0(rounds=3)", "cannot begin with any number of seats: TypeError"),
    ],
)
def test_refusals(spec: str, says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        registry.game(spec)
    assert "\n" not in str(caught.value)
