"""Matches for other programs: JSON lines as recorded, a CSV with a row a match and seat, and PGN for chess."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from io import TextIOBase
from pathlib import Path

import numpy as np

from marl_llm.errors import MissingExtra, UserError
from marl_llm.game import Game
from tournaments.results import Result
from tournaments.store import RESULTS


def check(file: Path, game: Game) -> None:
    """UserError where ``file`` cannot be written for want of a known suffix, of a game of chess, or of python-chess."""
    if file.suffix not in WRITERS:
        raise UserError(f"--export {file} ends in {file.suffix or 'nothing'}; expected one of {', '.join(WRITERS)}")
    if file.suffix == ".pgn":
        if game.info.name != "chess":
            raise UserError(f"--export {file} is a file of chess, and the game is {game.info.name}; choose .csv or .jsonl")
        try:
            import chess.pgn  # noqa: F401
        except ImportError:
            raise MissingExtra("--export to .pgn", "chess") from None


def write(file: Path, folder: Path, game: Game) -> None:
    """Write all matches of the tournament in ``folder`` that stand, each once."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="") as out:
        WRITERS[file.suffix](out, folder, game)


def standing(folder: Path) -> Iterator[tuple[Result, str]]:
    """The matches of a tournament's folder that stand, in order of the record, and their lines."""
    seen: set[int] = set()
    with (folder / RESULTS).open("rb") as record:
        for line in record:
            result = Result.parse(line)
            if result.end != "void" and result.id not in seen:
                seen.add(result.id)
                yield result, line.decode()


def _jsonl(out: TextIOBase, folder: Path, game: Game) -> None:
    out.writelines(line for _, line in standing(folder))


def _csv(out: TextIOBase, folder: Path, game: Game) -> None:
    rows = csv.writer(out)
    rows.writerow(["match", "deal", "seat", "agent", "payoff", "end", "turns", "faults"])
    for result, _ in standing(folder):
        for seat, agent in enumerate(result.players):
            faults = " ".join(f"{kind}:{count}" for kind, count in result.faults[seat].items())
            start = [f"{result.id:016x}", result.deal, seat, agent]
            rows.writerow([*start, result.returns[seat], result.end, result.turns[seat], faults])


def _pgn(out: TextIOBase, folder: Path, game: Game) -> None:
    import chess
    import chess.pgn

    words = {1.0: "1-0", 0.0: "1/2-1/2", -1.0: "0-1"}
    for number, (result, _) in enumerate(standing(folder), start=1):
        board = chess.Board()
        white, moves = _told(game, result)
        sheet = chess.pgn.Game()
        names = {"White": result.players[white], "Black": result.players[1 - white]}
        sheet.headers.update({"Event": "marl-llm", "Round": str(number), **names, "Result": words[result.returns[white]]})
        if result.end != "played":
            sheet.headers["Termination"] = {"forfeit": "rules infraction", "cut": "unterminated"}[result.end]
        node: chess.pgn.GameNode = sheet
        for text in moves:
            move = board.parse_san(text)
            node = node.add_variation(move)
            board.push(move)
        print(sheet, file=out, end="\n\n")


def _told(game: Game, result: Result) -> tuple[int, list[str]]:
    """The seat that begins, and the text of every move."""
    boards, row, texts = game.boards(1), np.zeros(1, np.int64), []
    boards.start(row, np.asarray([result.deal], np.uint64))
    first = int(boards.acting()[1][0])
    for action in result.moves:
        seat = boards.acting()[1]
        legal = boards.legal(row, seat)[0].tolist()
        texts.append(boards.views(row, seat).action_texts()[0][legal.index(action)])
        boards.step(row, seat, np.asarray([action]))
    return first, texts


WRITERS: dict[str, Callable[[TextIOBase, Path, Game], None]] = {".jsonl": _jsonl, ".csv": _csv, ".pgn": _pgn}
