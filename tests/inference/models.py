"""Small random Llamas with a real tokenizer, for tests of the machinery around them."""

from __future__ import annotations

from functools import cache

import torch

from marl_llm import registry
from marl_llm.agents.language import LanguageAgent
from marl_llm.inference.tiny import Tiny, collect, make_model, make_tokenizer

SHAPE = Tiny(hidden=32, layers=2, heads=2)


@cache
def decisions_of(spec: str):
    return collect(registry.game(spec), 64, 1)


@cache
def tokenizer_of(spec: str):
    return make_tokenizer([f"{game.rules(seat)} {text}" for game, seat, text, _ in decisions_of(spec)], 400)


def random_agent(spec: str = "kuhn_poker", seed: int = 0, *, double: bool = False) -> LanguageAgent:
    """An untrained agent whose policy is far from uniform, so that mistakes show."""
    model = make_model(tokenizer_of(spec), SHAPE, seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(10.0 if parameter.ndim > 1 else 1.0)
    return LanguageAgent(model.double() if double else model, tokenizer_of(spec))
