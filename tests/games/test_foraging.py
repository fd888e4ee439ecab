"""Level-based foraging keeps the contract, agrees with its package, and is refused in one line without it."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from marl_llm import registry
from marl_llm.errors import MissingExtra

optional = pytest.mark.pettingzoo


def test_without_its_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lbforaging", None)
    monkeypatch.setitem(sys.modules, "lbforaging.foraging", None)
    monkeypatch.delitem(sys.modules, "games.foraging", raising=False)
    with pytest.raises(MissingExtra, match=r"'foraging' needs the extra 'foraging': pip install 'marl-llm\[foraging\]'"):
        registry.game("foraging")


@optional
@pytest.mark.parametrize("spec", ["foraging", "foraging(size=5,seats=3,food=2,sight=2,steps=9,coop=True)"])
def test_keeps_the_contract(spec: str) -> None:
    from marl_llm.check import check_game

    check_game(registry.game(spec), matches=3).require()


@optional
def test_plays_as_the_package_does() -> None:
    import gymnasium
    import lbforaging  # noqa: F401

    game, rng = registry.game("foraging"), np.random.default_rng(0)
    loaded = 0.0
    for seed in range(10):
        env = gymnasium.make("Foraging-8x8-2p-3f-v3", disable_env_checker=True).unwrapped
        theirs, _ = env.reset(seed=seed)
        state, total, done = game.start(seed), 0.0, False
        while not done:
            np.testing.assert_array_equal(state.view(1).vector, theirs[1])
            moves = {seat: int(rng.choice(state.legal(seat))) for seat in range(2)}
            moves = {seat: 5 if 5 in state.legal(seat) else move for seat, move in moves.items()}
            theirs, rewards, done, *_ = env.step([moves[0], moves[1]])
            state.apply(moves)
            total += sum(rewards)
            assert state.returns() == (pytest.approx(total),) * 2
            assert bool(state.to_act()) != done
        assert state.cut() == (total < 1 - 1e-9)
        loaded += total
    assert loaded > 1
