"""Plays every legal action equally often."""

from __future__ import annotations

import numpy as np

from marl_llm.agent import Decision, Immediate, Request, answer
from marl_llm.ragged import Ragged
from marl_llm.seeding import uniform


class RandomAgent(Immediate):
    def decide(self, request: Request) -> Decision:
        lengths = request.legal.lengths
        return answer(request, request.legal.at((uniform(request.seed, 0) * lengths).astype(np.int64)))

    def policy(self, request: Request) -> Ragged:
        lengths = request.legal.lengths
        return Ragged(np.repeat(1.0 / lengths, lengths), request.legal.starts)
