"""Vectors of whole boards are the tensors that OpenSpiel gives state by state."""

import numpy as np
import pytest

from games.openspiel.boards import SpielBoards
from games.openspiel.game import OpenSpiel


@pytest.mark.parametrize("name", ["connect_four", "chess", "liars_dice", "universal_poker", "backgammon", "python_liars_poker"])
def test_vectors_are_openspiels_tensors(name):
    game = OpenSpiel(name)
    boards = SpielBoards(game, 6)
    boards.start(np.arange(6), np.arange(6, dtype=np.uint64))
    for turn in range(6):
        row, seat = boards.acting()
        if not len(row):
            break
        vectors = boards.views(row, seat).vectors()
        expected = [getattr(boards.states[r], game.tensor)(s) for r, s in zip(row.tolist(), seat.tolist(), strict=True)]
        assert vectors.shape == (len(row), *game.info.vector)
        assert (vectors == np.asarray(expected, np.float32)).all()
        legal = boards.legal(row, seat)
        boards.step(row, seat, legal.at((row + turn) % legal.lengths))
