"""What an agent is: something that answers batches of decisions. It holds no state of any match.

Memory travels: what an agent wants to know at its next turn it returns in ``Decision.memory`` and finds again in
``Request.memory``. The random stream of a decision is ``Request.seed``, so equal decisions are decided equally however
they were batched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from marl_llm.boards import Views
from marl_llm.game import Action
from marl_llm.ragged import Ragged, padded
from marl_llm.seeding import uniform

Fault = Literal["ok", "unparsable", "illegal", "truncated", "timeout", "crash", "outage"]
FAULTS: tuple[Fault, ...] = get_args(Fault)
OK, UNPARSABLE, ILLEGAL, TRUNCATED, TIMEOUT, CRASH, OUTAGE = range(len(FAULTS))


@dataclass(frozen=True)
class Request:
    """Decisions to make, one row each; all rows are of one game.

    ``seat``, ``turn`` (the seat's own turn index) and ``attempt`` are int64 columns, ``seed`` is uint64; ``fault`` holds
    the code (index into ``FAULTS``) of the row's failed previous attempt, 0 if there was none. ``shared`` are seeds that seats of
    one match have in common at their k-th turns: randomness that a team agreed on before it parted.
    """

    id: NDArray[np.int64]
    seat: NDArray[np.int64]
    turn: NDArray[np.int64]
    seed: NDArray[np.uint64]
    views: Views
    legal: Ragged
    memory: Sequence[Any]
    fault: NDArray[np.int8]
    budget_s: float | None = None
    shared: NDArray[np.uint64] | None = None

    def __len__(self) -> int:
        return len(self.id)

    def take(self, rows: NDArray[np.int64]) -> Request:
        """The given rows only."""
        return Request(
            self.id[rows],
            self.seat[rows],
            self.turn[rows],
            self.seed[rows],
            self.views.take(rows),
            self.legal.take(rows),
            [self.memory[i] for i in rows.tolist()],
            self.fault[rows],
            self.budget_s,
            None if self.shared is None else self.shared[rows],
        )


@dataclass(frozen=True)
class Decision:
    """Answers to some rows of a request, in any order.

    ``record`` goes straight into the batch: columns named ``turn.x`` (arrays, one entry a row), ``legal.x`` and
    ``token.x`` (Ragged, one row a decision) and ``support.x`` (Ragged, one row a token). ``streams`` holds the distinct
    prompts' token ids; the columns ``turn.stream`` (row of ``streams``) and ``turn.prompt_end`` (tokens of it that are
    the prompt) refer to it.
    """

    id: NDArray[np.int64]
    action: NDArray[Any]
    fault: NDArray[np.int8]
    memory: Sequence[Any]
    version: int = 0
    record: Mapping[str, NDArray[Any] | Ragged] = field(default_factory=dict)
    streams: Ragged | None = None

    def take(self, rows: NDArray[np.int64]) -> Decision:
        """The answers to the given rows only."""
        record: dict[str, NDArray[Any] | Ragged] = {}
        for name, values in self.record.items():
            if name.startswith("support.") and isinstance(values, Ragged):
                tokens = next(v for n, v in self.record.items() if n.startswith("token.") and isinstance(v, Ragged))
                entries = Ragged(np.arange(len(tokens.data)), tokens.starts).take(rows).data
                record[name] = values.take(entries)
            else:
                record[name] = values.take(rows) if isinstance(values, Ragged) else values[rows]
        memory = [self.memory[i] for i in rows.tolist()]
        return Decision(self.id[rows], self.action[rows], self.fault[rows], memory, self.version, record, self.streams)


class Agent(Protocol):
    """Anything that plays. ``submit`` starts work and returns; ``poll`` gives any finished rows, in any order."""

    def submit(self, request: Request) -> None: ...

    def poll(self, wait_s: float) -> Sequence[Decision]: ...

    def policy(self, request: Request) -> Ragged:
        """Probabilities of the legal actions, aligned with ``request.legal``; TypeError for an agent that has none."""
        ...


class Immediate:
    """An agent that decides when asked. Give it ``decide`` and, where it has one, ``policy``."""

    def __init__(self) -> None:
        self._done: list[Decision] = []

    def decide(self, request: Request) -> Decision:
        """Sample from ``policy``."""
        return sampled(request, self.policy(request))

    def policy(self, request: Request) -> Ragged:
        raise TypeError(f"{type(self).__name__} has no policy over the legal actions, so it cannot be evaluated exactly")

    def submit(self, request: Request) -> None:
        self._done.append(self.decide(request))

    def poll(self, wait_s: float) -> Sequence[Decision]:
        done, self._done = self._done, []
        return done


def draw(probabilities: Ragged, seed: NDArray[np.uint64], k: int = 0) -> NDArray[np.int64]:
    """For every row the place of an entry drawn with the given probabilities, by draw ``k`` of the row's stream; it does not depend on
    the row's company."""
    mass = np.cumsum(padded(probabilities), axis=1)
    passed = (mass <= (uniform(seed, k) * mass[:, -1])[:, None]).sum(1)
    return np.minimum(passed, probabilities.lengths - 1)


def sampled(request: Request, policy: Ragged, **decision: Any) -> Decision:
    """The decision that draws from ``policy`` with each row's own stream; extra fields go to ``Decision``."""
    action = request.legal.at(draw(policy, request.seed))
    return answer(request, action, **decision)


def answer(request: Request, action: NDArray[Action], **decision: Any) -> Decision:
    """A faultless decision for every row."""
    decision.setdefault("memory", [None] * len(request))
    return Decision(request.id, action, np.zeros(len(request), np.int8), **decision)
