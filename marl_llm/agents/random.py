"""Plays every legal action equally often; where the answer is open, a random one."""

from __future__ import annotations

import numpy as np

from marl_llm.agent import Decision, Immediate, Request, answer
from marl_llm.answers import at_random
from marl_llm.ragged import Ragged


class RandomAgent(Immediate):
    def decide(self, request: Request) -> Decision:
        return answer(request, at_random(request.views, request.legal, request.seed))

    def policy(self, request: Request) -> Ragged:
        lengths = request.legal.lengths
        return Ragged(np.repeat(1.0 / lengths, lengths), request.legal.starts)
