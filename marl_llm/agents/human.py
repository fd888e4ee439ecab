"""A person in the terminal: sees what the seat sees, is told the legal moves, and is asked again after anything else.

Where there is no list of moves any line is what the seat says, and numbers are a Factored or Box action.
"""

from __future__ import annotations

import sys

from marl_llm.agent import OK, Decision, Immediate, Request, answer
from marl_llm.answers import column, open_kind
from marl_llm.game import Action, Box, Factored, Text
from marl_llm.inference.reply import numbers


class HumanAgent(Immediate):
    """Reads moves from standard input, as a move's text or its number; the end of input leaves the match."""

    def decide(self, request: Request) -> Decision:
        info, moves, seats = request.views.game.info, request.views.action_texts(), request.seat.tolist()
        kind = open_kind(info)
        actions: list[Action] = []
        for i, text in enumerate(request.views.texts()):
            if kind is not None and not moves[i]:
                actions.append(self._open(text, kind, seats[i]))
            else:
                actions.append(int(request.legal[i][self._ask(text, moves[i], seats[i])]))
        return answer(request, column(info, actions))

    def _open(self, text: str, kind: Factored | Box | Text, seat: int) -> Action:
        print(f"\n{text}\nYour answer in seat {seat}:")
        while True:
            line = self._line()
            action, fault = (line, OK) if isinstance(kind, Text) else numbers(line, kind)
            if fault == OK:
                return action
            print(f"{line!r} is not an answer to {kind}")

    def _line(self) -> str:
        print("> ", end="", flush=True)
        line = sys.stdin.readline()
        if not line:
            print()
            raise KeyboardInterrupt
        return line.strip()

    def _ask(self, text: str, moves: list[str], seat: int) -> int:
        print(f"\n{text}\nYour move in seat {seat}:", "  ".join(f"[{i}] {move}" for i, move in enumerate(moves)))
        while True:
            word = self._line()
            if word in moves:
                return moves.index(word)
            if word.isascii() and word.isdigit() and int(word) < len(moves):
                return int(word)
            print(f"{word!r} is not a legal move; type one of: {', '.join(moves)}, or its number")
