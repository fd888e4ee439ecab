"""A language model that answers in its own words; the move is read out of the reply.

Replies are recorded as sampled: every token with its log-probability under the whole vocabulary (its support is left empty).
A reply without a legal move is a fault with its tokens, so that form can be learned too. Where a seat has no list of legal
moves the reply is what it says, or gives the numbers of a Factored or Box action.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marl_llm.agent import Decision, Request
from marl_llm.agents.language import decisions_of, remembered, save_speaker
from marl_llm.answers import column, nothing, open_kind, plain
from marl_llm.game import Action, Box, Factored, Text
from marl_llm.inference.chat import Chat
from marl_llm.inference.chat import Decision as Prompted
from marl_llm.inference.decoder import Decoder, Spoken
from marl_llm.inference.reply import read_open, read_reply
from marl_llm.inference.sampling import PLAIN, Sampling
from marl_llm.inference.speech import Speech
from marl_llm.ragged import Ragged


@dataclass(frozen=True)
class _Asked:
    """A request whose rows are speaking: distinct decisions, and which one is every row's."""

    request: Request
    decisions: list[Prompted]
    of: NDArray[np.int64]


class FreeAgent:
    """A causal language model of transformers with its tokenizer. ``version`` counts the updates of its weights."""

    def __init__(self, model: Any, tokenizer: Any, speech: Speech) -> None:
        self.model, self.tokenizer, self.speech = model.eval(), tokenizer, speech
        self.chat = Chat(tokenizer, free=speech.reply == "free", notes=speech.notes)
        self.version = 0
        self.decoder = Decoder(model, self.chat.ends)
        self._asked: dict[int, tuple[_Asked, int]] = {}
        self._next = 0

    def updated(self) -> None:
        """The weights have changed. ValueError while replies are under way: they would be of two versions."""
        if len(self.decoder):
            raise ValueError(f"{len(self.decoder)} replies are under way; update the weights between matches")
        self.version += 1

    def told(self, notes: tuple[str, ...]) -> None:
        """Other notes from now on, see ``Speech``."""
        self.speech = replace(self.speech, notes=notes)
        self.chat.tell(notes)

    def policy(self, request: Request) -> Ragged:
        raise TypeError("a language model that answers freely has no policy over the legal actions, so it cannot be evaluated exactly")

    def submit(self, request: Request, sampling: Sequence[Sampling] | None = None, limits: Sequence[int] | None = None) -> None:
        """``sampling`` and ``limits`` (most tokens) are of every row's reply, where they are not as the speech has them."""
        asked = _Asked(request, *decisions_of(self.chat, self.speech, request))
        kind = open_kind(request.views.game.info)
        most = self.speech.max_new
        limit = np.where(request.legal.lengths == 0, min(most, kind.max_tokens) if isinstance(kind, Text) else most, most)
        limit = limit if limits is None else np.minimum(limit, limits)
        ways = sampling or [PLAIN] * len(request)
        for row, (k, seed) in enumerate(zip(asked.of.tolist(), request.seed.tolist(), strict=True)):
            self.decoder.submit(self._next, asked.decisions[k].prompt, seed, int(limit[row]), ways[row])
            self._asked[self._next] = asked, row
            self._next += 1

    def poll(self, wait_s: float) -> Sequence[Decision]:
        """Speak until some replies are complete."""
        done: list[Spoken] = []
        while len(self.decoder) and not done:
            done = self.decoder.step()
        groups: dict[int, tuple[_Asked, list[tuple[int, Spoken]]]] = {}
        for spoken in done:
            asked, row = self._asked.pop(spoken.id)
            groups.setdefault(id(asked), (asked, []))[1].append((row, spoken))
        return [self._answer(asked, rows) for asked, rows in groups.values()]

    def _answer(self, asked: _Asked, rows: list[tuple[int, Spoken]]) -> Decision:
        request, said = asked.request.take(np.asarray([row for row, _ in rows])), [spoken for _, spoken in rows]
        of = asked.of[[row for row, _ in rows]]
        texts = self.tokenizer.batch_decode([spoken.tokens for spoken in said], skip_special_tokens=True)
        moves = request.views.action_texts()
        info = request.views.game.info
        read = [
            _read(text, legal, request.legal[i].tolist(), open_kind(info), spoken.ended)
            for i, (text, legal, spoken) in enumerate(zip(texts, moves, said, strict=True))
        ]
        fault = np.asarray([why for _, _, why in read], np.int8)
        tokens = Ragged.of([spoken.tokens for spoken in said], np.int32)
        prompts = [asked.decisions[k].prompt for k in of.tolist()]
        record: dict[str, NDArray[Any] | Ragged] = {
            "token.id": tokens,
            "token.logp": Ragged.of([spoken.logp for spoken in said], np.float32),
            "token.learn": Ragged(np.ones(len(tokens.data), bool), tokens.starts),
            "support.id": Ragged(np.zeros(0, np.int32), np.zeros(len(tokens.data) + 1, np.int64)),
            "support.logp": Ragged(np.zeros(0, np.float32), np.zeros(len(tokens.data) + 1, np.int64)),
            "turn.stream": np.arange(len(rows)),
            "turn.prompt_end": np.asarray([len(prompt) for prompt in prompts]),
        }
        action = column(info, [nothing(info) if why else action for action, _, why in read])
        memory = remembered(self.speech, request, prompts, tokens, [done for _, done, _ in read])
        return Decision(request.id, action, fault, memory, self.version, record, Ragged.of(prompts, np.int32))

    def save(self, folder: Path, model: Any = None) -> None:
        """An ordinary Hugging Face folder, marked with the loader for ours; of ``model``, if that is another form of this one."""
        save_speaker(folder, self.model if model is None else model, self.tokenizer, self.speech)


def _read(reply: str, moves: list[str], legal: list[int], kind: Factored | Box | Text | None, ended: bool) -> tuple[Action, str, int]:
    """The action that a reply gives, what was done in words, and the fault code."""
    if kind is not None and not moves:
        action, fault = read_open(reply, kind, finished=ended)
        done = f"said {json.dumps(action, ensure_ascii=False)}" if isinstance(action, str) else f"played {plain(action)}"
    else:
        place, fault = read_reply(reply, moves, finished=ended)
        action, done = (-1, "") if fault else (legal[place], f"played {moves[place]}")
    return action, "played nothing" if fault else done, fault
