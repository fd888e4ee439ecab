"""From a view to prompt tokens, through the model's own chat template, once per distinct view."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marl_llm.game import Game, Seat
from marl_llm.inference.trie import Trie


@dataclass(frozen=True)
class Decision:
    """One decision as the model reads it: prompt tokens, and the trie of legal replies."""

    prompt: NDArray[np.int32]
    trie: Trie


class Chat:
    """Renders decisions in ``state`` mode: the rules as system message, the current view and legal moves as user message."""

    def __init__(self, tokenizer: Any, cache: int = 200_000) -> None:
        self.tokenizer = tokenizer
        self.decision = lru_cache(cache)(self._decision)
        self.reply = lru_cache(cache)(self._reply)
        self.rules = lru_cache(1024)(lambda game, seat: game.rules(seat))

    @property
    def end(self) -> int:
        """The token that ends a reply."""
        return int(self.tokenizer.eos_token_id)

    def messages(self, game: Game, seat: Seat, text: str, moves: tuple[str, ...]) -> list[dict[str, str]]:
        """The conversation that asks for one move."""
        return [
            {"role": "system", "content": self.rules(game, seat)},
            {"role": "user", "content": text},
        ]

    def _decision(self, game: Game, seat: Seat, text: str, moves: tuple[str, ...]) -> Decision:
        chat = self.messages(game, seat, text, moves)
        ids = self.tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=True, return_dict=False)
        return Decision(np.asarray(ids, np.int32), Trie.of([self.reply(move) for move in moves], self.end))

    def _reply(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer.encode(text, add_special_tokens=False))
