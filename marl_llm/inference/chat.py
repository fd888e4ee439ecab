"""From a view to prompt tokens, through the model's own chat template."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marl_llm.boards import Views
from marl_llm.errors import UserError
from marl_llm.game import Game, Seat
from marl_llm.inference.reply import CLOSE, OPEN
from marl_llm.inference.trie import Trie
from marl_llm.ragged import Ragged

Past = tuple[tuple[str, str], ...]
"""A seat's earlier turns of a match: what it read, and what it did: ``played bet`` or ``said "hello"``."""
MARK = "REPLY"
"""Stands for a reply where the template's words around it are looked for."""


EXAMPLES = (("left", "right"), ("c3", "b2", "a1"))
"""Moves of no game, of which the last is shown as chosen. Of a small pretrained model's replies none is well-formed without them."""


@dataclass(frozen=True)
class Decision:
    """One decision as the model reads it: prompt tokens, and the trie of legal replies."""

    prompt: NDArray[np.int32]
    trie: Trie


class Chat:
    """Renders decisions: the rules as system message, the current view (after the seat's own ``past``, if given) as user message.

    Where the model answers ``free``ly it is told the legal moves in the form of answers, after examples of no game. A template
    that knows no system message gets the rules at the head of the user's. ``notes`` follow the rules, see ``Speech``.
    """

    def __init__(self, tokenizer: Any, *, free: bool = False, notes: tuple[str, ...] = (), cache: int = 200_000) -> None:
        """UserError for a tokenizer without a chat template, or without a token that ends a reply."""
        if tokenizer.chat_template is None:
            raise UserError(f"the model {tokenizer.name_or_path!r} has no chat template; expected an instruction-tuned model's folder")
        self.tokenizer, self.free, self.notes = tokenizer, free, notes
        self.remarks: Callable[[Views, NDArray[np.int64], Ragged], list[str]] | None = None
        """What is told after each view, from views, seats and legal moves; such as what a seat knows of its moves from elsewhere."""
        self.decision = lru_cache(cache)(self._decision)
        self.reply = lru_cache(cache)(self._reply)
        self.more = lru_cache(cache)(self._more)
        self.rules = lru_cache(1024)(lambda game, seat: game.rules(seat))

    def tell(self, notes: tuple[str, ...]) -> None:
        """Decisions are rendered with these notes from now on."""
        self.notes = notes
        self.decision.cache_clear()

    @property
    def end(self) -> int:
        """The token that ends a legal reply."""
        return self.ends[0]

    @cached_property
    def ends(self) -> tuple[int, ...]:
        """Tokens that end a reply: the one that the template writes after it, and the tokenizer's own where that is another."""
        after = self._after(self._text([{"role": "user", "content": "A"}, {"role": "assistant", "content": MARK}], ask=False)).lstrip()
        first = self.tokenizer.encode(after, add_special_tokens=False)[:1] if after else []
        special = [token for token in first if token in self.tokenizer.all_special_ids or token in self.tokenizer.added_tokens_decoder]
        own = self.tokenizer.eos_token_id
        if own is None and not special:
            raise UserError(f"the model {self.tokenizer.name_or_path!r} has no token that ends a reply; set its tokenizer's eos_token")
        return tuple(dict.fromkeys(special if own is None else [*special, int(own)]))

    @cached_property
    def system(self) -> bool:
        """Whether the template has a system message and shows it."""
        try:
            return MARK in self._text([{"role": "system", "content": MARK}, {"role": "user", "content": "A"}])
        except Exception:  # templates refuse a system message by an error of their own
            return False

    @cached_property
    def special(self) -> re.Pattern[str]:
        """The words of the tokenizer's special tokens."""
        words = {token.content for token in self.tokenizer.added_tokens_decoder.values() if token.special}
        return re.compile("|".join(re.escape(word) for word in sorted(words, key=lambda word: (-len(word), word))) or "(?!)")

    def messages(self, game: Game, seat: Seat, text: str, moves: tuple[str, ...], past: Past = ()) -> list[dict[str, str]]:
        """The conversation that asks for one move."""
        asks = [self.question(f"{read}\nYou {done}.", ()) for read, done in past]
        note = self.notes[seat] if seat < len(self.notes) else ""
        talk = [{"role": "system", "content": f"{self.rules(game, seat)}\n\n{note}" if note else self.rules(game, seat)}]
        for shown in EXAMPLES if self.free else ():
            talk += [{"role": "user", "content": self.question("", shown).strip()}, {"role": "assistant", "content": _answer(shown[-1])}]
        talk.append({"role": "user", "content": "\n\n".join([*asks, self.question(text, moves)])})
        if self.system:
            return talk
        return [{"role": "user", "content": f"{talk[0]['content']}\n\n{talk[1]['content']}"}, *talk[2:]]

    def question(self, text: str, moves: tuple[str, ...]) -> str:
        """What the seat reads at one turn. What others said may have the words of special tokens in it; these become blanks."""
        text = self.special.sub(" ", text)
        if not self.free or not moves:
            return text
        return f"{text}\nAnswer with one of: {', '.join(map(_answer, moves))}"

    def _decision(self, game: Game, seat: Seat, text: str, moves: tuple[str, ...], past: Past = ()) -> Decision:
        ids = self._ids(self._text(self.messages(game, seat, text, moves, past)))
        return Decision(ids, self.trie(moves))

    def trie(self, moves: tuple[str, ...]) -> Trie:
        """The legal replies."""
        return Trie.of([self.reply(move) for move in moves], self.end)

    def _more(self, text: str, moves: tuple[str, ...]) -> NDArray[np.int32]:
        """Tokens that go on a conversation after a reply and the token that ended it: the template's own words, and the next
        question. What was said before is neither rendered nor tokenised again."""
        talk = [
            {"role": "user", "content": "A"},
            {"role": "assistant", "content": MARK},
            {"role": "user", "content": self.question(text, moves)},
        ]
        after = self._after(self._text(talk)).lstrip()
        ended = next((word for word in self.tokenizer.batch_decode([[end] for end in self.ends]) if word and after.startswith(word)), "")
        return self._ids(after[len(ended) :])

    def _text(self, messages: list[dict[str, str]], *, ask: bool = True) -> str:
        return str(self.tokenizer.apply_chat_template(messages, add_generation_prompt=ask, tokenize=False))

    @staticmethod
    def _after(text: str) -> str:
        return text[text.rfind(MARK) + len(MARK) :]

    def _ids(self, text: str) -> NDArray[np.int32]:
        return np.asarray(self.tokenizer.encode(text, add_special_tokens=False), np.int32)

    def _reply(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer.encode(text, add_special_tokens=False))


def _answer(move: str) -> str:
    return f"{OPEN}{move}{CLOSE}"
