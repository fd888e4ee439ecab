"""Credit from a mixture of utilities: what each move of a team added to what the team earned together.

Every turn has a utility Q(view, action), counted against what its seat would do on average there, so that a seat that moves later and
sees more cannot explain what was earned before it moved:

    u(t) = Q(view, a) - sum over legal b of pi(b | view) Q(view, b)          U_i = sum of u over seat i's turns of the match
    R = V(s) + mix(U_1, ..., U_N; s)                                         A(t) = mix(U) - mix(U with u(t) taken out of its seat's)

with s what is seen by who moves first. ``vdn`` adds (Sunehag et al. 2018, arXiv 1706.05296), so A(t) = u(t); ``qmix`` is monotone in
every U_i (Rashid et al. 2018, arXiv 1803.11485). V, Q and the mixture are fitted to the returns of the matches, the iteration's own
before they give credit. Design choices made here: to centre utilities, to mix once a match instead of once a step, and hashed features.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from algorithms.nets import Descent, perceptron
from algorithms.parts import Credit, Credited, Crediting, Memory
from algorithms.qmix import QMIX, Mixer
from algorithms.team_critic import Moves, seen, team_of
from marl_llm.algorithm import Setup
from marl_llm.records import Batch
from marl_llm.seeding import fold

WEIGHTS = 11  # name of a random stream


@dataclass(frozen=True, kw_only=True)
class Mixed(Credit):
    """A learned critic for one team game."""

    mixer: Literal["vdn", "qmix"] = "vdn"
    """How utilities make what the team earns."""
    features: int = 256
    """Numbers that a view is hashed into."""
    hidden: int = 64
    """Width of the hidden layer."""
    updates: int = 20
    """Gradient steps an iteration, each on all of its matches."""
    lr: float = 3e-3
    """Adam's step size."""

    @property
    def reads(self) -> tuple[str, ...]:
        return "seat.outcome", "legal.action", "legal.logp"

    def start(self, setup: Setup) -> Crediting:
        info = team_of("mixer", setup)
        return MixedCredit(self, info.seats, info.action.n, setup.seed)  # type: ignore[union-attr]


class MixedCredit:
    """The critic at work."""

    def __init__(self, settings: Mixed, seats: int, actions: int, seed: int) -> None:
        self.settings, self.seats = settings, seats
        start, inputs = torch.Generator().manual_seed(fold(seed, WEIGHTS) >> 1), settings.features + seats
        self.utility = perceptron([inputs, settings.hidden, actions], 0.1, start, nn.ReLU)
        self.value = perceptron([inputs, settings.hidden, 1], 0.1, start, nn.ReLU)
        self.mixer = Mixer(QMIX(mixer=settings.mixer), seats, inputs, start)
        networks = {"utility": self.utility, "value": self.value, "mixer": self.mixer}
        learned = {name: net for name, net in networks.items() if any(True for _ in net.parameters())}
        self.descent = Descent(learned, settings.lr, max_norm=10.0)

    def assign(self, batch: Batch, memory: Memory) -> Credited:
        pairs, place = seen(batch, self.seats, self.settings.features)
        moves, at = Moves(batch), torch.from_numpy(place)
        seat, match = (torch.from_numpy(batch.up("turn", level)) for level in ("seat", "match"))
        first = torch.from_numpy(first_turns(batch))
        begin = torch.zeros(len(batch), pairs.shape[1]).index_add(0, match[first], pairs[at[first]])
        begin = begin / torch.bincount(match[first], minlength=len(batch)).clamp(min=1)[:, None]
        earned = torch.from_numpy(batch["seat.outcome"].reshape(-1, self.seats).mean(1)).float()

        def utilities() -> tuple[Tensor, Tensor]:
            """Of every turn, and summed for every seat of every match, [matches, seats]."""
            u = moves.advantage(self.utility(pairs), at)
            return u, torch.zeros(batch.size("seat")).index_add(0, seat, u).reshape(-1, self.seats)

        for _ in range(self.settings.updates):
            total = self.value(begin)[:, 0] + self.mixer(utilities()[1], begin)[:, 0]
            self.descent.step((total - earned).square().mean())
        with torch.no_grad():
            u, summed = utilities()
            without = summed[match] - u[:, None] * nn.functional.one_hot(torch.from_numpy(batch["turn.seat"]), self.seats)
            gain = self.mixer(summed, begin)[match, 0] - self.mixer(without, begin[match])[:, 0]
        return Credited(np.where(batch["turn.learn"].astype(bool), gain.double().numpy(), 0.0))

    def save(self, folder: Path) -> None:
        (folder / "mixer").mkdir()
        self.descent.save(folder / "mixer")

    def load(self, folder: Path) -> None:
        self.descent.load(folder / "mixer")


def first_turns(batch: Batch) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The turns that nobody of the match moved before; several where seats move at once."""
    match, ply = batch.up("turn", "match"), batch["turn.ply"]
    earliest = np.full(len(batch), np.iinfo(np.int64).max)
    np.minimum.at(earliest, match, ply)
    return np.flatnonzero(ply == earliest[match])
