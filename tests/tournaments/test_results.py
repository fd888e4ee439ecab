"""Columns of results against plain dictionaries."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from marl_llm.agent import FAULTS
from marl_llm.records import ENDS
from tournaments.results import Result, Results

NAMES = ("a", "b", "c")
one = st.builds(
    Result,
    id=st.integers(0, 6) | st.just(2**64 - 1),
    deal=st.integers(0, 3),
    players=st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)),
    returns=st.tuples(st.floats(-5, 5), st.floats(-5, 5)),
    end=st.sampled_from(ENDS),
    turns=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    faults=st.tuples(*(st.dictionaries(st.sampled_from(FAULTS[1:]), st.integers(1, 3), max_size=2) for _ in range(2))),
    moves=st.just(()),
    error=st.none() | st.sampled_from(["broken", "view"]),
)


def told(results):
    """Every match as a tuple that compares."""
    faults = {}
    for row, seat, kind, count in results.faults.tolist():
        faults.setdefault(row, []).append((seat, kind, count))
    columns = zip(results.id.tolist(), results.deal.tolist(), results.seats(NAMES).tolist(), results.returns.tolist(), strict=True)
    more = zip(results.end.tolist(), results.turns.tolist(), strict=True)
    errors = dict(results.errors)
    return [
        (*columns_, *more_, sorted(faults.get(row, [])), errors.get(row))
        for row, (columns_, more_) in enumerate(zip(columns, more, strict=True))
    ]


def expected(result):
    faults = sorted((seat, FAULTS.index(kind), count) for seat, mine in enumerate(result.faults) for kind, count in mine.items())
    seats = [NAMES.index(name) for name in result.players]
    return (result.id, result.deal, seats, list(result.returns), ENDS.index(result.end), list(result.turns), faults, result.error)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(one, max_size=6), min_size=1, max_size=4))
def test_parts_join_and_every_match_counts_once(parts):
    joined = Results.concat([Results.of(part, 2) for part in parts])
    every = [result for part in parts for result in part]
    assert told(joined) == [expected(result) for result in every]
    standing = {}
    for result in every:  # the first that stands, or the first void
        if result.id not in standing or (standing[result.id].end == "void" != result.end):
            standing[result.id] = result
    order = sorted(standing.values(), key=lambda result: (result.deal, result.id))
    assert told(joined.settled()) == [expected(result) for result in order]
    assert len(np.unique(joined.settled().id)) == len(standing)
