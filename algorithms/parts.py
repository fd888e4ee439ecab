"""The five parts of a policy-gradient method, and their composition. A published method is one instance of ``Method``.

    Sampler          which matches are played, and which of them are learned from
    RewardTransform  what a turn and a match are worth, in named channels
    Credit           an advantage for every turn
    Loss             what is minimised over the learned choices
    Learner          how the policy's parameters follow it

A part is a dataclass of settings; configuration re-numbers an instance and never swaps its class. What it reads beyond what play
always records it names in ``reads``, and what it adds in ``writes``: a method whose parts do not fit is refused before anything starts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from marl_llm.agent import Agent
from marl_llm.algorithm import Algorithm, Setup
from marl_llm.inference.speech import Speech
from marl_llm.matches import Match
from marl_llm.records import Batch

PLAYER = "self"
"""Name of the trained player in matches and checkpoints."""


Memory = dict[str, float]
"""What a part carries from one iteration to the next, by name; a run's checkpoints keep it bit for bit."""


@dataclass(frozen=True)
class Part:
    """What every part says of the columns of a batch."""

    @property
    def reads(self) -> tuple[str, ...]:
        """Columns it needs beside what play always records."""
        return ()

    @property
    def writes(self) -> tuple[str, ...]:
        """Columns it adds, or changes."""
        return ()


@dataclass(frozen=True)
class Sampler:
    """Plans matches. What it plans is a function of the iteration, the root seed, the league and ``memory``."""

    @property
    def reads(self) -> tuple[str, ...]:
        """Columns that it needs of the matches that ended, beside what play always records."""
        return ()

    def plan(self, step: int, setup: Setup, memory: Memory) -> Sequence[Match]:
        """The matches that iteration ``step`` begins with."""
        raise NotImplementedError

    def react(self, ended: Batch, step: int, setup: Setup, memory: Memory) -> Sequence[Match]:
        """Further matches of the iteration, now that all of ``ended`` have been played: forks of them, or more where they are too few."""
        return ()

    def notes(self, setup: Setup, memory: Memory) -> tuple[str, ...]:
        """What every seat of a language model is told in this iteration after the rules; nothing changes where there is none."""
        return ()

    def companions(self, agent: Agent) -> Mapping[str, Agent]:
        """Further players that matches name, by what they are called, made of the player's own ``agent``."""
        return {}

    def accept(self, batch: Batch, memory: Memory) -> Batch:
        """The matches of an iteration that are learned from. Here alone ``memory`` may change: an iteration that is interrupted is
        played again."""
        return batch


@dataclass(frozen=True)
class RewardTransform(Part):
    """Adds reward channels: columns named after the channel at token, turn, seat or match level, or changes those there are."""

    def channels(self, batch: Batch, units: Mapping[str, float], memory: Memory) -> Batch:
        """``units`` has for every game what its rewards are measured in, see ``algorithms.rewards.unit_of``."""
        raise NotImplementedError


@dataclass(frozen=True)
class OutcomeTransform(RewardTransform):
    """One that makes another outcome of a match's outcomes."""

    @property
    def reads(self) -> tuple[str, ...]:
        return ("seat.outcome",)

    @property
    def writes(self) -> tuple[str, ...]:
        return ("seat.outcome",)


@dataclass(frozen=True)
class Credited:
    """What a credit says of a batch. ``advantage`` is float64, one a turn, or one a token where tokens are told apart;
    ``target``, of the same shape, is what a critic should have said, where the method has one; ``group``, a number for every turn, says
    what a loss that compares trajectories compares with each other."""

    advantage: NDArray[np.float64]
    target: NDArray[np.float64] | None = None
    group: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Credit(Part):
    """Turns a batch's reward channels into advantages."""

    @property
    def reads(self) -> tuple[str, ...]:
        return ("turn.game", "turn.format")

    def start(self, setup: Setup) -> Crediting:
        """What gives credit in a run: this itself, or what learns beside the policy; ``Unsuitable`` for games that it is not for."""
        return self

    def assign(self, batch: Batch, memory: Memory) -> Credited:
        """``memory`` is empty in the first iteration of a run, and changed in place."""
        raise NotImplementedError

    def save(self, folder: Path) -> None:
        """There is nothing but ``memory``."""

    def load(self, folder: Path) -> None:
        """There is nothing but ``memory``."""


class Crediting(Protocol):
    """A credit at work, with what it has learned."""

    def assign(self, batch: Batch, memory: Memory) -> Credited: ...

    def save(self, folder: Path) -> None:
        """Into an existing folder."""
        ...

    def load(self, folder: Path) -> None: ...


@dataclass(frozen=True)
class Choices:
    """What a loss sees: every learned choice of a batch, one row each (a token that was not forced, or a whole move).

    A *context* is all that determines a distribution (prompt, reply so far, support); equal contexts are one row of the
    tables, however often they were met. Where the support is a model's whole vocabulary, only the sampled token's
    probability is known: there a context includes the token, and has it as its single place. A *unit* is a set of contexts
    that belong in one gradient step: those of a prompt's legal replies, or of one free reply.
    Shapes: N choices, C contexts, S places of the widest support.

    ``context`` [N], ``place`` [N] in the support, ``turn`` and ``token`` [N] rows of the batch (equal where a move is no
    tokens), ``logp`` [N] as sampled, ``weight`` [N] in the loss; ``old`` [C, S] the log-probabilities it was sampled from
    (-inf beyond the support), ``whole`` [C] true for whole vocabularies, ``unit`` [C], ``cost`` [C] tokens to compute.
    """

    context: Tensor
    place: Tensor
    turn: NDArray[np.int64]
    token: NDArray[np.int64]
    logp: Tensor
    weight: Tensor
    old: Tensor
    whole: Tensor
    unit: NDArray[np.int64]
    cost: NDArray[np.int64]

    @staticmethod
    def of(
        context: NDArray[np.int64],
        place: NDArray[np.int64],
        turn: NDArray[np.int64],
        old: Tensor,
        *,
        token: NDArray[np.int64] | None = None,
        whole: NDArray[np.bool_] | None = None,
        unit: NDArray[np.int64] | None = None,
        cost: NDArray[np.int64] | None = None,
    ) -> Choices:
        """Choices of equal weight. Left out, every context is a unit of its own, of equal cost, over a known support."""
        rows, places, contexts = torch.from_numpy(context), torch.from_numpy(place), len(old)
        return Choices(
            rows,
            places,
            turn,
            turn if token is None else token,
            old[rows, places],
            torch.full((len(rows),), 1 / max(len(rows), 1), dtype=old.dtype),
            old,
            torch.zeros(contexts, dtype=torch.bool) if whole is None else torch.from_numpy(whole),
            np.arange(contexts) if unit is None else unit,
            np.ones(contexts, np.int64) if cost is None else cost,
        )

    @property
    def mass(self) -> Tensor:
        """Weight of all choices made in each context, shape [C]."""
        return torch.zeros(len(self.old), dtype=self.weight.dtype).index_add_(0, self.context, self.weight)

    def weighted(self, weight: NDArray[np.float64]) -> Choices:
        """The same choices with other weights, shape [N]."""
        return replace(self, weight=torch.from_numpy(weight).to(self.old.dtype))

    def take(self, contexts: NDArray[np.int64]) -> tuple[Choices, NDArray[np.int64]]:
        """The choices made in the given contexts, which are renumbered in that order; and which choices these are."""
        number = np.full(len(self.old), -1)
        number[contexts] = np.arange(len(contexts))
        mine = np.flatnonzero(number[self.context.numpy()] >= 0)
        part = Choices(
            torch.from_numpy(number[self.context.numpy()[mine]]),
            self.place[mine],
            self.turn[mine],
            self.token[mine],
            self.logp[mine],
            self.weight[mine],
            self.old[contexts],
            self.whole[contexts],
            self.unit[contexts],
            self.cost[contexts],
        )
        return part, mine


Minimised = tuple[Tensor, dict[str, Tensor]]
"""A loss, and figures to log; both sums over choices, each by its weight."""


@dataclass(frozen=True)
class Loss:
    """What a gradient step minimises, from the policy's log-probabilities over all supports."""

    joint: ClassVar[bool] = False
    """Whether it compares choices with each other, so that every step takes in the whole batch: then ``gains`` comes first."""

    @property
    def reference(self) -> float | None:
        """Share of the policy that the copy of it which the loss compares to takes on an iteration; None without one."""
        return None

    def settings(self, progress: float) -> dict[str, float]:
        """Settings that change over a run, to log."""
        return {}

    def weights(self, choices: Choices, batch: Batch) -> NDArray[np.float64]:
        """How much each choice counts, shape [N]: their mean unless told."""
        return np.full(len(choices.turn), 1 / max(len(choices.turn), 1))

    def gains(self, logp: Tensor, choices: Choices, reference: Tensor | None, credited: Credited, batch: Batch) -> Minimised:
        """Of a joint loss, what stands for the advantage in ``value``, [N], at the policy as it is: minus the derivative by each choice's
        log-probability ``logp`` [N]; ``reference`` [N]. And figures to log."""
        raise NotImplementedError

    def value(self, logp: Tensor, choices: Choices, advantage: Tensor, reference: Tensor | None, progress: float) -> Minimised:
        """``logp`` and ``reference`` [C, S], ``advantage`` [N]; ``progress`` runs from 0 to 1."""
        raise NotImplementedError


class Policy(Protocol):
    """What a learner trains: parameters and, with gradients, log-probabilities of a batch's contexts."""

    @property
    def agent(self) -> Agent:
        """The player, live."""
        ...

    def parameters(self) -> list[Tensor]: ...

    def choices(self, batch: Batch) -> Choices:
        """The learned choices of ``batch``; the contexts laid out here serve ``forward`` until the next call."""
        ...

    def forward(self, contexts: NDArray[np.int64]) -> tuple[Tensor, Tensor | None]:
        """Log-probabilities over the supports of the given contexts, [len(contexts), S], and a critic's values, [len(contexts)]."""
        ...

    def values(self, batch: Batch) -> Batch:
        """``batch`` with the critic's columns ``turn.value`` and, where moves are tokens, ``token.value``."""
        ...

    def updated(self) -> None:
        """Parameters have changed."""
        ...

    def save(self, folder: Path) -> None:
        """Parameters as tensors, without loss of precision."""
        ...

    def load(self, folder: Path) -> None: ...

    def save_agent(self, folder: Path) -> None:
        """The player alone."""
        ...

    def save_past(self, folder: Path) -> None:
        """The same for a league of this run."""
        ...


@dataclass(frozen=True)
class Learner:
    """Makes the running learner for a policy."""

    def start(self, policy: Policy, loss: Loss, horizon: int, seed: int) -> Running:
        raise NotImplementedError


class Running(Protocol):
    """A learner with its state."""

    def learn(self, batch: Batch, credited: Credited, step: int) -> Mapping[str, float]: ...

    def referred(self, batch: Batch) -> Batch:
        """``batch`` with ``turn.reference``: the mean log-probability of each turn's learned choices under the loss's reference."""
        ...

    def save(self, folder: Path) -> None: ...

    def load(self, folder: Path) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Language(Speech):
    """How a language model plays, and which of its parameters are trained."""

    lora: int = 0
    """Rank of low-rank adapters on all linear layers (LoRA; Hu et al., 2021), which alone are trained; 0 trains the whole model."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Numbers that the model computes in. Adapters are kept in float32."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """A composed policy-gradient method; a recipe is an instance of it."""

    sampler: Sampler
    reward: RewardTransform
    shaping: tuple[RewardTransform, ...] = ()
    """What changes the reward afterwards, in this order."""
    credit: Credit
    loss: Loss
    learner: Learner
    language: Language = Language()
    learners: Literal["shared", "seat"] = "shared"
    """One policy with its learner for all seats, or one for every seat."""
    horizon: int
    """Iterations that schedules are laid over; a run of other length stops early or goes on with the last values."""

    def build(self, setup: Setup) -> Algorithm:
        """The algorithm for the games of ``setup``, with the policy that its model names."""
        from algorithms.composed import Composed

        return Composed(self, setup)
