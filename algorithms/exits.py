"""Serial groups (S-GRPO; Dai et al. 2025, arXiv 2505.07686): a match is left early at some turns; the earliest exit that wins earns most.

In the paper a chain of thought is cut at random places, and the model told to answer at once. The reading here is early commitment: from
an exit on the seat decides once more and then makes the same move, where it can, to the end of the match. What it decides at the exit is
learned from; the moves before are given, and learned from in the whole match alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf

import numpy as np

from algorithms.forks import Played
from algorithms.groups import group_of, learning
from algorithms.parts import PLAYER, Memory, OutcomeTransform, Sampler
from algorithms.samplers import Around, Groups, as_player
from marl_llm.agent import Agent, Decision, Immediate, Request, answer
from marl_llm.agents.talking import TalkingAgent
from marl_llm.algorithm import Setup, Unsuitable
from marl_llm.errors import within
from marl_llm.matches import Match
from marl_llm.ragged import segment_sum
from marl_llm.records import Batch
from marl_llm.seeding import uniform

TAG, COMMITTED = "exit", f"{PLAYER}:committed"
LOT = 9  # name of a random stream
ONE_EACH = Groups(size=1)


class Committed(Immediate):
    """Decides once in a match as ``agent`` does, and makes that move again at all later turns; where it cannot, the first legal one."""

    def __init__(self, agent: Immediate) -> None:
        super().__init__()
        self.agent = agent

    def submit(self, request: Request) -> None:
        fresh = np.asarray([memory is None for memory in request.memory], bool)
        if fresh.any():
            asked = request.take(np.flatnonzero(fresh))
            decided = self.agent.decide(asked)
            self._done.append(replace(decided, memory=[(move,) for move in decided.action.tolist()]))
        if not fresh.all():
            self._done.append(self._again(request.take(np.flatnonzero(~fresh))))

    def _again(self, request: Request) -> Decision:
        move = np.asarray([memory[0] for memory in request.memory])
        hit = request.legal.data == np.repeat(move, request.legal.lengths)
        can = segment_sum(hit, request.legal.starts) > 0
        return answer(request, np.where(can, move, request.legal.at(np.zeros(len(request), np.int64))), memory=request.memory)


@dataclass(frozen=True, kw_only=True)
class Exits(Around):
    """The sampler; ``inner`` plans the whole matches, one a deal."""

    inner: Sampler = ONE_EACH
    exits: int = 4
    """Turns of a seat at which its match is left, drawn among all but its last."""

    def __post_init__(self) -> None:
        within("sampler", self, 1, inf, "exits")

    def companions(self, agent: Agent) -> Mapping[str, Agent]:
        decider = agent.chooser if isinstance(agent, TalkingAgent) else agent
        if not isinstance(decider, Immediate):
            raise Unsuitable("exits need a player that decides at once: a table, or a language model with --language.reply choose")
        return {COMMITTED: Committed(decider)}

    def react(self, ended: Batch, step: int, setup: Setup, memory: Memory) -> Sequence[Match]:
        if (ended.tag(TAG) != "").any():
            return ()
        played, seat_of, match = Played.of(ended), ended.up("turn", "seat"), ended.up("turn", "match")
        last = np.r_[seat_of[1:] != seat_of[:-1], True]
        turns = np.flatnonzero(ended["turn.learn"].astype(bool) & (ended["turn.fault"] == 0) & ~last)
        lot = uniform(ended["match.id"][match[turns]], LOT, ended["turn.seat"][turns], ended["turn.index"][turns])
        more: list[Match] = []
        order = turns[np.lexsort((lot, seat_of[turns]))]
        begins = np.unique(seat_of[order], return_index=True)[1]
        for first, after in zip(begins.tolist(), [*begins[1:].tolist(), len(order)], strict=True):
            for turn in sorted(order[first : min(after, first + self.exits)].tolist()):
                seat, ply = int(ended["turn.seat"][turn]), int(ended["turn.ply"][turn])
                told = {TAG: str(int(ended["turn.index"][turn]))}
                fork = played.fork(int(match[turn]), ply, sample=len(more), tags=told, learn=frozenset({seat}))
                if fork.players[seat] == PLAYER:  # and no past policy whose turns are replayed
                    more.append(replace(fork, players=tuple(COMMITTED if s == seat else name for s, name in enumerate(fork.players))))
        return more

    def accept(self, batch: Batch, memory: Memory) -> Batch:
        """Of an exit only the first decision is learned from; its matches count as the player's own."""
        learn, seat = batch["turn.learn"].astype(bool), batch.up("turn", "seat")
        before = np.concatenate([[0], np.cumsum(learn)])
        first = before[:-1] - before[batch.starts["turn"][:-1][seat]] == 0
        committed = (np.asarray(batch.tables["player"]) == COMMITTED)[batch["seat.player"]]
        learn &= first | ~committed[seat]
        return super().accept(as_player(batch.with_columns(**{"turn.learn": learn}), COMMITTED), memory)


@dataclass(frozen=True, kw_only=True)
class Decaying(OutcomeTransform):
    """The outcome of the k-th winning trajectory of a seat on a deal becomes 2^(1 - k), counted from the earliest exit to the whole match;
    that of all others 0."""

    def channels(self, batch: Batch, units: Mapping[str, float], memory: Memory) -> Batch:
        order = np.asarray([float(told) if told else np.inf for told in batch.tag(TAG)])[batch.up("seat", "match")]
        group, won = group_of(batch, "seat", ("deal", "seat")), learning(batch) & (batch["seat.outcome"] > 0)
        rows = np.lexsort((order, group))
        total = np.concatenate([[0], np.cumsum(won[rows])])
        first = np.unique(group[rows], return_index=True)[1]
        k = np.empty(len(rows))
        k[rows] = total[1:] - np.repeat(total[first], np.diff(np.append(first, len(rows))))
        return batch.with_columns(**{"seat.outcome": np.where(won, 2.0 ** (1 - k), 0.0)})
