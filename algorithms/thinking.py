"""Two arms of a language model that answers in its own words: it thinks before it moves, or moves at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from algorithms.parts import PLAYER, Memory
from algorithms.samplers import Around, as_player
from marl_llm.agent import Agent, Decision, Request
from marl_llm.agents.free import FreeAgent
from marl_llm.agents.language import LanguageAgent
from marl_llm.algorithm import Setup, Unsuitable
from marl_llm.matches import Match
from marl_llm.records import Batch
from marl_llm.seeding import uniform

TAG, BRIEF = "arm", f"{PLAYER}:brief"
ARM = 10  # name of a random stream


class Brief(LanguageAgent):
    """The same model, made to choose among the legal replies without a word before."""

    def __init__(self, speaker: FreeAgent) -> None:
        super().__init__(speaker.model, speaker.tokenizer, replace(speaker.speech, reply="choose"))
        self.speaker = speaker

    def decide(self, request: Request) -> Decision:
        if self.version != self.speaker.version:
            self.updated()
            self.version = self.speaker.version
        return super().decide(request)


@dataclass(frozen=True, kw_only=True)
class ThinkOrNot(Around):
    """Every match is of one arm, by lot: the tag ``arm`` says ``think`` or ``skip``. Both arms of a deal are one group."""

    skip: float = 0.5
    """Share of matches without thought."""

    def companions(self, agent: Agent) -> Mapping[str, Agent]:
        if not isinstance(agent, FreeAgent):
            raise Unsuitable("only a language model that answers in its own words can think first; add --language.reply free")
        return {**super().companions(agent), BRIEF: Brief(agent)}

    def plan(self, step: int, setup: Setup, memory: Memory) -> Sequence[Match]:
        return [self._armed(match) for match in super().plan(step, setup, memory)]

    def react(self, ended: Batch, step: int, setup: Setup, memory: Memory) -> Sequence[Match]:
        return [self._armed(match) for match in super().react(ended, step, setup, memory)]

    def accept(self, batch: Batch, memory: Memory) -> Batch:
        return super().accept(as_player(batch, BRIEF), memory)

    def _armed(self, match: Match) -> Match:
        if not skipped(uniform(match.seed, match.sample, ARM), self.skip):
            return replace(match, tags={**match.tags, TAG: "think"})
        players = tuple(BRIEF if player == PLAYER else player for player in match.players)
        return replace(match, players=players, tags={**match.tags, TAG: "skip"})


def skipped(lot: float, share: float) -> bool:
    """Whether a uniform draw falls on the arm without thought."""
    return lot >= 1 - share
