"""Openings: half of their moves are random and none is learned from; by seat where nothing is hidden, by move where cards are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from marl_llm.agent import Immediate, Request
from marl_llm.matches import self_play
from tests.test_play import Pool, run


def test_openings_are_random_and_never_learned_from() -> None:
    plain = run(self_play("tic_tac_toe", "minimax", 2, 60, 6))
    opened = run(self_play("tic_tac_toe", "minimax", 2, 60, 6, opening=2))
    early = opened["turn.ply"] < 2
    assert early.sum() == 120
    assert not opened["turn.learn"][early].any()
    assert opened["turn.learn"][~early].all()
    assert plain["turn.learn"].all()
    assert len(set(opened["turn.action"][opened["turn.ply"] == 0].tolist())) == 9
    assert (plain["seat.return"] == 0).all()  # perfect play draws; random openings lose some
    assert (opened["seat.return"] != 0).any()


class First(Immediate):
    """Always the first legal move."""

    def policy(self, request: Request) -> Any:
        chosen = np.zeros(len(request.legal.data))
        chosen[request.legal.starts[:-1]] = 1
        return replace(request.legal, data=chosen)


def test_half_of_an_opening_is_the_player_s_own() -> None:
    """Of 2,000 first moves the player's only one is played in 1/2 + 1/2 x 1/9 of cases, within five standard deviations."""
    opened = run(self_play("tic_tac_toe", "first", 2, 2000, 6, opening=1), pool=Pool(first=First))
    own = (opened["turn.action"][opened["turn.ply"] == 0] == 0).mean()
    assert own == pytest.approx(5 / 9, abs=5 * (20 / 81 / 2000) ** 0.5)


def test_where_nothing_is_hidden_a_seat_opens_at_random_all_the_way_or_not_at_all() -> None:
    """The first seat's first two moves are both its own in 1/2 + 1/2 x 1/9 x 1/7 of openings; 0.32 if every move were drawn alone."""
    opened = run(self_play("tic_tac_toe", "first", 2, 2000, 6, opening=4), pool=Pool(first=First))
    moves, ply, match = opened["turn.action"], opened["turn.ply"], opened.up("turn", "match")
    first, reply, second = (moves[ply == k][np.argsort(match[ply == k])] for k in range(3))
    lowest = np.where(reply == 1, 2, 1)  # free once 0 and the reply are taken
    both = ((first == 0) & (second == lowest)).mean()
    expected = 0.5 + 0.5 / 63
    assert both == pytest.approx(expected, abs=5 * (expected * (1 - expected) / 2000) ** 0.5)


def test_where_cards_are_hidden_every_move_of_an_opening_is_drawn_alone() -> None:
    """ "first" always passes, and passes once and again at the third decision in (3/4 x 3/4) of the matches that come to it."""
    opened = run(self_play("kuhn_poker", "first", 2, 8000, 6, opening=3), pool=Pool(first=First))
    moves, ply, match = opened["turn.action"], opened["turn.ply"], opened.up("turn", "match")
    third = np.isin(match, match[ply == 2])
    assert (third & (ply == 2)).sum() > 1000
    assert (moves[third & (ply == 2)] == 0).mean() == pytest.approx(0.75, abs=0.06), "0.83 if a seat opened alike all the way"
