"""OpenSpiel's games behind the contract: what loads, what is refused, how they read, and that nothing is lost on the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pyspiel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from games.openspiel import family
from games.openspiel.game import OpenSpiel
from games.openspiel.native import EXAMPLES
from games.openspiel.size import fits
from games.openspiel.texts.by_name import text_of
from games.openspiel.texts.generic import Generic
from marl_llm import registry
from marl_llm.agents.random import RandomAgent
from marl_llm.check import check_game
from marl_llm.errors import UserError
from marl_llm.game import Game
from marl_llm.matches import self_play
from marl_llm.play import play
from marl_llm.records import PLAYED, Batch

NEVER = {"crossword": "structures, not integers"}


def test_every_registered_game_loads_or_is_refused_in_one_line() -> None:
    found = dict(family.members())
    assert found.keys() == set(pyspiel.registered_names())
    assert len(found) >= 143
    refused = {name: str(error) for name, error in found.items() if isinstance(error, UserError)}
    assert refused.keys() == EXAMPLES.keys() | NEVER.keys()
    assert all("\n" not in line and name in line for name, line in refused.items())
    assert all(f"for example openspiel:{name}({EXAMPLES[name]})" in refused[name] for name in EXAMPLES)
    assert all(why in refused[name] for name, why in NEVER.items())
    for name, game in found.items():
        if isinstance(game, Game):
            assert game.info.seats >= 1
            assert game.info.name.startswith(name)


@pytest.mark.parametrize("short", EXAMPLES)
def test_the_examples_of_refusals_work(short: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    game = registry.game(f"openspiel:{short}({EXAMPLES[short]})")
    check_game(game, matches=3).require()
    assert registry.game(f"openspiel:{game.info.name}").info == game.info, "the full name loads the same game"


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        ("openspiel:kuhn_pokr", "unknown OpenSpiel game 'kuhn_pokr'; did you mean"),
        ("kuhn_poker(player=3)", "Unknown parameter 'player'.*parameters of kuhn_poker: players"),
        ("kuhn_poker(players=30)", "kuhn_poker.*max_num_players"),
        ("kuhn_poker(players=two)", "Wrong type for parameter players"),
        ("openspiel:misere", r"misere needs parameters \(game\); for example openspiel:misere\(game=tic_tac_toe"),
        ("openspiel:misere(game=kuhn_pokr())", "misere.*Unknown game 'kuhn_pokr'"),
        ("openspiel:crossword", "crossword cannot be played"),
        ("games.openspiel.game:OpenSpiel(name=mfg_garnet)", r"played by a population: openspiel:mfg_garnet\(seats=10\)"),
    ],
)
def test_refusals_name_the_fix(spec: str, line: str) -> None:
    with pytest.raises(UserError, match=line) as caught:
        registry.game(spec)
    assert "\n" not in str(caught.value)


def write_files(folder: Path) -> None:
    """The files that two examples name: matching pennies, and a game of two moves in turn."""
    (folder / "game.nfg").write_text('NFG 1 R "pennies" { "one" "two" } { 2 2 }\n\n1 -1 -1 1 -1 1 1 -1\n')
    ends = "\n".join(f't "" {k} "" {{ {value} {-value} }}' for k, value in enumerate((1, -1, -1, 1), 1))
    first, second = ends.splitlines()[:2], ends.splitlines()[2:]
    moves = ['p "" 1 1 "" { "l" "r" } 0', 'p "" 2 1 "" { "L" "R" } 0', *first, 'p "" 2 1 "" { "L" "R" } 0', *second]
    (folder / "game.efg").write_text("\n".join(['EFG 2 R "pennies" { "one" "two" }', '""', *moves]) + "\n")


CHECKED = [
    *("kuhn_poker", "leduc_poker", "tic_tac_toe", "connect_four", "kuhn_poker(players=5)", "leduc_poker(players=3)"),
    *("leduc_poker(suit_isomorphism=true)", "connect_four(rows=4,columns=11)", "leduc_poker(starting_player=1)"),
    *("openspiel:goofspiel(num_cards=3)", "openspiel:oshi_zumo", "openspiel:matching_pennies_3p", "openspiel:liars_dice"),
    *("openspiel:coin_game", "openspiel:pig", "openspiel:negotiation", "openspiel:tarok", "openspiel:phantom_ttt"),
    *("openspiel:first_sealed_auction", "openspiel:tiny_hanabi", "openspiel:dots_and_boxes", "openspiel:hanabi"),
    *("openspiel:2048", "openspiel:snake", "openspiel:python_block_dominoes", "openspiel:repeated_leduc_poker"),
]


@pytest.mark.parametrize("spec", CHECKED)
def test_games_keep_the_contract(spec: str) -> None:
    check_game(registry.game(spec), matches=2).require()


@pytest.mark.parametrize("name", ["dark_hex_ir", "go_fish", "phantom_ttt_ir", "repeated_leduc_poker"])
def test_games_that_forget_are_given_a_history(name: str) -> None:
    check_game(OpenSpiel(name), matches=20).require()


def every() -> Iterator[tuple[str, Game | UserError]]:
    """Every registered game with default parameters, or where it has none with those of its example."""
    for name, found in family.members():
        yield (spec := f"{name}({EXAMPLES[name]})", family.game(spec)) if name in EXAMPLES else (name, found)


@pytest.mark.learn
def test_census(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All games through check_game, as a table."""
    write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    verdicts: dict[str, str] = {}
    for spec, found in every():
        began, verdict = perf_counter(), f"refused: {found}"
        if isinstance(found, Game):
            report = check_game(found, matches=2)
            if report.broken is None and perf_counter() - began < 1:  # more matches of what is quick
                report = check_game(found, matches=20)
            broken = report.broken
            verdict = f"breaks {broken.rule}: {broken.problem}" if broken else f"passes {report.matches} matches"
        verdicts[spec] = verdict
        print(f"{perf_counter() - began:6.1f} s  {spec}: {verdict}", flush=True)
    passing = {spec for spec, verdict in verdicts.items() if verdict.startswith("passes")}
    print(f"{len(passing)} of {len(verdicts)} pass", *(f"{spec}: {verdicts[spec]}" for spec in verdicts.keys() - passing), sep="\n")
    assert verdicts.keys() - passing == NEVER.keys()


class Pool:
    def resolve(self, player: str) -> RandomAgent:
        return RandomAgent()


WIDE = [
    *("openspiel:backgammon", "openspiel:breakthrough", "openspiel:crazy_eights", "openspiel:euchre", "openspiel:laser_tag"),
    *("openspiel:cliff_walking", "openspiel:deep_sea", "openspiel:coop_box_pushing", "openspiel:markov_soccer", "openspiel:skat"),
    *("openspiel:solitaire", "openspiel:spades", "openspiel:yacht", "openspiel:python_iterated_prisoners_dilemma"),
    *("openspiel:python_dynamic_routing", "openspiel:snake", "openspiel:python_ant_foraging", "openspiel:matrix_pd"),
    *("kuhn_poker(players=4)", "openspiel:oshi_zumo(coins=10)", "openspiel:goofspiel(players=3,num_cards=5)", "openspiel:bargaining"),
]


@pytest.mark.parametrize("spec", WIDE)
def test_initial_and_turn_rewards_make_the_return(spec: str) -> None:
    game = registry.game(spec)
    batch = Batch.concat(list(play(self_play(spec, "random", game.info.seats, 3, 1), Pool(), registry.game, in_flight=3, keys=False)))
    assert (batch["match.end"] == PLAYED).all(), batch.tables["error"]
    total = batch["seat.initial"].copy()
    np.add.at(total, batch.up("turn", "seat"), batch["turn.reward"])
    np.testing.assert_allclose(total, batch["seat.return"], rtol=0, atol=1e-9)
    low, high = game.info.returns
    assert batch["seat.return"].min() >= low - 1e-6
    assert batch["seat.return"].max() <= high + 1e-6


def test_rewards_come_at_the_step_that_earns_them() -> None:
    batch = next(play(self_play("openspiel:coop_box_pushing", "random", 2, 2, 1), Pool(), registry.game, in_flight=2, keys=False))
    assert (batch["turn.reward"] != 0).mean() > 0.5  # every step costs


def walk(native: Any, numbers: list[int]) -> Any:
    state = native.new_initial_state()
    for number in numbers:
        if state.is_terminal():
            break
        legal = state.legal_actions()
        state.apply_action(legal[number % len(legal)])
    return state


BY_HAND = ["tic_tac_toe", "connect_four", "kuhn_poker", "kuhn_poker(players=4)", "leduc_poker", "leduc_poker(players=3)"]


@pytest.mark.parametrize("name", BY_HAND)
def test_hand_written_text_tells_what_the_key_tells(name: str) -> None:
    """Equal text exactly where the key is equal, over many positions; and moves that differ at their first letter."""
    game = OpenSpiel(name)
    assert not isinstance(game.text, Generic)
    texts: dict[tuple[int, str], str] = {}
    rng = np.random.default_rng(0)
    for _ in range(600):
        state = walk(game.native, rng.integers(0, 1000, rng.integers(0, 14)).tolist())
        seat = state.current_player()
        if seat < 0:
            continue
        key, text = game.key(state, seat), game.text.view(state, seat)
        assert texts.setdefault((seat, key), text) == text
        starts = [action[0] for action in game.text.actions(state, seat)]
        assert len(set(starts)) == len(starts)
        assert len(text) < 200
    assert len(texts) >= 12
    assert len({(seat, text) for (seat, _), text in texts.items()}) == len(texts)


def test_hand_written_texts() -> None:
    kuhn, leduc, ttt, four = (OpenSpiel(name) for name in ("kuhn_poker", "leduc_poker", "tic_tac_toe", "connect_four"))
    assert kuhn.text.view(walk(kuhn.native, [2, 0, 0, 1]), 0) == "You are player 1. Your card is K. Moves so far: pass, bet."
    assert kuhn.text.actions(walk(kuhn.native, [2, 0]), 0) == ["pass", "bet"]
    state = leduc.native.new_initial_state()
    for action in (1, 4, 1, 2, 1, 2):  # cards Js and Kh; call, raise, call; public card Qh
        state.apply_action(action)
    assert leduc.text.view(state, 0) == "You are player 1, card Js, public Qh: call raise call, none."
    assert leduc.text.actions(state, 0) == ["call", "raise"]
    assert ttt.text.view(walk(ttt.native, [4, 0]), 0) == "You are x.\no 2 3\n4 x 6\n7 8 9"
    assert ttt.text.actions(walk(ttt.native, [4, 0]), 0) == list("2346789")
    board = four.text.view(walk(four.native, [3, 3, 0]), 1).splitlines()
    assert board[:2] == ["You are o.", "1 2 3 4 5 6 7"]
    assert board[-2:] == [". . . o . . .", "x . . x . . ."]
    assert four.text.actions(walk(four.native, [3]), 1) == list("1234567")


def test_hanabi_in_words() -> None:
    """What a seat reads is its observation, no more and no less; its own cards are not in it."""
    mini = OpenSpiel("hanabi(players=2,colors=2,ranks=2,hand_size=3,max_information_tokens=3,max_life_tokens=3)")
    three = OpenSpiel("hanabi(players=3,colors=3,ranks=3,hand_size=3,max_information_tokens=3,max_life_tokens=3)")
    state = mini.native.new_initial_state()
    for card in (0, 3, 1, 0, 2, 3):
        state.apply_action(card if card in state.legal_actions() else state.legal_actions()[0])
    observed = state.observation_string(0)
    text = mini.text.view(state, 0)
    others = observed.split("-----\n")[1].split("Deck")[0].split()[::3]
    assert text.startswith("Lives 3, hints 3, deck ")
    assert f"You: RY12 RY12 RY12. Partner: {' '.join(f'{card}/RY12' for card in others)}. Discarded: none." in text
    assert set(mini.text.actions(state, 0)) >= {"play 1", "play 2", "play 3"}
    assert all(word.split()[0] in ("play", "tell") for word in mini.text.actions(state, 0)), "all hints are there: nothing to discard for"
    rng, texts, observations = np.random.default_rng(0), set(), set()
    for game in (mini, three):
        for _ in range(150):
            state = walk(game.native, rng.integers(0, 1000, rng.integers(9, 30)).tolist())
            if (seat := state.current_player()) >= 0:
                texts.add((game.info.seats, game.text.view(state, seat)))
                observations.add((game.info.seats, state.observation_string(seat)))
                moves = game.text.actions(state, seat)
                assert len(set(moves)) == len(moves)
    assert len(texts) == len(observations) > 50


def test_parameters_that_change_the_meaning_fall_back_to_the_generic_text() -> None:
    for name, by_hand in (
        ("leduc_poker(suit_isomorphism=true)", False),
        ("leduc_poker(action_mapping=true)", False),
        ("leduc_poker", True),
    ):
        assert isinstance(text_of("leduc_poker", pyspiel.load_game(name)), Generic) != by_hand
    assert "K, A" in OpenSpiel("kuhn_poker(players=3)").rules(0)
    assert "1, 2, 3, 4, 5" in OpenSpiel("kuhn_poker(players=4)").rules(0)
    assert "Player 2 moves first" in OpenSpiel("leduc_poker(starting_player=1)").rules(0)


class Twins:
    """A state in which OpenSpiel gives two actions one name."""

    def legal_actions(self, seat: int) -> list[int]:
        return [3, 4, 7]

    def action_to_string(self, seat: int, action: int) -> str:
        return "pass" if action == 7 else "take"


def test_equal_names_get_their_numbers() -> None:
    assert Generic(pyspiel.load_game("kuhn_poker")).actions(Twins(), 0) == ["take (3)", "take (4)", "pass"]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**40), moves=st.lists(st.integers(0, 100), max_size=12))
def test_resampled_worlds_cannot_be_told_apart(seed: int, moves: list[int]) -> None:
    game = OpenSpiel("leduc_poker")
    native = walk(game.native, moves)
    seat = native.current_player()
    if seat >= 0:
        state = game.start(0)
        for action in native.history():
            state.native.apply_action(action)  # type: ignore[attr-defined]
        world = state.resample(seat, seed)
        assert world.view(seat).key == state.view(seat).key
        assert str(state.resample(seat, seed).view(None).text) == world.view(None).text


def test_resampling_draws_other_hidden_cards() -> None:
    game = OpenSpiel("leduc_poker")
    state = game.start(0)
    for outcome in (0, 3):
        state.apply_chance(outcome)
    worlds = {state.resample(0, seed).view(1).key for seed in range(30)}
    assert len(worlds) == 5
    state = OpenSpiel("liars_dice").start(0)
    for _ in range(2):
        state.apply_chance(0)
    with pytest.raises(NotImplementedError, match="liars_dice"):
        state.resample(0, 1)


@pytest.mark.parametrize("name", ["tarok", "negotiation", "bridge_uncontested_bidding", "stones_and_gems"])
def test_chance_drawn_inside_openspiel_follows_the_seed(name: str) -> None:
    game = OpenSpiel(name)
    assert game.sampled

    def deal(seed: int) -> str:
        state = game.start(seed)
        for _ in range(30):
            outcomes = state.chance()
            if outcomes:
                state.apply_chance(outcomes[0][0])
            elif seats := state.to_act():
                state.apply({seat: state.legal(seat)[0] for seat in seats})
        return str(state.native)  # type: ignore[attr-defined]

    assert deal(5) == deal(5)
    if name != "stones_and_gems":
        assert len({deal(seed) for seed in range(4)}) > 1


def test_small_games_are_told_from_large_ones() -> None:
    assert fits("leduc_poker", False)
    assert fits("tic_tac_toe", True)
    assert not fits("tic_tac_toe", False)
    assert not fits("connect_four", True)
    assert not fits("python_iterated_prisoners_dilemma", False)
    assert not fits("dots_and_boxes", True)
