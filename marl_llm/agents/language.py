"""A language model that plays by choosing among the legal replies: one model call a distinct decision, tokens as sampled.

An answer is recorded with its token ids, each token's log-probability under the distribution it was drawn from, that
distribution's support, and a mask that is false for tokens which the rules forced. The prompt is recorded once a
distinct decision and referred to.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
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
from marl_llm.ragged import Ragged, padded, spans

ROWS = 256
"""Rows a forward pass holds at most."""
KNOWN = 100_000
"""Decisions whose probabilities are kept until the weights change; beyond them all are computed anew."""


class LanguageAgent(Immediate):
    """A causal language model of transformers with its tokenizer. ``version`` counts the updates of its weights."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        super().__init__()
        self.model, self.tokenizer, self.chat = model.eval(), tokenizer, Chat(tokenizer)
        self.version = 0
        self._known: dict[int, tuple[Prompted, list[NDArray[np.float64]]]] = {}

    def updated(self) -> None:
        """The weights have changed: forget what was computed with the old ones."""
        self.version += 1
        self._known.clear()

    def policy(self, request: Request) -> Ragged:
        decisions, of = self._decisions(request)
        logp = [decision.trie.log_probs(nodes) for decision, nodes in self._scored(decisions)]
        return Ragged.of([np.exp(values) for values in logp], np.float64).take(of)

    def decide(self, request: Request) -> Decision:
        decisions, of = self._decisions(request)
        scored = self._scored(decisions)
        policy = Ragged.of([np.exp(decision.trie.log_probs(nodes)) for decision, nodes in scored], np.float64)
        choice = draw(policy.take(of), request.seed)
        record = _replies(scored, policy.starts[of] + choice)
        record["turn.stream"] = of
        record["turn.prompt_end"] = np.asarray([len(decision.prompt) for decision in decisions])[of]
        streams = Ragged.of([decision.prompt for decision in decisions], np.int32)
        return answer(request, request.legal.at(choice), version=self.version, record=record, streams=streams)

    def _decisions(self, request: Request) -> tuple[list[Prompted], NDArray[np.int64]]:
        """Distinct decisions of a request, and for every row which one it is."""
        views, game = request.views, request.views.game
        codes = views.keys() * game.info.seats + request.seat
        _, first, of = np.unique(codes, return_index=True, return_inverse=True)
        distinct = views.take(first)
        moves, texts = distinct.action_texts(), distinct.texts()
        seats = request.seat[first].tolist()
        return [self.chat.decision(game, s, t, tuple(m)) for s, t, m in zip(seats, texts, moves, strict=True)], of

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

    def save(self, folder: Path) -> None:
        """An ordinary Hugging Face folder that transformers loads, marked with the loader for ours."""
        write(folder, self.model, self.tokenizer)
        (folder / "agent.json").write_text(json.dumps({"loader": "language"}))


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


def load(folder: Path) -> LanguageAgent:
    """A player from a Hugging Face folder."""
    return LanguageAgent(*read(folder))
