"""The rollout loop: equal matches however many are in flight and in whatever order agents answer, and faults as the rules say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from games.openspiel.agents import CFR, MCTS, Minimax
from marl_llm import registry
from marl_llm.agent import FAULTS, ILLEGAL, OUTAGE, TIMEOUT, UNPARSABLE, Agent, Decision, Immediate, Request
from marl_llm.agents.random import RandomAgent
from marl_llm.matches import Match, Rules, round_robin, self_play
from marl_llm.play import REPLAYS, play
from marl_llm.records import CUT, FORFEIT, PLAYED, VOID, Batch
from marl_llm.seeding import generator, uniform


class Pool:
    """Agents by name, made when asked for."""

    def __init__(self, **makers: Callable[[], Agent]) -> None:
        self.makers = {"random": RandomAgent, "minimax": Minimax, "cfr": CFR, "mcts": lambda: MCTS("20"), **makers}

    def resolve(self, player: str) -> Agent:
        return self.makers[player]()


def run(plan: Any, in_flight: int = 64, pool: Pool | None = None) -> Batch:
    return Batch.concat(list(play(plan, pool or Pool(), registry.game, in_flight=in_flight)))


def content(batch: Batch) -> dict[str, list[Any]]:
    """A batch as plain values in plan order, keys and names spelled out."""
    batch = batch.take(np.argsort(batch["match.plan"]))
    out = {name: values.tolist() for name, values in batch.columns.items()}
    out["turn.key"] = [batch.tables["key"][code] if code >= 0 else None for code in out["turn.key"]]
    out["seat.player"] = [batch.tables["player"][code] for code in out["seat.player"]]
    out["match.game"] = [batch.tables["game"][code] for code in out["match.game"]]
    return out | {f"starts {level}": starts.tolist() for level, starts in batch.starts.items()}


def returns_add_up(batch: Batch) -> None:
    total = np.zeros(batch.size("seat"))
    np.add.at(total, batch.up("turn", "seat"), batch["turn.reward"])
    np.testing.assert_allclose(batch["seat.initial"] + total, batch["seat.return"], atol=1e-9)


PAIRS = [
    ("tic_tac_toe", ("minimax", "random")),
    ("leduc_poker", ("cfr", "random")),
    ("connect_four", ("random", "mcts")),
    ("openspiel:goofspiel(num_cards=4)", ("random", "random")),
    ("openspiel:pig(winscore=20)", ("random", "random")),
]


@pytest.mark.parametrize(("spec", "agents"), PAIRS)
def test_any_number_in_flight_gives_the_same_matches(spec: str, agents: tuple[str, str]) -> None:
    matches = 8 if "mcts" in agents else 24
    runs = [content(run(round_robin(spec, agents, 2, matches, seed=1), n)) for n in (1, 7, 64, 1000)]
    assert runs[0]["match.plan"] == list(range(len(runs[0]["match.plan"])))
    assert all(one == runs[0] for one in runs[1:])


def test_several_games_at_once_give_the_same_matches() -> None:
    def plan() -> Iterator[Match]:
        for one in zip(
            *(self_play(spec, "random", 2, 20, 5) for spec in ("kuhn_poker", "connect_four", "openspiel:matrix_rps")), strict=True
        ):
            yield from one

    runs = [content(run(plan(), n)) for n in (1, 64)]
    assert runs[0] == runs[1]
    assert len(runs[0]["match.id"]) == 60


def test_every_planned_match_is_admitted_in_order_and_finished() -> None:
    admitted: list[int] = []

    def plan() -> Iterator[Match]:
        for k, match in enumerate(self_play("connect_four", "random", 2, 50, 0)):
            admitted.append(k)
            yield match

    finished: list[int] = []
    for batch in play(plan(), Pool(), registry.game, in_flight=8):
        finished += batch["match.plan"].tolist()
        assert len(admitted) <= len(finished) + 8 + 8  # what has ended waits for the batch to be sealed
    assert admitted == list(range(50))
    assert sorted(finished) == admitted


def test_ids_name_matches() -> None:
    plan = list(round_robin("kuhn_poker", ("random", "cfr"), 2, 10, seed=2))
    batch = run(plan)
    assert batch["match.id"][np.argsort(batch["match.plan"])].tolist() == [match.id for match in plan]
    assert len(set(batch["match.id"].tolist())) == 20


def test_duplicate_deals_are_equal_for_every_seating() -> None:
    batch = run(round_robin("leduc_poker", ("random", "cfr"), 2, 40, seed=2))
    first: dict[int, set[str]] = {}
    moves: dict[int, set[Any]] = {}
    for i in range(len(batch)):
        episode = batch.episode(i)
        key = next(move.key for move in episode.moves if move.seat == 0)
        first.setdefault(episode.seed, set()).add(str(key))
        moves.setdefault(episode.seed, set()).add(tuple(move.action for move in episode.moves))
    assert len(first) == 40
    assert all(len(keys) == 1 for keys in first.values())
    assert any(len(played) == 2 for played in moves.values())


@pytest.mark.parametrize("spec", ["kuhn_poker", "connect_four", "openspiel:goofspiel(num_cards=4)", "public_goods(seats=3,rounds=4)"])
def test_rewards_add_up(spec: str) -> None:
    returns_add_up(run(self_play(spec, "random", registry.game(spec).info.seats, 30, 3)))


class Slow(Immediate):
    """Answers any part of what it was asked, in any order, some time later; views are read only then."""

    def __init__(self) -> None:
        super().__init__()
        self.rng = generator(7)
        self.left: list[tuple[Request, NDArray[np.int64]]] = []

    def submit(self, request: Request) -> None:
        self.left.append((request, np.arange(len(request))))

    def poll(self, wait_s: float) -> Sequence[Decision]:
        out: list[Decision] = []
        for k in self.rng.permutation(len(self.left)).tolist():
            request, rows = self.left[k]
            mine = self.rng.random(len(rows)) < 0.4
            if mine.any():
                part = request.take(self.rng.permutation(rows[mine]))
                assert len(part.views.texts()) == len(part)
                out.append(RandomAgent().decide(part))
            self.left[k] = request, rows[~mine]
        self.left = [(request, rows) for request, rows in self.left if len(rows)]
        return out


@pytest.mark.parametrize("spec", ["kuhn_poker", "connect_four", "openspiel:goofspiel(num_cards=4)", "public_goods(seats=5,rounds=2)"])
@pytest.mark.parametrize("in_flight", [1, 13])
def test_agents_may_answer_any_part_in_any_order(spec: str, in_flight: int) -> None:
    seats = registry.game(spec).info.seats
    swift = content(run(self_play(spec, "agent", seats, 30, 4), in_flight, Pool(agent=RandomAgent)))
    slow = content(run(self_play(spec, "agent", seats, 30, 4), in_flight, Pool(agent=Slow)))
    assert swift == slow
    mixed = [Match(game=spec, seed=k, players=("agent", *["random"] * (seats - 1))) for k in range(30)]
    assert content(run(mixed, in_flight, Pool(agent=Slow))) == content(run(mixed, in_flight, Pool(agent=RandomAgent)))


def test_a_seat_learns_only_where_the_match_says() -> None:
    plan = [Match(game="kuhn_poker", seed=k, players=("random", "random"), learn=frozenset({1})) for k in range(20)]
    batch = run(plan)
    assert (batch["turn.learn"] == (batch["turn.seat"] == 1)).all()
    assert (batch["seat.learn"] == (batch["seat.seat"] == 1)).all()


class Faulty(Immediate):
    """Random play in which ``fault`` befalls an attempt at a turn with probability ``rate``; ``told`` keeps what it was told."""

    def __init__(self, fault: int, rate: float, told: list[int] | None = None) -> None:
        super().__init__()
        self.fault, self.rate, self.told = fault, rate, told

    def decide(self, request: Request) -> Decision:
        if self.told is not None:
            self.told += request.fault.tolist()
        fine = RandomAgent().decide(request)
        bad = uniform(request.seed, 9) < self.rate
        if self.fault == ILLEGAL:
            return Decision(fine.id, np.where(bad, 77, fine.action), fine.fault, fine.memory)
        return Decision(fine.id, fine.action, np.where(bad, self.fault, 0).astype(np.int8), fine.memory)


def faulty(fault: int, rate: float, rules: Rules, spec: str = "kuhn_poker", count: int = 60, in_flight: int = 16, **more: Any) -> Batch:
    seats = registry.game(spec).info.seats
    plan = [
        Match(game=spec, seed=k, players=("faulty", *["random"] * (seats - 1)), learn=frozenset(range(seats)), rules=rules)
        for k in range(count)
    ]
    return run(plan, in_flight, Pool(faulty=lambda: Faulty(fault, rate, **more)))


@pytest.mark.parametrize("fault", [ILLEGAL, UNPARSABLE, TIMEOUT])
def test_every_attempt_is_a_turn_row(fault: int) -> None:
    told: list[int] = []
    batch = faulty(fault, 0.5, Rules(retries=1, then="random"), told=told)
    failed = batch["turn.fault"] == fault
    assert failed.any()
    assert set(told) == {0, fault}
    assert (batch["turn.fault"][~failed] == 0).all()
    assert (batch["turn.action"][failed] == -1).all()
    assert batch["turn.learn"][failed].all()
    assert (batch["turn.reward"][failed] == 0).all()
    assert (batch["match.end"] == PLAYED).all()
    returns_add_up(batch)
    fallback = batch["turn.attempt"] == 2
    assert fallback.any()
    assert not batch["turn.learn"][fallback].any()
    assert np.isin(batch["turn.action"][fallback], [0, 1]).all()
    for i in range(len(batch)):  # the attempts at one turn stand together, counted from 0, and only the last went through
        one = batch.take(np.asarray([i]))
        turns = list(zip(one["turn.seat"].tolist(), one["turn.index"].tolist(), one["turn.attempt"].tolist(), strict=True))
        assert turns == sorted(turns)
        assert len(set(turns)) == len(turns)
        good = one["turn.fault"] == 0
        assert len(set(zip(one["turn.seat"][good].tolist(), one["turn.index"][good].tolist(), strict=True))) == good.sum()


@pytest.mark.parametrize(("spec", "share"), [("kuhn_poker", 2.0), ("kuhn_poker(players=3)", 1.0)])
def test_forfeit_costs_the_offender_the_minimum(spec: str, share: float) -> None:
    batch = faulty(UNPARSABLE, 0.5, Rules(retries=0, then="forfeit"), spec)
    seats = registry.game(spec).info.seats
    lost = batch["match.end"] == FORFEIT
    assert lost.any()
    assert (batch["match.end"][~lost] == PLAYED).all()
    returns = batch["seat.return"].reshape(-1, seats)[lost]
    assert (returns[:, 0] == -2).all()
    assert (returns[:, 1:] == share).all()
    assert batch["seat.learn"].all()
    returns_add_up(batch)


def test_void_matches_teach_nothing() -> None:
    batch = faulty(UNPARSABLE, 0.5, Rules(retries=0, then="void"))
    void = batch["match.end"] == VOID
    assert void.any()
    assert not void.all()
    assert not batch["turn.learn"][void[batch.up("turn", "match")]].any()
    assert (batch["seat.learn"].reshape(-1, 2).any(1) == ~void).all()
    assert (batch["match.error"] == -1).all()


def test_faults_of_both_seats_at_once_end_a_match_once() -> None:
    spec, rules = "openspiel:matrix_rps", Rules(retries=0, then="forfeit")
    for in_flight in (1, 3):
        plan = [Match(game=spec, seed=k, players=("a", "b" if k % 2 else "a"), rules=rules) for k in range(40)]
        batch = run(plan, in_flight, Pool(a=lambda: Faulty(UNPARSABLE, 0.7), b=lambda: Faulty(ILLEGAL, 0.7)))
        assert sorted(batch["match.plan"].tolist()) == list(range(40))
        assert (batch["match.end"] == FORFEIT).any()


class Flaky(RandomAgent):
    """Cannot be reached for its first ``outages`` decisions."""

    def __init__(self, outages: int) -> None:
        super().__init__()
        self.outages = outages

    def decide(self, request: Request) -> Decision:
        fine = super().decide(request)
        down = np.arange(len(request)) < self.outages
        self.outages -= int(down.sum())
        return Decision(fine.id, fine.action, np.where(down, OUTAGE, 0).astype(np.int8), fine.memory)


@pytest.mark.parametrize("in_flight", [1, 5, 64])
def test_an_outage_is_replayed_and_counted_once(in_flight: int) -> None:
    plan = list(self_play("leduc_poker", "agent", 2, 20, 8))
    calm = run(plan, in_flight, Pool(agent=RandomAgent))
    storm = run(plan, in_flight, Pool(agent=lambda: Flaky(REPLAYS)))
    assert content(storm) == content(calm)


def test_an_outage_that_lasts_voids_the_match() -> None:
    batch = run(self_play("kuhn_poker", "agent", 2, 6, 8), 4, Pool(agent=lambda: Flaky(10**9)))
    assert len(batch) == 6
    assert (batch["match.end"] == VOID).all()
    assert not batch["seat.learn"].any()
    assert not batch["turn.learn"].any()


def test_a_match_is_replayed_as_often_as_stated() -> None:
    ends = [
        run(self_play("kuhn_poker", "agent", 2, 5, 8), 1, Pool(agent=lambda n=outages: Flaky(n)))["match.end"].tolist()
        for outages in (REPLAYS, REPLAYS + 1)
    ]
    assert ends == [[PLAYED] * 5, [VOID] + [PLAYED] * 4]


class Remembering(RandomAgent):
    """Counts its own turns in its memory."""

    seen: list[tuple[int, int]]

    def decide(self, request: Request) -> Decision:
        counts = [0 if memory is None else memory for memory in request.memory]
        self.seen += zip(counts, request.turn.tolist(), strict=True)
        fine = super().decide(request)
        return Decision(fine.id, fine.action, fine.fault, [count + 1 for count in counts])


def test_memory_travels_with_the_seat_of_its_match() -> None:
    agent = Remembering()
    agent.seen = []
    run(self_play("connect_four", "agent", 2, 12, 1), 5, Pool(agent=lambda: agent))
    assert len(agent.seen) > 50
    assert all(count == turn for count, turn in agent.seen)


def test_a_match_longer_than_promised_is_cut() -> None:
    from dataclasses import replace

    from games.public_goods.game import PublicGoods

    game = PublicGoods(seats=3, rounds=5)
    game.info = replace(game.info, max_decisions=6)
    batch = Batch.concat(list(play(self_play("pg", "random", 3, 7, 0), Pool(), lambda spec: game, in_flight=3)))
    assert (batch["match.end"] == CUT).all()
    assert batch.size("turn") == 7 * 6
    returns_add_up(batch)


def test_a_match_for_other_seats_is_refused() -> None:
    with pytest.raises(ValueError, match="kuhn_poker has 2 seats, and the match names 3 players"):
        run([Match(game="kuhn_poker", seed=0, players=("random",) * 3)])


def test_records_survive_a_file(tmp_path: Any) -> None:
    batch = faulty(UNPARSABLE, 0.3, Rules())
    batch.save(tmp_path / "batch.npz")
    assert content(Batch.load(tmp_path / "batch.npz")) == content(batch)
    assert set(FAULTS) >= {move.fault for move in batch.episode(0).moves}


class Listening(RandomAgent):
    """Records the seed that all seats of a match share, and its own."""

    def decide(self, request: Request) -> Decision:
        assert request.shared is not None
        return replace(super().decide(request), record={"turn.shared": request.shared, "turn.own": request.seed})


def test_seats_of_a_match_share_a_stream() -> None:
    plan = self_play("matrix(payoffs=stag_hunt,rounds=3)", "ears", 2, 20, 0)
    batch = run(plan, 8, Pool(ears=Listening))
    shared, own = (batch[f"turn.{name}"].reshape(20, 2, 3) for name in ("shared", "own"))
    assert (shared[:, 0] == shared[:, 1]).all()
    assert len(np.unique(shared)) == 60
    assert len(np.unique(own)) == 120


def test_of_a_population_only_those_who_learn_are_recorded() -> None:
    game = "public_goods(seats=6,mpcr=0.5,levels=2,rounds=3)"
    everyone = list(self_play(game, "random", 6, 20, 0))
    some = [replace(match, learn=frozenset({0, 4})) for match in everyone]
    whole, part, nobody = (run(plan) for plan in (everyone, some, [replace(match, learn=frozenset()) for match in everyone]))
    assert (whole.size("turn"), part.size("turn"), nobody.size("turn")) == (360, 120, 360)
    assert set(part["turn.seat"]) == {0, 4}
    kept = np.isin(whole["turn.seat"], [0, 4])
    for name in ("turn.reward", "turn.action", "turn.index", "turn.ply"):
        assert (part[name].shape, whole[name][kept].shape) == ((120,), (120,))
    np.testing.assert_allclose(part["turn.reward"].reshape(40, 3).sum(1), part["seat.return"].reshape(20, 6)[:, [0, 4]].ravel())
    assert part["seat.initial"].shape == (120,)
