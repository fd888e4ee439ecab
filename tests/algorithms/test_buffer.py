"""Episodes out of batches, steps put together, and the replay buffer's bounds, sampling and resuming."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from algorithms.buffer import Buffer, Episodes, columns, episodes_of, together
from marl_llm import registry
from marl_llm.agent import Immediate, answer
from marl_llm.game import Discrete, Game, GameInfo, State, View
from marl_llm.matches import Match
from marl_llm.play import play
from marl_llm.records import Batch


class InTurn(Game):
    """A team of two in turn; seat k's move m at ply t pays 10 * t + m; it ends after four plies, or earlier if 2 is played."""

    def __init__(self, most: int = 4) -> None:
        self.info = GameInfo(
            name="in_turn",
            seats=2,
            returns=(0, 100),
            max_decisions=most,
            action=Discrete(3),
            utility="team",
            vector=(2,),
            table=(1,),
        )

    def start(self, seed: int) -> State:
        return InTurnState()


class InTurnState(State):
    ply, gained, done = 0, 0.0, False

    def to_act(self):
        return () if self.done else (self.ply % 2,)

    def legal(self, seat):
        return (0, 1, 2)

    def apply(self, moves):
        (move,) = moves.values()
        self.gained += 10 * self.ply + move
        self.ply += 1
        self.done = move == 2 or self.ply == 8

    def returns(self):
        return (self.gained,) * 2

    def view(self, seat):
        return View(
            text=lambda: str(self.ply), vector=lambda: np.asarray([self.ply, -1 if seat is None else seat][: 1 if seat is None else 2])
        )


class Scripted(Immediate):
    """Plays the moves of the match's seed, digit by digit."""

    def __init__(self, moves: list[int]) -> None:
        super().__init__()
        self.moves = moves

    def decide(self, request):
        view = request.views.vectors()
        action = np.asarray([self.moves[int(ply)] for ply in view[:, 0]])
        record = {"turn.view": view, "turn.table": request.views.tables(), "legal.action": request.legal}
        return answer(request, action, record=record)


def played(moves, game, learn=(0, 1), matches=1):
    pool = SimpleNamespace(resolve=lambda name: Scripted(moves))
    plan = [Match(game="g", seed=k, players=("a", "a"), learn=frozenset(learn)) for k in range(matches)]
    return Batch.concat(play(plan, pool, lambda spec: game))


def test_turns_become_joint_steps_and_the_teams_gain_is_split_among_them():
    ended, cut = played([1, 0, 2], InTurn(8)), played([1, 0, 1, 0], InTurn(4))
    episodes = episodes_of(Batch.concat([ended, cut]), 2, 3)
    assert episodes.length_E.tolist() == [3, 4]
    assert episodes.cut_E.tolist() == [False, True]
    assert episodes.reward_ET.tolist() == [[1, 10, 22, 0], [1, 10, 21, 30]]
    assert episodes.action_ETN[0].tolist() == [[1, 0], [0, 0], [2, 0], [0, 0]]
    assert episodes.acts_ETN[1].tolist() == [[True, False], [False, True]] * 2
    assert episodes.view_ETNV[0, 1].tolist() == [[0, 0], [1, 1]]
    assert episodes.table_ETS[1, :, 0].tolist() == [0, 1, 2, 3]
    assert episodes.legal_ETNA[0].sum((1, 2)).tolist() == [3, 3, 3, 0]
    assert episodes.elapsed_ET.tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]


def test_a_simultaneous_game_has_both_seats_in_a_step():
    pool = SimpleNamespace(resolve=lambda name: Recording())
    plan = [Match(game="two_step", seed=k, players=("a", "a"), learn=frozenset({0, 1})) for k in range(5)]
    batch = Batch.concat(play(plan, pool, registry.game))
    episodes = episodes_of(batch, 2, 2)
    assert episodes.acts_ETN.all()
    assert episodes.reward_ET[:, 0].tolist() == [0.0] * 5
    assert episodes.reward_ET[:, 1] == pytest.approx(batch["seat.return"][::2])
    assert episodes.table_ETS.shape == (5, 2, 0)


class Recording(Immediate):
    def decide(self, request):
        return answer(request, request.legal.at(np.zeros(len(request), np.int64)), record=self.record(request))

    @staticmethod
    def record(request):
        return {"turn.view": request.views.vectors(), "legal.action": request.legal}


def test_a_match_with_turns_of_others_is_left_out():
    episodes = episodes_of(Batch.concat([played([1, 2], InTurn(), learn=(0,)), played([1, 1, 2], InTurn())]), 2, 3)
    assert len(episodes) == 1
    assert episodes.length_E.tolist() == [3]


def test_steps_are_put_together_as_a_semi_markov_process():
    """Rewards 1, 10, 22 with events at 0 and 2; 1, 10, 21 and the bootstrap view with events at 0 and 1."""
    episodes = episodes_of(Batch.concat([played([1, 0, 2], InTurn(8)), played([1, 0, 1, 0], InTurn(4))]), 2, 3)
    event = np.asarray([[1, 0, 1, 0], [1, 1, 0, 0]], bool)
    joined = together(episodes, event, 0.5)
    assert joined.length_E.tolist() == [2, 3]
    assert joined.reward_ET.tolist() == [[1 + 0.5 * 10, 22, 0], [1, 10 + 0.5 * 21, 30]]
    assert joined.elapsed_ET[:, :2].tolist() == [[2, 1], [1, 2]]
    assert joined.table_ETS[0, :2, 0].tolist() == [0, 2]
    assert joined.table_ETS[1, :, 0].tolist() == [0, 1, 3]


def numbered(first: int, count: int, steps: int = 2) -> Episodes:
    """Episodes that carry their number in the rewards."""
    number = first + np.arange(count)
    return Episodes(
        view_ETNV=np.zeros((count, steps, 1, 1), np.float32),
        table_ETS=np.zeros((count, steps, 1), np.float32),
        legal_ETNA=np.ones((count, steps, 1, 2), bool),
        acts_ETN=np.ones((count, steps, 1), bool),
        action_ETN=np.zeros((count, steps, 1), np.int64),
        reward_ET=np.repeat(number[:, None], steps, 1).astype(float),
        elapsed_ET=np.ones((count, steps), np.int64),
        length_E=np.full(count, steps),
        cut_E=np.zeros(count, bool),
    )


def test_the_oldest_go_and_memory_stays():
    buffer = Buffer(5)
    buffer.add(numbered(0, 4))
    assert buffer.store is not None
    size = sum(values.nbytes for values in columns(buffer.store).values())
    for first in range(4, 40, 3):
        buffer.add(numbered(first, 3))
        assert len(buffer) == 5
    assert sorted(buffer.sample(9, 1).reward_ET[:, 0].tolist()) == [35, 36, 37, 38, 39]
    assert sum(values.nbytes for values in columns(buffer.store).values()) == size
    buffer.add(numbered(100, 50))
    assert sorted(buffer.sample(9, 1).reward_ET[:, 0].tolist()) == [95 + 50, 146, 147, 148, 149]


def test_longer_episodes_make_room_and_samples_are_as_long_as_they_must_be():
    buffer = Buffer(4)
    buffer.add(numbered(0, 2, steps=2))
    buffer.add(numbered(2, 1, steps=5))
    everything = buffer.sample(4, 7)
    assert everything.reward_ET.shape == (3, 5)
    assert sorted(everything.length_E.tolist()) == [2, 2, 5]
    buffer.add(replace(numbered(3, 2, steps=2)))
    buffer.add(numbered(5, 2, steps=2))
    assert buffer.sample(4, 7).reward_ET.shape == (4, 2)
    assert (buffer.store.reward_ET[:, 2:] == 0).all() if buffer.store is not None else False  # nothing of the longer one is left


def test_samples_are_a_function_of_their_keys():
    buffer = Buffer(50)
    buffer.add(numbered(0, 50))
    drawn = [buffer.sample(10, 3, k).reward_ET[:, 0].tolist() for k in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(set(drawn[0])) == 10


def test_resuming_is_exact(tmp_path):
    buffer, resumed, empty = Buffer(6), Buffer(6), Buffer(6)
    empty.save(tmp_path)
    resumed.load(tmp_path)
    assert len(resumed) == 0
    buffer.add(numbered(0, 8))
    buffer.save(tmp_path)
    resumed.load(tmp_path)
    for one in (buffer, resumed):
        one.add(numbered(8, 3))
    for name, values in columns(buffer.sample(6, 5)).items():
        assert np.array_equal(columns(resumed.sample(6, 5))[name], values), name
