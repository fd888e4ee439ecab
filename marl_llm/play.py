"""The one rollout loop: matches in, sealed batches out.

Matches are admitted in plan order and every admitted match is finished, so a batch is not biased to short games. Each
turn of the loop asks every seat that must act, takes whatever answers are there, and moves the rows that are complete.
A fault becomes what the match's rules say; an outage voids the match and it is played again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice, repeat
from math import inf
from time import monotonic
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from marl_llm.agent import ILLEGAL, OK, OUTAGE, Agent, Decision, Request
from marl_llm.agents.given import Given
from marl_llm.agents.random import RandomAgent
from marl_llm.answers import at_random, fit, open_kind
from marl_llm.boards import BrokenView
from marl_llm.game import Box, Discrete, Game, Spec
from marl_llm.matches import Match
from marl_llm.ragged import Ragged, segment_sum
from marl_llm.records import CUT, FORFEIT, PLAYED, VOID, Batch
from marl_llm.seeding import fold, uniform
from marl_llm.table import AGENTS, GIVEN, RANDOM, Table

REPLAYS = 3
DECISION, OPENING, FALLBACK, SHARED = 1, 2, 3, 4  # names of random streams
OPENING_RANDOM = 0.5
"""Share of an opening's moves that are random. Where nothing is hidden a seat makes all of its moves so or none: so an opening also
reaches what one side's random moves, all the way, lead to against the other's good ones. Where cards are hidden each move is drawn
alone, for after random moves only nobody could tell anything of their maker's cards."""


class AgentPool(Protocol):
    """``"name@version"`` to agent."""

    def resolve(self, player: str) -> Agent: ...


def play(
    matches: Iterable[Match],
    agents: AgentPool,
    games: Callable[[Spec], Game],
    *,
    in_flight: int = 1024,
    keys: bool = True,
    seal_s: float = inf,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Batch]:
    """Play ``matches``, at most ``in_flight`` at once, and yield batches of finished ones, every match once.

    ``games`` loads a game by its spec. ``keys`` records what each turn's policy could depend on, where
    actions are not continuous. A batch is sealed when
    ``in_flight`` matches have finished, or the first of them ``seal_s`` seconds ago. Once ``stop`` says so, play ends
    with a batch of what has finished, and the matches in progress are dropped. An exception of an agent ends play;
    tournaments wrap agents so that it becomes a fault instead.
    """
    return _Play(iter(matches), agents, games, in_flight, keys).run(seal_s, stop)


class _Play:
    def __init__(self, plan: Iterator[Match], agents: AgentPool, games: Callable[[Spec], Game], in_flight: int, keys: bool) -> None:
        self.plan, self.pool, self.load, self.in_flight, self.keys = plan, agents, games, in_flight, keys
        self.again: deque[tuple[int, int, Match]] = deque()
        self.tables: dict[Spec, Table] = {}
        self.names: list[str] = []
        """Players, in the order of their agents, of which the first ``AGENTS`` play for nobody."""
        self.agents: list[Agent] = [RandomAgent(), Given()]  # these play openings, and moves that a match gives
        self.agent_code: dict[str, int] = {}
        self.planned = self.live = self.next_id = 0
        self.asked: dict[int, _Asked] = {}

    def run(self, seal_s: float, stop: Callable[[], bool]) -> Iterator[Batch]:
        due = inf
        while not stop() and (self.admit() or self.live):
            for table in self.tables.values():
                self.ask(table)
            self.collect(stop)
            done, now = sum(table.done for table in self.tables.values()), monotonic()
            due = min(due, now + seal_s) if done else inf
            if done >= self.in_flight or now >= due:
                yield from self.seal()
                due = inf
        yield from self.seal()

    def seal(self) -> Iterator[Batch]:
        sealed = [table.seal(self.names) for table in self.tables.values() if table.done]
        if sealed:
            yield sealed[0] if len(sealed) == 1 else Batch.concat(sealed)

    def admit(self) -> int:
        """Fill free places: first matches that must be played again, then the plan, in its order; how many."""
        room = self.in_flight - self.live
        entries = [self.again.popleft() for _ in range(min(room, len(self.again)))]
        fresh = list(islice(self.plan, room - len(entries)))
        entries += zip(range(self.planned, self.planned + len(fresh)), repeat(0), fresh)
        self.planned += len(fresh)
        self.live += len(entries)
        by_game: dict[Spec, list[tuple[int, int, Match]]] = {}
        for entry in entries:
            by_game.setdefault(entry[2].game, []).append(entry)
        for spec, begun in by_game.items():
            if spec not in self.tables:  # where the plan has come to its end, no more matches than these are ever in progress at once
                self.tables[spec] = Table(self.load(spec), spec, len(begun) if self.live < self.in_flight else self.in_flight)
            table = self.tables[spec]
            row = table.start(begun, self.code)
            acts = np.bincount(table.boards.acting()[0], minlength=len(table.number))
            idle = row[acts[row] == 0]
            if len(idle):  # chance alone decided them, or their game is broken
                self.end(table, idle, PLAYED)
        return len(entries)

    def code(self, player: str) -> int:
        code = self.agent_code.get(player)
        if code is None:
            code = self.agent_code[player] = AGENTS + len(self.names)
            self.agents.append(self.pool.resolve(player))
            self.names.append(player)
        return code

    def ask(self, table: Table) -> None:
        """Hand every decision that is due to the agent in its seat."""
        row, seat = table.boards.acting()
        table.acting = np.bincount(row, minlength=len(table.number))
        cell = row * table.seats + seat
        waiting = table.waiting[cell]
        if waiting.any():
            due = np.flatnonzero(~waiting)
            row, seat, cell = row[due], seat[due], cell[due]
        if not len(row):
            return
        table.waiting[cell] = True
        opening = table.ply[row] < table.opening[row]
        if opening.any():
            whose = (seat,) if table.game.info.perfect_information else (table.ply[row], seat)
            opening &= uniform(table.draws[row], OPENING, *whose) < OPENING_RANDOM
        given = table.turn[cell] < table.given[cell]
        player = np.select([given, opening], [GIVEN, RANDOM], table.player[cell])
        for code in np.flatnonzero(np.bincount(player)).tolist():
            mine = np.flatnonzero(player == code)
            self.submit(table, code, row[mine], seat[mine])

    def submit(self, table: Table, code: int, row: NDArray[np.int64], seat: NDArray[np.int64]) -> None:
        while True:
            alive = table.number[row] >= 0  # another seat's view may have ended a match
            row, seat = row[alive], seat[alive]
            if not len(row):
                return
            legal, views = table.boards.legal(row, seat), table.boards.views(row, seat)
            cell = row * table.seats + seat
            turn, attempt = table.turn[cell], table.attempt[cell]
            request = Request(
                id=self.next_id + np.arange(len(row)),
                seat=seat,
                turn=turn,
                seed=fold(table.stream[cell], OPENING if code == RANDOM else DECISION, seat, turn, attempt),
                shared=fold(table.draws[row], SHARED, turn),
                views=views,
                legal=legal,
                memory=table.moves_given(row, seat) if code == GIVEN else table.memory[cell].tolist(),
                fault=table.fault[cell],
            )
            try:
                keys = views.keys() if self.keys and not isinstance(table.game.info.action, Box) else np.full(len(row), -1)
                self.agents[code].submit(request)
            except BrokenView as error:  # that match alone is at fault; ask again for the others
                table.boards.broken[error.row] = str(error)
                table.boards.stop(np.asarray([error.row]))
                self.end(table, np.asarray([error.row]), VOID)
                continue
            self.asked[self.next_id] = _Asked(table, code, row, seat, table.number[row], legal, keys)
            self.next_id += len(row)
            return

    def collect(self, stop: Callable[[], bool]) -> None:
        """Take the answers that are there, and move every row whose seats have all answered."""
        busy = {asked.code for asked in self.asked.values()}
        wait = 0.0
        while self.asked and not stop():
            decisions = [decision for code in busy for decision in self.agents[code].poll(wait)]
            if decisions:
                break
            wait = 0.05
        else:
            return
        touched: dict[int, Table] = {}
        for decision in decisions:
            for base in sorted(self.asked):
                asked = self.asked[base]
                inside = (decision.id >= base) & (decision.id < base + len(asked.row))
                if inside.any():
                    whole = inside.all()
                    self.take(asked, decision.id[inside] - base, decision if whole else decision.take(np.flatnonzero(inside)))
                    touched[id(asked.table)] = asked.table
                    asked.left -= int(inside.sum())
                    if not asked.left:
                        del self.asked[base]
        for table in touched.values():
            self.step(table)

    def take(self, asked: _Asked, place: NDArray[np.int64], decision: Decision) -> None:
        table = asked.table
        row, seat = asked.row[place], asked.seat[place]
        cell = row * table.seats + seat
        fault = np.where((decision.fault == OK) & ~_is_legal(table, decision, asked, place), ILLEGAL, decision.fault)
        current = (table.number[row] == asked.number[place]) & table.waiting[cell]
        if not current.all():  # the match ended while the agent was thinking
            keep = np.flatnonzero(current)
            if not len(keep):
                return
            place, row, seat, cell, fault, decision = place[keep], row[keep], seat[keep], cell[keep], fault[keep], decision.take(keep)
        learn = (table.ply[row] >= table.opening[row]) & (asked.code != GIVEN)
        table.record(row, seat, decision, fault.astype(np.int8), asked.keys[place], learn)
        table.memory[cell] = _objects(decision.memory)
        good = np.flatnonzero(fault == OK)
        table.move[cell[good]] = decision.action[good]
        table.have[cell[good]] = True
        for i in np.flatnonzero(fault).tolist():
            if table.waiting[cell[i]]:  # not so where another seat's fault has just ended the match
                self.faulted(table, int(row[i]), int(seat[i]), int(fault[i]), asked.legal[int(place[i])])

    def faulted(self, table: Table, row: int, seat: int, fault: int, legal: NDArray[np.int64]) -> None:
        """Apply the match's rules to one failed attempt."""
        _, _, match = table.match[row]
        one, cell = np.asarray([row]), row * table.seats + seat
        if fault == OUTAGE:
            table.boards.stop(one)
            self.end(table, one, VOID, replay=True)
        elif table.attempt[cell] < match.rules.retries:
            table.attempt[cell] += 1
            table.fault[cell] = fault
            table.waiting[cell] = False
        elif match.rules.then == "random":
            draw, mover = fold(table.draws[one], FALLBACK, seat, int(table.turn[cell])), np.asarray([seat])
            table.attempt[cell] += 1
            move = Decision(one, at_random(table.boards.views(one, mover), Ragged.of([legal]), draw), np.zeros(1, np.int8), [None])
            table.record(one, mover, move, move.fault, np.asarray([-1]), np.asarray([False]))
            table.move[cell] = move.action[0]
            table.have[cell] = True
        else:
            table.boards.stop(one)
            self.end(table, one, FORFEIT if match.rules.then == "forfeit" else VOID, offender=seat)

    def step(self, table: Table) -> None:
        answered = table.have.reshape(-1, table.seats).sum(1)
        ready = np.flatnonzero((answered > 0) & (answered == table.acting))
        if not len(ready):
            return
        cells = table.cells(ready).reshape(-1)
        cell = cells[table.have[cells]]
        row, seat = np.divmod(cell, table.seats)
        table.have[cell] = False
        table.waiting[cell] = False
        table.attempt[cell] = 0
        table.fault[cell] = 0
        table.turn[cell] += 1
        table.ply[ready] += answered[ready]
        over = table.boards.step(row, seat, table.move[cell])
        cut = np.isin(over, list(table.boards.cut)) if table.boards.cut else np.zeros(len(over), bool)
        for how, rows in ((PLAYED, over[~cut]), (CUT, over[cut])):
            if len(rows):
                self.end(table, rows, how)
        long = ready[(table.ply[ready] >= table.game.info.max_decisions) & (table.number[ready] >= 0)]
        if len(long):
            table.boards.stop(long)
            self.end(table, long, CUT)

    def end(self, table: Table, row: NDArray[np.int64], how: int, *, replay: bool = False, offender: int = -1) -> None:
        self.live -= len(row)
        if replay:
            number, count, match = table.match[int(row[0])]
            if count < REPLAYS:
                self.again.append((number, count + 1, match))
                table.release(row)
                return
        table.end(row, how, offender)


class _Asked:
    """One request on its way: enough to put its answers back."""

    def __init__(self, table: Table, code: int, row: Any, seat: Any, number: Any, legal: Ragged, keys: Any) -> None:
        self.table, self.code, self.row, self.seat, self.number = table, code, row, seat, number
        self.legal, self.keys, self.left = legal, keys, len(row)


def _is_legal(table: Table, decision: Decision, asked: _Asked, place: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which answers are among the legal actions, or fit where there is no list of them."""
    kind, action = open_kind(table.game.info), np.asarray(decision.action)
    all_ = len(place) == len(asked.legal) and (place == np.arange(len(place))).all()
    legal = asked.legal if all_ else asked.legal.take(place)
    if kind is None:
        return _among(action, legal)
    views = table.boards.views(asked.row[place], asked.seat[place])
    if not isinstance(table.game.info.action, Discrete):
        return fit(kind, action, views)
    listed, spoken = np.flatnonzero(legal.lengths), np.flatnonzero(legal.lengths == 0)
    good = np.zeros(len(place), bool)
    good[listed] = _among(action[listed], legal.take(listed))
    good[spoken] = fit(kind, action[spoken], views)
    return good


def _among(action: NDArray[Any], legal: Ragged) -> NDArray[np.bool_]:
    return segment_sum(legal.data == np.repeat(action, legal.lengths), legal.starts) > 0


def _objects(values: Any) -> NDArray[Any]:
    out = np.empty(len(values), object)
    out[:] = values
    return out
