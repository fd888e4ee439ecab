"""The moves that a match itself gives: those before a fork."""

from __future__ import annotations

from marl_llm.agent import Decision, Immediate, Request, answer
from marl_llm.answers import column


class Given(Immediate):
    """Plays the move that it finds in ``Request.memory``, which play puts there."""

    def decide(self, request: Request) -> Decision:
        return answer(request, column(request.views.game.info, list(request.memory)))
