"""A language model that chooses among the legal replies, and speaks in its own words where there is no list of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from marl_llm.agent import Decision, Request
from marl_llm.agents.free import FreeAgent
from marl_llm.agents.language import LanguageAgent
from marl_llm.inference.speech import CHOOSE, Speech
from marl_llm.ragged import Ragged


class TalkingAgent:
    """One causal language model of transformers with its tokenizer, asked by two agents: one chooses, one speaks. ``version``
    counts the updates of its weights."""

    def __init__(self, model: Any, tokenizer: Any, speech: Speech = CHOOSE) -> None:
        self.chooser, self.speaker = LanguageAgent(model, tokenizer, speech), FreeAgent(model, tokenizer, speech)
        self.model, self.tokenizer, self.speech = self.chooser.model, tokenizer, speech

    @property
    def version(self) -> int:
        return self.chooser.version

    @version.setter
    def version(self, version: int) -> None:
        self.chooser.version = self.speaker.version = version

    def updated(self) -> None:
        """The weights have changed. ValueError while messages are under way: they would be of two versions."""
        self.speaker.updated()
        self.chooser.updated()

    def told(self, notes: tuple[str, ...]) -> None:
        """Other notes from now on, see ``Speech``."""
        self.speaker.told(notes)
        self.chooser.told(notes)
        self.speech = self.chooser.speech

    def policy(self, request: Request) -> Ragged:
        return self.chooser.policy(request)

    def submit(self, request: Request) -> None:
        listed = request.legal.lengths > 0
        if listed.all():
            self.chooser.submit(request)
            return
        if listed.any():
            self.chooser.submit(request.take(np.flatnonzero(listed)))
        self.speaker.submit(request.take(np.flatnonzero(~listed)))

    def poll(self, wait_s: float) -> Sequence[Decision]:
        """What was chosen, at once; else speak until some messages are complete."""
        return self.chooser.poll(0) or self.speaker.poll(wait_s)

    def save(self, folder: Path, model: Any = None) -> None:
        """An ordinary Hugging Face folder, marked with the loader for ours; of ``model``, if that is another form of this one."""
        self.chooser.save(folder, model)
