"""``python tests/golden/regenerate.py`` writes a playthrough of every built-in game; tests compare with what is stored.

A playthrough is one random match with everything that can be seen of it. A change of rules, texts, keys, chance or
numbers shows as a difference; where it is meant, run this and commit the files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from marl_llm import registry
from marl_llm.answers import WORDS, at_random, column
from marl_llm.boards import StateBoards
from marl_llm.game import Box
from marl_llm.seeding import fold, uniform

HERE = Path(__file__).parent
GAMES = {
    "kuhn_poker": ("kuhn_poker", 2),
    "kuhn_poker_3": ("kuhn_poker(players=3)", 5),
    "leduc_poker": ("leduc_poker", 3),
    "tic_tac_toe": ("tic_tac_toe", 1),
    "connect_four": ("connect_four", 1),
    "tiny_hanabi": ("tiny_hanabi", 1),
    "matrix": ("matrix(payoffs=climbing)", 1),
    "matrix_repeated": ("matrix(payoffs=rps,rounds=3,memory=1)", 2),
    "two_step": ("two_step", 1),
    "coordination": ("coordination(seats=3,rounds=3)", 1),
    "congestion": ("congestion(seats=3)", 1),
    "trash_grid": ("trash_grid(size=5,seats=2,small=2,big=1,steps=6)", 3),
    "rooms": ("rooms(size=5,seats=2,steps=6)", 1),
    "aggregation": ("aggregation(seats=2,noise=0.5)", 1),
    "vicsek": ("vicsek(seats=2)", 1),
    "kuramoto": ("kuramoto(seats=2)", 1),
    "squeeze": ("squeeze(seats=3,mu=12,sigma=6,rounds=2)", 1),
    "ising": ("ising(side=2,rounds=2)", 1),
    "talk": ('talk(game="matrix(payoffs=prisoners_dilemma,rounds=2)")', 1),
    "negotiation": ("negotiation(seats=3,turns=1)", 1),
    "public_goods": ("public_goods(seats=3,mpcr=0.5,levels=2,rounds=2)", 1),
    "public_goods_threshold": ("public_goods(seats=3,mpcr=0.6,levels=4,threshold=1.5,penalty=1.5)", 2),
    "public_goods_in_turn": ("public_goods(seats=3,mpcr=0.6,levels=4,observe=full,synergy=1.5,cost=quadratic)", 1),
    "public_goods_partial": ("public_goods(seats=3,mpcr=0.6,levels=2,rounds=2,observe=partial,threshold=2,benefit=1)", 1),
    "public_goods_fines": ("public_goods(seats=3,mpcr=0.6,levels=2,rounds=2,fine=0.3)", 1),
}


def playthrough(spec: str, seed: int) -> str:
    """One random match as text."""
    game = registry.game(spec)
    lines = [
        f"game: {spec}",
        f"seed: {seed}",
        f"info: {game.info}",
        *(f"rules {seat}: {game.rules(seat)}" for seat in range(game.info.seats)),
    ]
    boards = StateBoards(game, 1)
    boards.start(np.asarray([0]), np.asarray([seed], np.uint64))
    for ply in range(game.info.max_decisions + 1):
        lines.append(f"\n# {ply}\nreturns: {_numbers(boards.returns(np.asarray([0]))[0])}")
        row, seat = boards.acting()
        if not len(row):
            break
        views, legal = boards.views(row, seat), boards.legal(row, seat)
        keys = [views.codes[code] for code in views.keys().tolist()]
        vectors = None if game.info.vector is None else views.vectors()
        choices = [legal[i].tolist() or WORDS for i in range(len(row))]
        moves = [choice[int(share * len(choice))] for choice, share in zip(choices, uniform(seed, ply, seat), strict=True)]
        if isinstance(game.info.action, Box):
            moves = [action.tolist() for action in at_random(views, legal, fold(seed, ply, seat))]
        for i, (actor, key, text, actions) in enumerate(zip(seat.tolist(), keys, views.texts(), views.action_texts(), strict=True)):
            lines += [f"seat {actor} key: {key!r}", f"text: {text!r}"]
            lines += [] if vectors is None else [f"vector: {_numbers(vectors[i])}"]
            lines += [f"legal: {legal[i].tolist()} {actions}", f"plays: {moves[i]}"]
        boards.step(row, seat, column(game.info, moves))
    return "\n".join(lines) + "\n"


def _numbers(values: Any) -> str:
    return " ".join(f"{value:.6g}" for value in np.asarray(values).ravel().tolist())


if __name__ == "__main__":
    for name, (spec, seed) in GAMES.items():
        (HERE / f"{name}.txt").write_text(playthrough(spec, seed))
        print(HERE / f"{name}.txt")
