"""The game ``pokemon:FORMAT``: it keeps the contract, shows each side what it may know, and plays on when a worker is lost."""

from __future__ import annotations

import os
import re
import signal
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from games.pokemon.battles import Battle, Turn, advance, look
from games.pokemon.boards import PokemonBoards
from games.pokemon.game import ACTIONS, Pokemon, layout
from games.pokemon.worker import Worker, workers
from marl_llm import registry
from marl_llm.agents.random import RandomAgent
from marl_llm.answers import at_random
from marl_llm.check import check_game
from marl_llm.errors import UserError
from marl_llm.matches import self_play
from marl_llm.play import play
from marl_llm.records import Batch
from marl_llm.seeding import fold

VGC = "pokemon:gen9vgc2025regi"
PROTECT = [9, 9]  # what the teams below have in their first places, and nobody aims


def member(species: str, *, item: str = "", ability: str = "", moves: str = "", bulk: int = 0, tera: str = "Normal") -> str:
    return f"{species}||{item}|{ability}|protect,{moves}|Hardy|{bulk},,{bulk},,,0|M|||50|,,,,,{tera}"


SHOWN = (
    member("Garchomp", item="lifeorb", ability="roughskin", moves="earthquake,dragonclaw,rockslide"),
    member("Talonflame", item="safetygoggles", ability="galewings", moves="flareblitz,tailwind,uturn"),
    member("Incineroar", item="sitrusberry", ability="blaze", moves="fakeout,partingshot,flareblitz"),
    member("Rillaboom", item="miracleseed", ability="overgrow", moves="fakeout,woodhammer,uturn"),
)
HIDDEN = (  # the same to look at
    member("Garchomp", item="yacheberry", ability="sandveil", moves="earthpower,dracometeor,fireblast", bulk=252, tera="Steel"),
    member("Talonflame", item="charcoal", ability="flamebody", moves="willowisp,airslash", bulk=100, tera="Ghost"),
    member("Incineroar", item="rockyhelmet", ability="blaze", moves="knockoff,taunt", bulk=252, tera="Water"),
    member("Rillaboom", item="assaultvest", ability="overgrow", moves="grassyglide,highhorsepower", tera="Fire"),
)


def battle_of(theirs: tuple[str, ...], *, open: bool = False, ours: tuple[str, ...] = SHOWN) -> Battle:
    teams = [{"team": "]".join(ours)}, {"team": "]".join(theirs)}]
    battle = Battle({"format": "gen9vgc2025regi", "seed": "gen5,0123456789abcdef", "teams": teams, "open": open}, workers(1)[0])
    advance([battle])
    return battle


def known(battle: Battle, seat: int) -> tuple[Any, ...]:
    """All that a seat is ever shown or asked."""
    told = [look(what, [(battle, seat)])[0][0] for what in ("texts", "pictures", *(["labels"] if battle.turns[seat] else []))]
    return battle.turns[seat], *told, look("vectors", [(battle, seat)])[1].tobytes()


def after(battle: Battle, *moves: list[int]) -> Battle:
    """The battle after both sides have made each of these moves."""
    for move in moves:
        battle.history.append([(0, move), (1, move)])
        advance([battle])
    assert not battle.fault
    return battle


@pytest.mark.vgc
def test_nothing_hidden_is_shown() -> None:
    one, other = battle_of(SHOWN), battle_of(HIDDEN)
    for move in ([1, 2], [3, 4], PROTECT, [3, 4], None):
        assert known(one, 0) == known(other, 0)
        assert known(one, 1) != known(other, 1)  # of one's own team all is known
        if move:
            after(one, move)
            after(other, move)
    assert "item" not in look("texts", [(one, 0)])[0][0].partition("Their side")[2]


@pytest.mark.vgc
def test_what_has_been_used_is_shown() -> None:
    battle = after(battle_of(SHOWN), [1, 2], [3, 4])
    earthquake, tailwind = 14, 19
    battle.history.append([(0, PROTECT), (1, [earthquake, tailwind])])
    advance([battle])
    theirs = look("pictures", [(battle, 0)])[0][0]["sides"][1]
    garchomp = next(one for one in theirs["team"] if one["species"] == "garchomp")
    assert [move["id"] for move in garchomp["moves"]] == ["earthquake"]
    assert garchomp["item"] == "lifeorb" or not garchomp["itemKnown"]  # recoil is told only where something was hit
    assert garchomp["ability"] == ""
    assert "tailwind" in theirs["conditions"]
    text = look("texts", [(battle, 0)])[0][0]
    assert re.search(r"Their side \(Tailwind", text)
    assert re.search("Just before: .*your Garchomp used Protect; their Talonflame used Tailwind; their Garchomp used Earthquake", text)
    rockslide = 24
    battle.history.append([(0, [rockslide, 9]), (1, [rockslide, tailwind])])
    advance([battle])
    assert not battle.fault
    hurt = [one["hp"] for one in look("pictures", [(battle, 0)])[0][0]["sides"][1]["team"] if one["slot"] >= 0]
    assert min(hurt) < 1
    assert hurt == [round(100 * hp) / 100 for hp in hurt]  # whole percents, never their points


@pytest.mark.vgc
def test_open_sheets_show_moves_items_and_abilities_but_no_stats() -> None:
    text = look("texts", [(battle_of(HIDDEN, open=True), 0)])[0][0].partition("Their side")[2]
    assert "ability Sand Veil, item Yache Berry, Terastal type Steel, moves Protect, Earth Power, Draco Meteor, Fire Blast" in text
    assert "Speed" not in text
    assert registry.game(VGC).setup(1)["open"]
    assert not registry.game(f"{VGC}(sheets=closed)").setup(1)["open"]


@pytest.mark.vgc
def test_two_picks_of_pairs_make_the_four_that_fight() -> None:
    battle = battle_of(SHOWN, ours=(*SHOWN, member("Amoonguss", moves="spore"), member("Gholdengo", moves="makeitrain")))
    battle.history.append([(0, [5, 2]), (1, [1, 2])])
    advance([battle])
    turn = battle.turns[0]
    assert turn is not None
    assert turn.slots == [[1, 3, 4, 6]] * 2
    assert turn.after(3) == [1, 4, 6]
    battle.history.append([(0, [6, 1]), (1, [3, 4])])
    advance([battle])
    team = look("pictures", [(battle, 0)])[0][0]["sides"][0]["team"]
    assert [one["slot"] for one in team] == [-1, 1, -1, -1, 0, -1]
    assert [one["brought"] for one in team] == [True, True, False, False, True, True]
    turn = battle.turns[0]
    assert turn is not None
    assert {action for action in turn.slots[0] if action < 7} == {1, 6}


@pytest.mark.vgc
def test_what_only_a_hidden_ability_forbids_is_chosen_again() -> None:
    trapper = member("Gothitelle", ability="shadowtag", moves="calmmind")
    teams = [{"team": trapper}, {"team": "]".join(SHOWN[:2])}]
    battle = Battle({"format": "gen9customgame", "seed": "gen5,0000000000000001", "teams": teams, "open": False}, workers(1)[0])
    advance([battle])
    battle.history.append([(0, [1]), (1, [1])])
    advance([battle])
    assert battle.turns[1] is not None
    assert 2 in battle.turns[1].slots[0]
    battle.history.append([(0, [9]), (1, [2])])
    advance([battle])
    assert not battle.fault
    assert battle.turns[0] is None  # its choice stands
    assert battle.turns[1] is not None
    assert 2 not in battle.turns[1].slots[0]
    battle.history.append([(1, [9])])
    advance([battle])
    assert battle.turns[0] is not None
    assert look("pictures", [(battle, 0)])[0][0]["turn"] == 2


@pytest.mark.vgc
@pytest.mark.parametrize("spec", [VGC, f"{VGC}(teams=4,sheets=closed)", f"{VGC}(teams=16,decide=slots)"])
def test_it_keeps_the_contract(spec: str) -> None:
    report = check_game(registry.game(spec), matches=1)
    report.require()
    untested = {finding.rule for finding in report.findings if finding.holds is None}
    assert untested - {"next_legal"} == {"team", "resample", "enumerable"}


@pytest.mark.vgc
def test_numbers_have_names_and_say_what_the_picture_says() -> None:
    battle = after(battle_of(HIDDEN), [1, 2], [3, 4], PROTECT)
    numbers = look("vectors", [(battle, 0)])[1].reshape(layout()["rows"], layout()["width"])
    picture = look("pictures", [(battle, 0)])[0][0]
    names = layout()["member"]
    assert len(names) == len(set(names)) <= layout()["width"]
    assert len(layout()["field"]) == len(set(layout()["field"])) <= layout()["width"]
    team = [one for side in picture["sides"] for one in [*side["team"], *[None] * (6 - len(side["team"]))]]
    for row, one in zip(numbers[1:], team, strict=True):
        named = dict(zip(names, row.tolist(), strict=False))
        if one is None:
            assert not row.any()
        else:
            assert named["hp"] == pytest.approx(one["hp"])
            assert named["slot 0"] == (one["slot"] == 0)
            assert [name for name in names if name.startswith("type ") and named[name]] == [f"type {name}" for name in sorted(one["types"])]
            assert named["species"] * 2048 == int(named["species"] * 2048) > 0


@pytest.mark.vgc
def test_slots_one_after_the_other_make_the_same_battle() -> None:
    one, two = (registry.game(f"{VGC}(teams=4{decide})").start(7) for decide in ("", ",decide=slots"))
    for k in range(12):
        assert one.to_act() == two.to_act()
        first = {seat: one.next_legal(seat, ()) for seat in one.to_act()}
        pairs = {seat: (legal[k % len(legal)], one.next_legal(seat, (legal[k % len(legal)],))[-1]) for seat, legal in first.items()}
        while len(two.battle.history) == k:
            decided = {seat: pairs[seat][len(two.battle.chosen[seat])] for seat in two.to_act()}
            for seat, action in decided.items():
                slot = "ab"[len(two.battle.chosen[seat])]
                assert two.view(seat).text.endswith(f"Decide for slot {slot}.")
                assert two.action_text(seat, action) in one.action_text(seat, pairs[seat])
                assert one.view(seat).text.startswith(two.view(seat).text.partition("Slot a: ")[0].partition("Decide for")[0])
            two.apply(decided)
        one.apply(pairs)


@pytest.mark.vgc
@pytest.mark.parametrize("spec", [f"{VGC}(teams=64)", "pokemon:gen9randomdoublesbattle", "pokemon:gen8randombattle"])
def test_what_is_read_from_messages_is_so(spec: str) -> None:
    game = registry.game(spec)
    assert isinstance(game, Pokemon)
    rows, boards, met = np.arange(3), PokemonBoards(game, 3), 0
    boards.start(rows, fold(11, rows))
    for k in range(60):
        row, seat = boards.acting()
        if not len(row):
            break
        for battle in [boards.battles[r] for r in set(row.tolist())]:
            pictures = look("pictures", [(battle, 0), (battle, 1)])[0]
            for me in (0, 1):
                own = {one["slot"]: one for one in pictures[me]["sides"][0]["team"] if one["slot"] >= 0}
                seen = {one["slot"]: one for one in pictures[1 - me]["sides"][1]["team"] if one["slot"] >= 0}
                assert own.keys() == seen.keys()
                if any("zor" in one["species"] for one in pictures[me]["sides"][0]["team"]):
                    continue  # an illusion is not what it seems
                for slot, one in own.items():
                    other, met = seen[slot], met + 1
                    for what in ("status", "boosts", "level", "terastallized"):
                        assert one[what] == other[what], (what, one, other)
                    assert sorted(one["types"]) == sorted(other["types"])
                    assert abs(one["hp"] - other["hp"]) <= 0.01
                    assert one["item"] == other["item"] or not other["itemKnown"]
                    assert one["ability"] == other["ability"] or not other["ability"] or "transform" in other["volatiles"]
                    assert {move["id"] for move in other["moves"]} <= {move["id"] for move in one["moves"]}
        views = boards.views(row, seat)
        boards.step(row, seat, at_random(views, boards.legal(row, seat), fold(12, k, row, seat)))
    assert met > 50
    assert not boards.broken


class Disturbed(RandomAgent):
    """Kills a worker at its ``at``-th decision."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.left = at

    def decide(self, request: Any) -> Any:
        self.left -= 1
        process = workers(1)[0]._process
        if not self.left and process:
            os.kill(process.pid, signal.SIGKILL)
        return super().decide(request)


def played(agent: RandomAgent) -> Batch:
    plan = self_play(f"{VGC}(teams=4)", "random", 2, 6, 3)
    return Batch.concat(play(plan, SimpleNamespace(resolve=lambda player: agent), registry.game, in_flight=4))


@pytest.mark.vgc
def test_matches_are_played_once_each_whatever_happens_to_a_worker() -> None:
    whole, disturbed = played(RandomAgent()), played(Disturbed(9))
    assert np.bincount(whole["match.plan"]).tolist() == [1] * 6
    assert not (whole["match.end"] != 0).any()
    assert set(whole["seat.return"].tolist()) == {-1.0, 1.0}
    assert (whole["seat.return"].reshape(6, 2).sum(1) == 0).all()
    assert (disturbed["match.id"] == whole["match.id"]).all()
    assert (disturbed["turn.action"] == whole["turn.action"]).all()
    assert (disturbed["seat.return"] == whole["seat.return"]).all()


@pytest.mark.vgc
def test_battles_do_not_depend_on_the_number_of_workers() -> None:
    def run(crew: list[Worker]) -> tuple[list[str], list[float]]:
        rows = np.arange(4)
        boards, seen = PokemonBoards(game, 4, crew), []
        boards.start(rows, fold(5, rows))
        for k in range(12):
            row, seat = boards.acting()
            views = boards.views(row, seat)
            seen += [*(views.codes[code] for code in views.keys().tolist()), views.vectors().tobytes().hex()]
            boards.step(row, seat, at_random(views, boards.legal(row, seat), fold(6, k, row, seat)))
        return seen, boards.returns(rows).ravel().tolist()

    game = registry.game(VGC)
    assert isinstance(game, Pokemon)
    crew = [Worker() for _ in range(3)]
    try:
        assert run(crew[:1]) == run(crew[1:])
    finally:
        for worker in crew:
            worker.close()


@pytest.mark.vgc
@pytest.mark.parametrize(
    ("spec", "line"),
    [
        ("pokemon:gen9vgc2025reg", r"^unknown Pokemon format 'gen9vgc2025reg'; did you mean gen9vgc2025regi"),
        ("pokemon:gen9multirandombattle", r"^format 'gen9multirandombattle' is multi for 4; expected singles or doubles for 2$"),
        ("pokemon:gen9hackmonscup", r"^the simulator makes no teams for format 'gen9hackmonscup'; try gen9randombattle"),
        (f"{VGC}(team=4)", r"has no parameter 'team'; parameters: decide, sheets, teams$"),
        (f"{VGC}(decide=slot)", r"^decide of pokemon:gen9vgc2025regi is 'slot'; expected pairs or slots$"),
        (f"{VGC}(teams=5)", r"^there is no pool of 5 teams; expected 1, 4, 16, 64$"),
        (f"{VGC}(sheets=shut)", r"^sheets of pokemon:gen9vgc2025regi is 'shut'; expected open or closed$"),
        ("pokemon:gen9randombattle(sheets=open)", r"expected none, since this format has no team preview$"),
    ],
)
def test_bad_input_is_told_in_a_line(spec: str, line: str) -> None:
    with pytest.raises(UserError, match=line):
        registry.game(spec)


def test_pairs_of_actions_that_exclude_each_other() -> None:
    slots = [[1, 2, 10, 90], [1, 2, 10, 90]]
    free = Turn(slots, 0, "")
    assert free.after(1) == [2, 10, 90]  # one member goes to one slot
    assert free.after(90) == [1, 2, 10]  # one gimmick a turn
    assert free.after(10) == slots[1]
    assert Turn([[0], slots[1]], 0, "").after(0) == slots[1]
    last = Turn([[0, 4], [0, 4]], 1, "")
    assert [last.after(0), last.after(4)] == [[4], [0]]  # one is left for two slots
    assert max(slots[0]) < ACTIONS
