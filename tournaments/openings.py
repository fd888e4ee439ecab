"""Opening lists: matches that begin where a line of moves leads, so that agents without luck do not play one match over and over.

A line of the file is an opening: its moves in order of play as players write them, separated by spaces, or a JSON list, of
texts that have spaces or of the actions' numbers. Empty lines and those that begin with # are left out.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from marl_llm.errors import UserError
from marl_llm.game import Discrete, Game
from marl_llm.matches import deal_seed

DEALS = 32
"""Deals on which an opening is tried, where chance may make a move illegal."""


def read(file: Path, game: Game, seed: int) -> tuple[tuple[tuple[int, ...], ...], ...]:
    """The openings in ``file``, each as the first moves of every seat. UserError names the line with a move that is not there."""
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read --openings {file}: {error}") from error
    if not isinstance(game.info.action, Discrete) or game.info.simultaneous:
        raise UserError(f"--openings {file}: {game.info.name} has no line of moves; openings are for Discrete actions, one seat at a time")
    told = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1)]
    told = [(number, line) for number, line in told if line and not line.startswith("#")]
    if not told:
        raise UserError(f"--openings {file} has no opening; expected a line of moves for each")
    return tuple(_histories(game, _moves(line, f"{file} line {number}"), seed, f"{file} line {number}") for number, line in told)


def _moves(line: str, where: str) -> list[str | int]:
    if not line.startswith("["):
        return [*line.split()]
    try:
        return list(json.loads(line))
    except ValueError as error:
        raise UserError(f"--openings {where} is not a JSON list: {error}") from error


def _histories(game: Game, moves: list[str | int], seed: int, where: str) -> tuple[tuple[int, ...], ...]:
    """The moves of every seat; the same on every deal that is tried."""
    found = {_walked(game, moves, deal_seed(seed, k), where) for k in range(DEALS)}
    if len(found) > 1:
        raise UserError(f"--openings {where} means other moves on another deal; give the moves by number")
    return found.pop()


def _walked(game: Game, moves: list[str | int], seed: int, where: str) -> tuple[tuple[int, ...], ...]:
    boards, row = game.boards(1), np.zeros(1, np.int64)
    boards.start(row, np.asarray([seed], np.uint64))
    history: list[list[int]] = [[] for _ in range(game.info.seats)]
    for number, move in enumerate(moves, start=1):
        seat = boards.acting()[1]
        if not len(seat):
            raise UserError(f"--openings {where}: the match is over before move {number}, {move!r}; shorten it")
        legal = boards.legal(row, seat)[0].tolist()
        texts = list(boards.views(row, seat).action_texts()[0])
        known: list[Any] = texts if isinstance(move, str) else legal
        if move not in known:
            raise UserError(f"--openings {where}: move {number}, {move!r}, is not legal; expected one of {', '.join(map(str, known[:12]))}")
        action = legal[known.index(move)]
        history[seat[0]].append(action)
        boards.step(row, seat, np.asarray([action]))
    if not len(boards.acting()[1]):
        raise UserError(f"--openings {where} ends the match; leave something to play")
    return tuple(map(tuple, history))
