"""``tiny``: a Llama of about one million parameters with its own tokenizer and chat template, made for the games at hand.

It is warm-started as a language model on the games' own prompts, each answered by a uniformly random legal move (where seats
talk, by one of the words that the random player says), until
its state at the moment of decision differs between prompts that it has not seen. No move of a solver or of any other
player enters it: after the warm start it plays close to uniformly. Without the warm start self-play never tells
information sets apart, and every one of them gets the same answer.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from marl_llm.agents.random import RandomAgent
from marl_llm.answers import WORDS
from marl_llm.cache import cache_folder
from marl_llm.game import Game
from marl_llm.inference.chat import Chat, Decision
from marl_llm.inference.folder import write
from marl_llm.inference.forward import common_prefix, hidden_at
from marl_llm.matches import self_play
from marl_llm.play import play
from marl_llm.seeding import fold, generator

TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ '<|end|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
MADE = 1
"""Raised when a change here makes other models from the same prompts."""
SOFT = 1e-3
"""Squared distance below which two states count as touching."""
WATCHED = 192
"""Trained prompts that are watched beside the held-out ones."""
SAID = WORDS[1:]
"""Replies where seats talk: what a random player says, but for nothing."""
SPECIAL = ["<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]


@dataclass(frozen=True, kw_only=True)
class Tiny:
    """Shape and warm start. The warm start ends when the closest prompts, held-out ones among them, stand ``apart`` (see
    ``apart``), or after ``max_steps``."""

    hidden: int = 128
    layers: int = 4
    heads: int = 4
    vocabulary: int = 512
    matches: int = 256
    """Matches of random play from which prompts are collected, per game."""
    rows: int = 24
    """Prompts in a warm-start step."""
    learning_rate: float = 1e-3
    spread: float = 0.1
    """Weight of the term that pushes decision states apart."""
    apart: float = 0.01
    min_steps: int = 120
    max_steps: int = 600


def tiny(games: Sequence[Game], seed: int, shape: Tiny | None = None, report: Callable[[str], None] = lambda line: None) -> Path:
    """Folder of the warm-started model for ``games``: an ordinary Hugging Face folder, made on first use and then kept."""
    shape = shape or Tiny()
    decisions = [decision for game in games for decision in collect(game, shape.matches, seed)]
    read = [[game.rules(seat), text, *moves] for game, seat, text, moves in decisions]
    identity = json.dumps([MADE, asdict(shape), seed, torch.__version__, read])
    folder = cache_folder() / "tiny" / hashlib.sha256(identity.encode()).hexdigest()[:16]
    if not (folder / "config.json").exists():
        aside = folder.with_name(f"{folder.name}.{os.getpid()}")
        model, tokenizer, facts = make(decisions, seed, shape, report)
        write(aside, model, tokenizer)
        (aside / "warm_start.json").write_text(json.dumps(facts))
        try:
            aside.rename(folder)
        except OSError:  # another process was faster; its model is the same
            shutil.rmtree(aside)
    return folder


class _Collector(RandomAgent):
    """A random player that writes down each distinct view it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[tuple[int, str], tuple[Game, int, str, tuple[str, ...]]] = {}

    def decide(self, request: Any) -> Any:
        codes, first = np.unique(request.views.keys(), return_index=True)
        new = np.asarray(
            [
                i
                for code, i in zip(codes.tolist(), first.tolist(), strict=True)
                if (int(request.seat[i]), request.views.codes[code]) not in self.seen
            ],
            np.int64,
        )
        views = request.views.take(new)
        for i, text, moves in zip(new.tolist(), views.texts(), views.action_texts(), strict=True):
            seat = int(request.seat[i])
            self.seen[seat, request.views.codes[int(request.views.keys()[i])]] = (request.views.game, seat, text, tuple(moves))
        return super().decide(request)

    def resolve(self, player: str) -> _Collector:
        return self


def collect(game: Game, matches: int, seed: int) -> list[tuple[Game, int, str, tuple[str, ...]]]:
    """Distinct decisions (game, seat, text, legal moves) of random play."""
    collector = _Collector()
    for _ in play(self_play(game.spec, "random", game.info.seats, matches, fold(seed, 1)), collector, lambda spec: game, keys=False):
        pass
    return list(collector.seen.values())


def make(decisions: Sequence[tuple[Game, int, str, tuple[str, ...]]], seed: int, shape: Tiny, report: Callable[[str], None]) -> Any:
    """Tokenizer and model for ``decisions``, warm-started; with the facts of the warm start."""
    tokenizer = make_tokenizer([f"{game.rules(seat)} {text}" for game, seat, text, _ in decisions], shape.vocabulary)
    chat = Chat(tokenizer)
    rendered = [chat.decision(game, seat, text, moves or SAID) for game, seat, text, moves in decisions]
    model = make_model(tokenizer, shape, seed)
    order = generator(seed, 2).permutation(len(rendered)).tolist()
    held = order[: min(max(2, len(order) // 4), 64)]
    trained = order[len(held) :] if len(order) > 3 else order
    facts = warm_start(model, [rendered[i] for i in trained], [rendered[i] for i in held], seed, shape, report)
    return model, tokenizer, facts


def make_tokenizer(texts: Sequence[str], vocabulary: int) -> Any:
    """A byte-level BPE learned from ``texts``: common words are one token, and any text at all can be written."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    raw.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=vocabulary, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False)
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, pad_token=SPECIAL[0], eos_token=SPECIAL[1])
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def make_model(tokenizer: Any, shape: Tiny, seed: int) -> Any:
    """A Llama with random weights drawn from ``seed``."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.hidden,
        intermediate_size=3 * shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    with torch.random.fork_rng():  # transformers initialises from the global stream; it is left as it was
        torch.manual_seed(fold(seed, 3) % 2**63)
        return LlamaForCausalLM(config)


def warm_start(
    model: Any, trained: Sequence[Decision], held: Sequence[Decision], seed: int, shape: Tiny, report: Callable[[str], None]
) -> dict[str, float]:
    """Language modelling of prompts and uniform legal replies, with the states at the moment of decision pushed apart.

    Language modelling alone leaves those states equal, since nothing in a uniform reply depends on them; the last term
    spreads the states of a step's prompts over the sphere.
    """
    optimiser = torch.optim.AdamW(model.parameters(), lr=shape.learning_rate, weight_decay=0.0)
    rng = generator(seed, 4)
    watched = [*held, *trained[:WATCHED]]
    loss, distance, step = float("nan"), apart(model, watched), 0
    for step in range(1, shape.max_steps + 1):
        for group in optimiser.param_groups:
            group["lr"] = shape.learning_rate * min(1.0, step / 20)
        chosen = [trained[i] for i in rng.permutation(len(trained))[: shape.rows]]
        replies = [decision.trie.replies[rng.integers(len(decision.trie.replies))] for decision in chosen]
        rows = [np.concatenate([decision.prompt, np.asarray(r, np.int32)]) for decision, r in zip(chosen, replies, strict=True)]
        first = max(common_prefix(rows) - 1, 0)
        lengths = np.asarray([len(row) - 1 - first for row in rows])
        row = np.repeat(np.arange(len(rows)), lengths)
        position = np.concatenate([np.arange(first, first + n) for n in lengths])
        hidden = hidden_at(model, rows, row, position)
        targets = torch.from_numpy(np.concatenate([r[first + 1 :] for r in rows]).astype(np.int64)).to(model.device)
        logits = model.get_output_embeddings()(hidden)
        language = torch.nn.functional.cross_entropy(logits, targets)
        deciding = torch.from_numpy(np.asarray([len(decision.prompt) - 1 for decision in chosen])[row] == position)
        first_tokens = torch.from_numpy(np.stack([_first_token(decision, logits.shape[1]) for decision in chosen])).to(logits)
        reply = torch.nn.functional.cross_entropy(logits[deciding], first_tokens)
        total = language + reply + shape.spread * energy(hidden[deciding])
        optimiser.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        if step % 20 == 0:
            loss, distance = language.item(), apart(model, watched)
            report(f"warm start {step}: loss {loss:.3f}, closest prompts {distance:.4f} apart, {shape.apart} wanted")
            if step >= shape.min_steps and distance >= shape.apart:
                break
    model.eval()
    return {"steps": step, "loss": loss, "apart": distance, "prompts": len(trained), "held_out": len(held)}


def _first_token(decision: Decision, vocabulary: int) -> NDArray[np.float64]:
    """How often each token begins a uniformly random legal reply: the mean over replies of what one of them would teach."""
    share = np.zeros(vocabulary)
    np.add.at(share, [reply[0] for reply in decision.trie.replies], 1 / len(decision.trie.replies))
    return share


def energy(states: Tensor) -> Tensor:
    """Mean logarithmic energy of unit states, -log of squared distances: lower is more spread out. 0 for a single state.

    Its gradient does not vanish between states that are still nearly equal, as that of a Gaussian potential does.
    """
    if len(states) < 2:
        return states.sum() * 0
    distances = torch.pdist(torch.nn.functional.normalize(states, dim=1))
    return -(distances.pow(2) + SOFT).log().mean()


@torch.no_grad()
def apart(model: Any, decisions: Sequence[Decision]) -> float:
    """How far the closest prompts stand apart: the 5% quantile of the cosine distance from a prompt's state at the moment of
    decision to the nearest other prompt's."""
    rows = [decision.prompt for decision in decisions]
    last = np.asarray([len(row) - 1 for row in rows])
    unit = torch.nn.functional.normalize(hidden_at(model, rows, np.arange(len(rows)), last).float(), dim=1)
    cosine = unit @ unit.T
    cosine.fill_diagonal_(-1.0)
    return float((1 - cosine.amax(1)).quantile(0.05))
