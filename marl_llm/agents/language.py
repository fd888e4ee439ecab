"""A language model that chooses among the legal replies: one model call a distinct decision, tokens as sampled.

An answer is recorded with its token ids, each token's log-probability under the distribution it was drawn from, that
distribution's support, and a mask that is false for tokens which the rules forced. The prompt is recorded once a
distinct decision and referred to.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from marl_llm.agent import Decision, Immediate, Request, answer, draw
from marl_llm.inference.chat import Chat
from marl_llm.inference.chat import Decision as Prompted
from marl_llm.inference.folder import read, write
from marl_llm.inference.forward import logits_at, support_log_probs
from marl_llm.inference.speech import CHOOSE, Speech
from marl_llm.ragged import Ragged, padded, spans

ROWS = 256
"""Rows a forward pass holds at most."""
KNOWN = 100_000
"""Decisions whose probabilities are kept until the weights change; beyond them all are computed anew."""


class LanguageAgent(Immediate):
    """A causal language model of transformers with its tokenizer. ``version`` counts the updates of its weights."""

    def __init__(self, model: Any, tokenizer: Any, speech: Speech = CHOOSE) -> None:
        super().__init__()
        self.model, self.tokenizer, self.speech = model.eval(), tokenizer, speech
        self.chat = Chat(tokenizer, free=speech.reply == "free", notes=speech.notes)
        self.version = 0
        self.spread = False
        """Whether the probabilities of all legal moves are recorded, as ``legal.action`` and ``legal.logp``."""
        self._known: dict[int, tuple[Prompted, list[NDArray[np.float64]]]] = {}

    def updated(self) -> None:
        """The weights have changed: forget what was computed with the old ones."""
        self.version += 1
        self._known.clear()

    def told(self, notes: tuple[str, ...]) -> None:
        """Other notes from now on, see ``Speech``."""
        self.speech = replace(self.speech, notes=notes)
        self.chat.tell(notes)
        self._known.clear()

    def policy(self, request: Request) -> Ragged:
        """TypeError for prompts that hold more than the view: their policy is not a function of it; and where something is to be said."""
        if self.speech.prompt != "state":
            raise TypeError(f"a language model with {self.speech.prompt} prompts has no policy over views alone")
        if not request.legal.lengths.all():
            raise TypeError("what a language model says is drawn token by token, so it has no policy over what could be said")
        decisions, of = self._decisions(request)
        logp = [decision.trie.log_probs(nodes) for decision, nodes in self._scored(decisions)]
        return Ragged.of([np.exp(values) for values in logp], np.float64).take(of)

    def decide(self, request: Request) -> Decision:
        decisions, of = self._decisions(request)
        scored = self._scored(decisions)
        logp = Ragged.of([decision.trie.log_probs(nodes) for decision, nodes in scored], np.float64)
        policy = Ragged(np.exp(logp.data), logp.starts)
        choice = draw(policy.take(of), request.seed)
        record = _replies(scored, policy.starts[of] + choice)
        if self.spread:
            record |= {"legal.action": request.legal, "legal.logp": logp.take(of)}
        record["turn.stream"] = of
        record["turn.prompt_end"] = np.asarray([len(decision.prompt) for decision in decisions])[of]
        streams = Ragged.of([decision.prompt for decision in decisions], np.int32)
        prompts = [decisions[i].prompt for i in of.tolist()]
        memory = remembered(self.speech, request, prompts, record["token.id"], _chosen(request, choice))
        return answer(request, request.legal.at(choice), version=self.version, record=record, streams=streams, memory=memory)

    def _decisions(self, request: Request) -> tuple[list[Prompted], NDArray[np.int64]]:
        """Distinct decisions of a request, and for every row which one it is."""
        return decisions_of(self.chat, self.speech, request)

    def _scored(self, decisions: Sequence[Prompted]) -> list[tuple[Prompted, list[NDArray[np.float64]]]]:
        """Log-probabilities over the support of every branching node of every decision, computed once a weight version."""
        if len(self._known) > KNOWN:
            self._known.clear()
        new = [decision for decision in decisions if id(decision) not in self._known]
        for start in range(0, len(new), ROWS):
            part = new[start : start + ROWS]
            for decision, nodes in zip(part, score(self.model, part), strict=True):
                self._known[id(decision)] = (decision, nodes)
        return [self._known[id(decision)] for decision in decisions]

    def save(self, folder: Path, model: Any = None) -> None:
        """An ordinary Hugging Face folder, marked with the loader for ours; of ``model``, if that is another form of this one."""
        save_speaker(folder, self.model if model is None else model, self.tokenizer, self.speech)


def decisions_of(chat: Chat, speech: Speech, request: Request) -> tuple[list[Prompted], NDArray[np.int64]]:
    """Distinct decisions of a request as ``chat`` renders them, and for every row which one it is."""
    views, game = request.views, request.views.game
    codes = views.keys() * game.info.seats + request.seat
    if speech.prompt == "state":
        _, first, of = np.unique(codes, return_index=True, return_inverse=True)
    else:
        number: dict[Any, int] = {}
        past = [memory.tobytes() if isinstance(memory, np.ndarray) else memory for memory in request.memory]
        of = np.asarray([number.setdefault(told, len(number)) for told in zip(codes.tolist(), past, strict=True)])
        first = np.unique(of, return_index=True)[1]
    distinct = views.take(first)
    texts = distinct.texts()
    if chat.remarks is not None:
        remarks = chat.remarks(distinct, request.seat[first], request.legal.take(first))
        texts = [f"{text}\n{remark}" for text, remark in zip(texts, remarks, strict=True)]
    rows = zip(request.seat[first].tolist(), texts, distinct.action_texts(), first.tolist(), strict=True)
    return [_decision(chat, speech, game, seat, text, tuple(moves), request.memory[i]) for seat, text, moves, i in rows], of


def _decision(chat: Chat, speech: Speech, game: Any, seat: int, text: str, moves: tuple[str, ...], memory: Any) -> Prompted:
    if memory is None or speech.prompt == "state":
        return chat.decision(game, seat, text, moves)
    if speech.prompt == "history":
        return chat.decision(game, seat, text, moves, memory)
    ended = [] if memory[-1] in chat.ends else [chat.end]  # a reply that was cut is closed by the template
    return Prompted(np.concatenate([memory, np.asarray(ended, np.int32), chat.more(text, moves)]), chat.trie(moves))


def remembered(speech: Speech, request: Request, prompts: Sequence[NDArray[np.int32]], replies: Ragged, done: Iterable[str]) -> list[Any]:
    """What each row's seat carries to its next turn; ``done`` is what each row did, in words: ``played bet``."""
    if speech.prompt == "state":
        return [None] * len(request)
    if speech.prompt == "chat":
        return [np.concatenate([prompt, replies[i].astype(np.int32)]) for i, prompt in enumerate(prompts)]
    turns = zip(request.views.texts(), done, strict=True)
    return [(*(memory or ()), turn) for memory, turn in zip(request.memory, turns, strict=True)]


def _chosen(request: Request, choice: NDArray[np.int64]) -> Iterator[str]:
    yield from (f"played {moves[place]}" for moves, place in zip(request.views.action_texts(), choice.tolist(), strict=True))


@torch.no_grad()
def score(model: Any, decisions: Sequence[Prompted]) -> list[list[NDArray[np.float64]]]:
    """For every decision the log-probabilities over each branching node's support, in one forward pass."""
    rows: list[NDArray[np.int64]] = []
    row, position, supports = [], [], []
    for decision in decisions:
        ends: list[tuple[int, ...]] = []  # a row reaches the deepest node of its line, and the nodes above lie on it
        for path, support in zip(decision.trie.paths, decision.trie.supports, strict=True):
            through = next((k for k, end in enumerate(ends) if end[: len(path)] == path), len(ends))
            if through == len(ends):
                ends.append(path)
            row.append(len(rows) + through)
            position.append(len(decision.prompt) + len(path) - 1)
            supports.append(support)
        rows += [np.concatenate([decision.prompt, np.asarray(end, np.int32)]) for end in ends]
    if not rows:
        return [[] for _ in decisions]
    logits = logits_at(model, rows, np.asarray(row), np.asarray(position)).double()  # so that probabilities sum to 1 closely
    logp = support_log_probs(logits, padded(Ragged.of(supports), -1)).cpu().numpy()
    nodes = iter([logp[k, : len(support)] for k, support in enumerate(supports)])
    return [[next(nodes) for _ in decision.trie.paths] for decision in decisions]


def _replies(scored: Sequence[tuple[Prompted, list[NDArray[np.float64]]]], chosen: NDArray[np.int64]) -> dict[str, Any]:
    """Token columns of the chosen replies; ``chosen`` counts all replies of all decisions in one line."""
    ids, logp, masks, supports = [], [], [], []
    support_logp: list[Any] = []
    for decision, nodes in scored:
        for reply, node, place in zip(decision.trie.replies, decision.trie.node, decision.trie.place, strict=True):
            ids.append(reply)
            logp.append([nodes[b][k] if b >= 0 else 0.0 for b, k in zip(node, place, strict=True)])
            masks.append([b >= 0 for b in node])
            supports += [decision.trie.supports[b] if b >= 0 else () for b in node]
            support_logp += [nodes[b] if b >= 0 else () for b in node]
    tokens = Ragged.of(ids, np.int32)
    entries, starts = spans(tokens.starts, chosen)
    return {
        "token.id": Ragged(tokens.data[entries], starts),
        "token.logp": Ragged(Ragged.of(logp, np.float32).data[entries], starts),
        "token.learn": Ragged(Ragged.of(masks, bool).data[entries], starts),
        "support.id": Ragged.of(supports, np.int32).take(entries),
        "support.logp": Ragged.of(support_logp, np.float32).take(entries),
    }


def save_speaker(folder: Path, model: Any, tokenizer: Any, speech: Speech) -> None:
    """A folder that ``load`` and transformers itself read."""
    write(folder, model, tokenizer)
    (folder / "agent.json").write_text(json.dumps({"loader": "language", "speech": speech.json()}))


def load(folder: Path) -> Any:
    """A player from a Hugging Face folder; one that we saved speaks as it did, any other chooses."""
    marked = folder / "agent.json"
    speech = Speech(**json.loads(marked.read_text()).get("speech", {})) if marked.exists() else CHOOSE
    return agent_of(*read(folder), speech)


def agent_of(model: Any, tokenizer: Any, speech: Speech) -> Any:
    """The player that speaks so."""
    from marl_llm.agents.free import FreeAgent
    from marl_llm.agents.talking import TalkingAgent

    return FreeAgent(model, tokenizer, speech) if speech.reply == "free" else TalkingAgent(model, tokenizer, speech)
