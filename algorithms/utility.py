"""LIET: seats learn as individuals and evolve as a team (arXiv 2506.07232), a frozen model that reads what was learned.

Each seat learns a utility of its own from play, U_i(view, move), what it earned from the move on, by ridge regression on hashed words
(see ``team_critic``; every word counts for one move alone). Whenever the seat is asked, the utilities of its legal moves are told with
the view. As a team all seats share one list of advice, edited from what any of them lived through (``experience``). The source is the
paper's abstract; the regression, what is told and how the list is edited are our reading.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from algorithms.experience import Experience
from algorithms.groups import Floats, return_to_go
from algorithms.parts import Credited, Learner, Loss, Policy
from algorithms.team_critic import WORD, hashed
from marl_llm.agents.talking import TalkingAgent
from marl_llm.algorithm import Unsuitable
from marl_llm.boards import Views
from marl_llm.checkpoint import load_json, load_tensors, save_json, save_tensors
from marl_llm.inference.folder import read
from marl_llm.inference.speech import Speech
from marl_llm.ragged import Ragged
from marl_llm.records import Batch

FEATURES = 256
"""Numbers that a view and a move are hashed into."""


@dataclass(frozen=True, kw_only=True)
class Individuals(Learner):
    """Utilities, and the team's list; no parameter of the model moves."""

    team: Experience = field(default_factory=lambda: Experience(shared=True))
    """How the shared list is edited."""
    ridge: float = 1.0
    """Pull of the weights to 0."""
    memory: float = 0.9
    """Weight of what was lived through before an iteration, after it: the others learn too."""

    def start(self, policy: Policy, loss: Loss, horizon: int, seed: int) -> Living:
        return Living(self, policy, loss, horizon, seed)


class Experienced(TalkingAgent):
    """A language model that is told its utilities with every view from which it chooses."""

    def __init__(self, model: Any, tokenizer: Any, speech: Speech, utilities: Utilities) -> None:
        super().__init__(model, tokenizer, speech)
        self.utilities, self.chooser.chat.remarks = utilities, utilities.remarks

    def save(self, folder: Path, model: Any = None) -> None:
        super().save(folder, model)
        self.utilities.save(folder)
        save_json(folder / "agent.json", {"loader": "experienced", "speech": self.speech.json()})


def load(folder: Path) -> Experienced:
    """A player that was saved so."""
    utilities = Utilities()
    utilities.load(folder)
    return Experienced(*read(folder), Speech(**load_json(folder / "agent.json")["speech"]), utilities)


class Living:
    """Individuals and their team, learning."""

    def __init__(self, settings: Individuals, policy: Any, loss: Loss, horizon: int, seed: int) -> None:
        self.settings, self.utilities, old = settings, Utilities(), policy.agent
        if not isinstance(old, TalkingAgent):
            raise Unsuitable(
                "utilities are read by language models that choose; give --model tiny or a folder, and --language.reply choose"
            )
        policy.agent = Experienced(old.model, old.tokenizer, old.speech, self.utilities)
        self.team = settings.team.start(policy, loss, horizon, seed)
        self.referred = self.team.referred

    def learn(self, batch: Batch, credited: Credited, step: int) -> Mapping[str, float]:
        gained = return_to_go(batch, "turn.game") + batch["turn.format"]
        counted = batch["turn.learn"].astype(bool) & (batch["turn.action"] >= 0)
        errors = []
        for seat in np.unique(batch["turn.seat"][counted]).tolist():
            rows = np.flatnonzero(counted & (batch["turn.seat"] == seat))
            key, move = batch["turn.key"][rows], batch["turn.action"][rows]
            _, first, of = np.unique(key * (move.max() + 1) + move, return_index=True, return_inverse=True)
            keys, moves = [batch.tables["key"][code] for code in key[first].tolist()], move[first].tolist()
            errors.append(float(np.square(self.utilities.of(seat, keys, moves)[of] - gained[rows]).mean()))
            self.utilities.fit(seat, keys, moves, of, gained[rows], ridge=self.settings.ridge, memory=self.settings.memory)
        return {**self.team.learn(batch, credited, step), "utility_error": float(np.mean(errors))}

    def save(self, folder: Path) -> None:
        self.team.save(folder)
        self.utilities.save(folder)

    def load(self, folder: Path) -> None:
        self.team.load(folder)
        self.utilities.load(folder)


class Utilities:
    """U_i of every seat that has played: the statistics of its regression, and the weights."""

    def __init__(self) -> None:
        self.statistics: dict[int, tuple[Floats, Floats]] = {}
        self.weights: dict[int, Floats] = {}

    def fit(
        self, seat: int, keys: Sequence[str], moves: Sequence[int], of: NDArray[np.int64], gained: Floats, *, ridge: float, memory: float
    ) -> None:
        """Take in what a seat ``gained`` from its moves on, each ``of`` the distinct ``keys`` and ``moves``; what it knew counts
        ``memory`` of it now."""
        x = features(keys, moves)
        square, product = self.statistics.get(seat, (np.zeros((FEATURES, FEATURES)), np.zeros(FEATURES)))
        square = memory * square + x.T @ (x * np.bincount(of, minlength=len(x))[:, None])
        product = memory * product + x.T @ np.bincount(of, gained, len(x))
        self.statistics[seat] = square, product
        self.weights[seat] = np.asarray(np.linalg.solve(square + ridge * np.eye(FEATURES), product), np.float64)

    def of(self, seat: int, keys: Sequence[str], moves: Sequence[int]) -> Floats:
        """Utilities of moves at views, one a row; 0 for a seat that has not played."""
        return features(keys, moves) @ self.weights.get(seat, np.zeros(FEATURES))

    def remarks(self, views: Views, seat: NDArray[np.int64], legal: Ragged) -> list[str]:
        """What each row is told: its legal moves' utilities, in words."""
        keys = np.repeat(np.asarray([views.codes[code] for code in views.keys().tolist()], object), legal.lengths).tolist()
        weights = np.stack([self.weights.get(one, np.zeros(FEATURES)) for one in seat.tolist()])
        worth = Ragged((features(keys, legal.data.tolist()) * weights[legal.row_of()]).sum(1), legal.starts)
        told = [zip(texts, worth[row], strict=True) for row, texts in enumerate(views.action_texts())]
        return [f"In your experience: {', '.join(f'{text} {value:+.2f}' for text, value in moves)}." for moves in told]

    def save(self, folder: Path) -> None:
        """Into an existing folder."""
        parts = {f"{seat}.square": square for seat, (square, _) in self.statistics.items()}
        parts |= {f"{seat}.product": product for seat, (_, product) in self.statistics.items()}
        parts |= {f"{seat}.weights": weights for seat, weights in self.weights.items()}
        save_tensors(folder / "utilities.safetensors", {name: torch.from_numpy(part) for name, part in parts.items()})

    def load(self, folder: Path) -> None:
        saved = {name: part.numpy() for name, part in load_tensors(folder / "utilities.safetensors").items()}
        for seat in {int(name.split(".")[0]) for name in saved}:
            self.statistics[seat] = saved[f"{seat}.square"], saved[f"{seat}.product"]
            self.weights[seat] = saved[f"{seat}.weights"]


def features(keys: Sequence[str], moves: Sequence[int]) -> Floats:
    """Of views and moves, [rows, FEATURES]: the words of the view, as they are beside that move."""
    words = [WORD.sub(rf"\g<0>_{move}", key) for key, move in zip(keys, moves, strict=True)]
    return hashed(words, FEATURES).astype(np.float64)
