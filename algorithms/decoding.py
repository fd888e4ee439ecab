"""A policy over how frozen language models are decoded, learned by PPO from what their replies earn.

So MAC-SPGG trains its agents (Liang et al., 2025, arXiv 2508.02076; as read in its public code, its trainer is not there): before
every reply a small network sees an embedding of what the seat reads, and which seat it is, and sets the reply's temperature, top_p,
top_k, length and repetition penalty. One decision a turn: PPO's, over five numbers between 0 and 1 that stand for each setting's range.

Different here: the five numbers are normal and cut at 0 and 1, so that all of a range is in reach (the published code squashes
twice by a sigmoid, which leaves the part from 0.5 to 0.73), and top_k counts (there it is computed and dropped); no presence
penalty; tanh instead of ReLU and no dropout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from algorithms import neural
from algorithms.base import model_folder
from algorithms.neural import NeuralAgent
from algorithms.parts import PLAYER
from algorithms.ppo import PPO
from marl_llm.agent import Agent, Decision, Request
from marl_llm.agents.free import FreeAgent
from marl_llm.algorithm import Requires, Setup, Unsuitable
from marl_llm.checkpoint import load_json, save_json
from marl_llm.errors import UserError
from marl_llm.game import Box, Game, GameInfo, State, Text
from marl_llm.inference.folder import read
from marl_llm.inference.forward import hidden_at
from marl_llm.inference.sampling import Sampling
from marl_llm.inference.speech import CHOOSE, Speech
from marl_llm.matches import Match
from marl_llm.ragged import Ragged
from marl_llm.records import Batch
from marl_llm.seeding import fold, name_key

HASHED = 256
"""Numbers of a hashed embedding."""
Embedding = Literal["hidden", "hashed"]


@dataclass(frozen=True, kw_only=True)
class Ranges:
    """What each setting may be, from and to."""

    temperature: tuple[float, float] = (0.3, 1.2)
    top_p: tuple[float, float] = (0.6, 0.95)
    top_k: tuple[int, int] = (20, 80)
    max_tokens: tuple[int, int] = (8, 64)
    repetition: tuple[float, float] = (1.0, 1.3)

    def __post_init__(self) -> None:
        least = {"temperature": 0.01, "top_p": 0.01, "top_k": 1, "max_tokens": 1, "repetition": 1.0}
        for name, bound in least.items():
            low, high = getattr(self, name)
            if not bound <= low <= high or (name == "top_p" and high > 1):
                raise UserError(f"ranges.{name} is {low} to {high}; expected at least {bound} first, and then no less")

    def at(self, share: NDArray[np.floating]) -> NDArray[np.float64]:
        """Settings [rows, 5], in the order of the fields, that lie so far into their ranges; ``share`` [rows, 5] from 0 to 1."""
        low, high = np.asarray([getattr(self, setting.name) for setting in fields(self)], float).T
        found = low + share * (high - low)
        found[:, 2:4] = np.rint(found[:, 2:4])
        return found


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """Settings; those of PPO are the published ones where they are known."""

    ppo: PPO
    ranges: Ranges = Ranges()
    embedding: Embedding = "hidden"
    """What the policy sees of a text: the mean of the first model's last hidden states over its tokens, or counts of hashed words."""
    models: tuple[str, ...] = ()
    """Models of the seats, in their order, by the names that --model takes; none: that of --model in all seats."""
    speech: Speech = CHOOSE

    @property
    def horizon(self) -> int:
        return self.ppo.horizon

    def build(self, setup: Setup) -> DecodingAlgorithm:
        return DecodingAlgorithm(self, setup)


class DecodingAlgorithm:
    """PPO on the same matches, in which a move is how a reply is decoded."""

    def __init__(self, settings: Decoding, setup: Setup) -> None:
        self.requires = Requires(action=(Text,))
        for spec in setup.games:
            self.requires.check("a policy over decoding", setup.load(spec).info)
        seats = setup.load(setup.games[0]).info.seats
        if len(settings.models) not in (0, seats):
            raise Unsuitable(f"models names {len(settings.models)} models and {setup.games[0]} has {seats} seats; name one a seat, or none")
        folders = [model_folder(name, setup) for name in settings.models or (setup.model,)]
        voice = Voice(folders, settings.speech, settings.ranges, settings.embedding)
        self.ppo = settings.ppo.build(replace(setup, load=lambda spec: Decoded(setup.load(spec).info, voice.size)))
        self.agents: Mapping[str, Agent] = {PLAYER: DecodingAgent(self.ppo.agent, voice)}

    def plan(self, step: int) -> Sequence[Match]:
        return self.ppo.plan(step)

    def learn(self, batch: Batch) -> Mapping[str, float]:
        chosen = batch["turn.decoding"][batch["turn.learn"]]
        means = {setting.name: float(chosen[:, k].mean()) for k, setting in enumerate(fields(Ranges))} if len(chosen) else {}
        return {**self.ppo.learn(batch), **means}

    def save(self, folder: Path) -> None:
        self.ppo.save(folder)

    def load(self, folder: Path) -> None:
        self.ppo.load(folder)

    def save_agent(self, player: str, folder: Path) -> None:
        agent = self.agents[player]
        assert isinstance(agent, DecodingAgent)
        agent.save(folder)

    def save_past(self, player: str, folder: Path) -> None:
        self.save_agent(player, folder)


class Decoded(Game):
    """What the policy learns: a game whose views are ``size`` numbers and whose moves are five shares. It is never played itself:
    ``Voice`` turns its moves into those of the game that is."""

    def __init__(self, info: GameInfo, size: int) -> None:
        self.info = replace(info, action=Box(0.0, 1.0, (len(fields(Ranges)),)), vector=(size,), table=None)

    def start(self, seed: int) -> State:
        raise NotImplementedError


class Voice:
    """Frozen models, one for all seats or one for each, that speak as they are told."""

    def __init__(self, folders: Sequence[Path], speech: Speech, ranges: Ranges, embedding: Embedding) -> None:
        self.folders, self.speech, self.ranges, self.embedding = folders, speech, ranges, embedding
        made = {folder: FreeAgent(*read(folder), speech) for folder in dict.fromkeys(folders)}
        self.speakers = [made[folder] for folder in folders]
        self.size = HASHED if embedding == "hashed" else int(self.speakers[0].model.config.hidden_size)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Of what seats read, [rows, size]; each distinct text once."""
        known = list(dict.fromkeys(texts))
        found = hashed(known) if self.embedding == "hashed" else mean_hidden(self.speakers[0].model, self.speakers[0].tokenizer, known)
        return found[[known.index(text) for text in texts]]


class DecodingAgent:
    """Plays games of free text by ``voice``, decoded as ``chooser``'s network says. Records what PPO learns from, the settings
    as ``turn.decoding`` [rows, 5], and the tokens with their log-probabilities as drawn."""

    def __init__(self, chooser: NeuralAgent, voice: Voice) -> None:
        self.chooser, self.voice = chooser, voice
        self._chosen: dict[int, dict[str, NDArray[Any]]] = {}

    @property
    def version(self) -> int:
        return self.chooser.version

    def policy(self, request: Request) -> Ragged:
        raise TypeError("a language model that answers freely has no policy over the legal actions, so it cannot be evaluated exactly")

    def submit(self, request: Request) -> None:
        record = self._choose(request)
        for row, id in enumerate(request.id.tolist()):
            self._chosen[id] = {name: column[row] for name, column in record.items()}
        speakers = self.voice.speakers
        for k, speaker in enumerate(speakers):
            mine = np.flatnonzero(request.seat % len(speakers) == k)
            if len(mine):
                told = record["turn.decoding"][mine].tolist()
                ways = [Sampling(warmth, p, int(most), again) for warmth, p, most, _, again in told]
                speaker.submit(request.take(mine), ways, [int(tokens) for *_, tokens, _ in told])

    def _choose(self, request: Request) -> dict[str, NDArray[Any]]:
        network = self.chooser.network
        view = self.voice.embed(request.views.texts())
        with torch.no_grad():
            x, central, seat = network.inputs(view, request.seat, None)
            out_STP, _ = network.policy(x[:, None], seat, network.fresh(len(seat)))
            value_ST1, _ = network.value(central[:, None], seat, network.fresh(len(seat)))
            share, drawn = network.head.draw(out_STP[:, 0], request)
        columns = {name: np.asarray(column) for name, column in drawn.items()}
        value = value_ST1[:, 0, 0].double().cpu().numpy()
        return {"turn.view": view, "turn.value": value, "turn.decoding": self.voice.ranges.at(share), **columns}

    def poll(self, wait_s: float) -> Sequence[Decision]:
        """Speak until some replies are complete."""
        for speaker in dict.fromkeys(self.voice.speakers):
            if decisions := speaker.poll(wait_s):
                return [self._recorded(decision) for decision in decisions]
        return []

    def _recorded(self, decision: Decision) -> Decision:
        chosen = [self._chosen.pop(id) for id in decision.id.tolist()]
        columns = {name: np.stack([own[name] for own in chosen]) for name in chosen[0]}
        return replace(decision, version=self.version, record={**decision.record, **columns})

    def save(self, folder: Path) -> None:
        """The network, and where the models are: they are as they were."""
        voice = self.voice
        (folder / "chooser").mkdir()
        self.chooser.save(folder / "chooser")
        card = {"models": [str(model.resolve()) for model in voice.folders], "embedding": voice.embedding}
        save_json(folder / "agent.json", {"loader": "decoding", **card, "ranges": asdict(voice.ranges), "speech": voice.speech.json()})


def load(folder: Path) -> DecodingAgent:
    """What ``DecodingAgent.save`` wrote."""
    card = load_json(folder / "agent.json")
    folders = [Path(model) for model in card["models"]]
    for model in folders:
        if not (model / "config.json").exists():
            raise UserError(f"a model of {folder} is not at {model} any more; put it back there")
    ranges = Ranges(**{name: tuple(bounds) for name, bounds in card["ranges"].items()})
    return DecodingAgent(neural.load(folder / "chooser"), Voice(folders, Speech(**card["speech"]), ranges, card["embedding"]))


def hashed(texts: Sequence[str]) -> NDArray[np.float32]:
    """Signed counts of words in ``HASHED`` classes (Weinberger et al., 2009, arXiv 0902.2206), of length 1 each, [rows, HASHED]."""
    counts = np.zeros((len(texts), HASHED), np.float32)
    for row, text in enumerate(texts):
        words = np.asarray([name_key(word) for word in text.casefold().split()], np.uint64)
        np.add.at(counts[row], (words % np.uint64(HASHED)).astype(np.int64), np.where(fold(words, 1) % np.uint64(2), 1.0, -1.0))
    return counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1e-9)


@torch.no_grad()
def mean_hidden(model: Any, tokenizer: Any, texts: Sequence[str]) -> NDArray[np.float32]:
    """The mean of the last hidden states over a text's tokens, with a mean square of 1, [rows, hidden]."""
    rows = [np.asarray(tokenizer.encode(text) or [0], np.int64) for text in texts]
    row = np.repeat(np.arange(len(rows)), [len(tokens) for tokens in rows])
    position = np.concatenate([np.arange(len(tokens)) for tokens in rows])
    states = hidden_at(model, rows, row, position, share=False).float()
    total = torch.zeros(len(rows), states.shape[1]).index_add_(0, torch.from_numpy(row), states.cpu())
    mean = total / torch.tensor([[len(tokens)] for tokens in rows])
    return (mean / mean.square().mean(1, keepdim=True).sqrt().clamp(min=1e-9)).numpy()
