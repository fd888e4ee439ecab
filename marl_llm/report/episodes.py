"""Recorded matches for people to step through: what each seat saw, was asked, could do and with what probability, and did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from marl_llm import checkpoint
from marl_llm.inference.chat import Chat
from marl_llm.records import Batch, Episode
from marl_llm.replay import Seen, seen

ITERATIONS, MATCHES = 5, 8
"""Recorded iterations that are shown, the first, the last and some between, and matches of each."""


@dataclass(frozen=True)
class Option:
    """A legal move with its probability as recorded; ``shared`` where it is that of several moves together whose replies begin
    alike (what was not chosen was not told apart), None where none was recorded."""

    text: str
    probability: float | None = None
    shared: bool = False


@dataclass(frozen=True)
class Turn:
    """One attempt at a decision. ``prompt`` and ``reply`` are None where there is none, or no tokenizer to read it with."""

    ply: int
    seat: int
    player: str
    text: str
    options: Sequence[Option]
    chosen: int | None
    fault: str
    learned: bool
    prompt: str | None = None
    reply: str | None = None
    probability: float | None = None
    """Of the whole reply."""


@dataclass(frozen=True)
class Shown:
    """A match of iteration ``step``."""

    step: int
    number: int
    episode: Episode
    turns: Sequence[Turn]


def shown(run: Path) -> list[Shown]:
    """Matches of a run's ``episodes`` folder."""
    files = sorted((run / "episodes").glob("*.npz"))
    chosen = sorted({round(i) for i in np.linspace(0, len(files) - 1, min(ITERATIONS, len(files)))})
    chat = _chat(run)
    found = []
    for file in [files[i] for i in chosen]:
        batch = Batch.load(file)
        for number in range(min(MATCHES, len(batch))):
            episode = batch.episode(number)
            found.append(Shown(int(file.stem), number, episode, _turns(batch.take(np.asarray([number])), episode, chat)))
    return found


def _chat(run: Path) -> Chat | None:
    """The words of the run's model; None where it has none, or transformers is not installed."""
    steps = checkpoint.steps(run)
    folders = checkpoint.path_of(run, steps[-1]).glob("agents/*/tokenizer_config.json") if steps else iter(())
    file = next(folders, None)
    if file is None or not find_spec("transformers"):
        return None
    from transformers import AutoTokenizer

    return Chat(AutoTokenizer.from_pretrained(file.parent, trust_remote_code=False))


def _turns(one: Batch, episode: Episode, chat: Chat | None) -> list[Turn]:
    order = np.argsort(one["turn.ply"], kind="stable").tolist()
    return [_turn(one, t, decision, episode.players[decision.move.seat], chat) for t, decision in zip(order, seen(episode), strict=True)]


def _turn(one: Batch, t: int, decision: Seen, player: str, chat: Chat | None) -> Turn:
    spoken = "token.id" in one and len(one.ragged("token.id")[t]) > 0
    prompt = reply = probability = None
    if spoken:
        probability = float(np.exp(one.ragged("token.logp")[t].sum(dtype=np.float64)))
        if chat is not None:
            asked = one.tables["stream"][int(one["turn.stream"][t])][: int(one["turn.prompt_end"][t])]
            prompt, reply = (chat.tokenizer.decode(ids, skip_special_tokens=False) for ids in (asked, one.ragged("token.id")[t]))
    return Turn(
        decision.move.ply,
        decision.move.seat,
        player,
        decision.text,
        _options(one, t, decision, chat if spoken else None),
        decision.chosen,
        decision.move.fault,
        bool(one["turn.learn"][t]),
        prompt,
        reply,
        probability,
    )


def _options(one: Batch, t: int, decision: Seen, chat: Chat | None) -> list[Option]:
    if "legal.logp" in one and len(one.ragged("legal.logp")[t]):
        logp = dict(zip(one.ragged("legal.action")[t].tolist(), one.ragged("legal.logp")[t].tolist(), strict=True))
        return [Option(text, float(np.exp(logp[action]))) for action, text in zip(decision.legal, decision.texts, strict=True)]
    first, after = (int(one.starts["token"][t + k]) if chat is not None else 0 for k in (0, 1))
    if chat is None or not np.diff(one.starts["support"])[first:after].any():
        return [Option(text) for text in decision.texts]
    replies = chat.trie(tuple(decision.texts)).replies
    return [Option(text, *_walked(one, first, reply, replies)) for text, reply in zip(decision.texts, replies, strict=True)]


def _walked(one: Batch, first: int, reply: tuple[int, ...], replies: Sequence[tuple[int, ...]]) -> tuple[float, bool]:
    """Probability of ``reply`` along the tokens recorded from row ``first`` on, down to where it leaves them; whether other replies
    leave them together with it."""
    logp = 0.0
    for j, token in enumerate(reply):
        a, b = one.starts["support"][first + j : first + j + 2]
        if a < b:
            logp += float(one["support.logp"][a:b][one["support.id"][a:b] == token].sum())
        if token != one["token.id"][first + j]:
            return float(np.exp(logp)), sum(other[: j + 1] == reply[: j + 1] for other in replies) > 1
    return float(np.exp(logp)), False
