"""A person in the terminal: sees what the seat sees, is told the legal moves, and is asked again after anything else."""

from __future__ import annotations

import sys

import numpy as np

from marl_llm.agent import Decision, Immediate, Request, answer


class HumanAgent(Immediate):
    """Reads moves from standard input, as a move's text or its number; the end of input leaves the match."""

    def decide(self, request: Request) -> Decision:
        moves = request.views.action_texts()
        actions = [request.legal[i][self._ask(text, moves[i], int(request.seat[i]))] for i, text in enumerate(request.views.texts())]
        return answer(request, np.asarray(actions))

    def _ask(self, text: str, moves: list[str], seat: int) -> int:
        print(f"\n{text}\nYour move in seat {seat}:", "  ".join(f"[{i}] {move}" for i, move in enumerate(moves)))
        while True:
            print("> ", end="", flush=True)
            line = sys.stdin.readline()
            if not line:
                print()
                raise KeyboardInterrupt
            word = line.strip()
            if word in moves:
                return moves.index(word)
            if word.isascii() and word.isdigit() and int(word) < len(moves):
                return int(word)
            print(f"{word!r} is not a legal move; type one of: {', '.join(moves)}, or its number")
