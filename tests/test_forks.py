"""Matches that begin where another one was, seats with a stream of their own, and what a match is called by."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from marl_llm import registry
from marl_llm.agents.pool import AgentPool
from marl_llm.matches import Match, self_play
from marl_llm.play import play
from marl_llm.records import Batch


def test_a_fork_goes_on_from_where_its_history_leads():
    """The same cards and moves as in the match it forks; new draws; the moves that were given are nobody's to learn from."""
    spec = "leduc_poker"
    whole = Batch.concat(play(self_play(spec, "random", 2, 64, 3), AgentPool(), registry.game))
    forks, kept = [], []
    for i in range(len(whole)):
        own = [whole["turn.action"][a:b].tolist() for a, b in zip(*(whole.starts["turn"][i * 2 :][k : k + 2] for k in (0, 1)), strict=True)]
        seed, players = int(whole["match.seed"][i]), ("random", "random")
        forks.append(Match(game=spec, seed=seed, players=players, learn=frozenset({0, 1}), sample=1, history=(tuple(own[0][:1]), ())))
        kept.append(own[0][0])
    batch = Batch.concat(play(forks, AgentPool(), registry.game))
    first = batch.starts["turn"][::2][:64]
    assert batch["turn.action"][first].tolist() == kept
    assert (~batch["turn.learn"]).sum() == 64
    assert not batch["turn.learn"][first].any()
    keys = [[one.tables["key"][code] for code in one["turn.key"][one.starts["turn"][::2][:64]]] for one in (whole, batch)]
    assert keys[0] == keys[1], "the same hand"
    assert batch["seat.return"].tolist() != whole["seat.return"].tolist()
    assert len({match.id for match in forks} | set(whole["match.id"].tolist())) == 128
    full = [replace(match, history=tuple(tuple(row) for row in rows)) for match, rows in zip(forks, histories(whole), strict=True)]
    again = Batch.concat(play(full, AgentPool(), registry.game))
    assert again["seat.return"].tolist() == whole["seat.return"].tolist()
    assert not again["turn.learn"].any()


def histories(batch: Batch) -> list[list[list[int]]]:
    """Of every match every seat's moves."""
    rows = [batch["turn.action"][a:b].tolist() for a, b in zip(batch.starts["turn"][:-1], batch.starts["turn"][1:], strict=True)]
    return [rows[i : i + 2] for i in range(0, len(rows), 2)]


def test_a_stream_draws_alike_whoever_it_meets():
    """Candidates of a deal, each against each: a candidate's first move is the same in all of its matches in a seat."""
    spec, streams = "leduc_poker", range(6)
    matches = [
        Match(game=spec, seed=seed, players=("random", "random"), streams=(i, j))
        for seed in range(8)
        for i in streams
        for j in streams
        if i != j
    ]
    batch = Batch.concat(play(matches, AgentPool(), registry.game))
    first: dict[tuple[int, int], set[int]] = {}
    for match, row in zip(matches, batch.starts["turn"][::2], strict=False):
        first.setdefault((match.seed, match.streams[0]), set()).add(int(batch["turn.action"][row]))
    assert all(len(moves) == 1 for moves in first.values())
    assert len({tuple(first[seed, i]) for seed in range(8) for i in streams}) == 2, "and candidates differ"
    with pytest.raises(ValueError, match="gives 1 streams; expected one a seat"):
        list(play([replace(matches[0], streams=(1,))], AgentPool(), registry.game))


def test_tags_and_samples_are_recorded():
    matches = [
        replace(match, tags={"arm": arm}, sample=k)
        for k, arm in enumerate(("a", "b", "a"))
        for match in self_play("kuhn_poker", "random", 2, 2, k)
    ]
    batch = Batch.concat(play([*matches, *self_play("leduc_poker", "random", 2, 1, 0)], AgentPool(), registry.game, in_flight=3))
    order = np.argsort(batch["match.plan"])
    assert batch.tag("arm")[order].tolist() == ["a", "a", "b", "b", "a", "a", ""]
    assert batch["match.sample"][order].tolist() == [0, 0, 1, 1, 2, 2, 0]
