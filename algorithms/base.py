"""The policy that a run's model names: a language model, whole or by adapters, or a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from algorithms.parts import Language, Policy
from marl_llm.algorithm import Requires, Setup, Unsuitable
from marl_llm.errors import MissingExtra, UserError
from marl_llm.seeding import fold


def make_policy(setup: Setup, language: Language, *, spread: bool = False) -> Policy:
    """From ``setup.model``: ``tiny`` (made for the games), ``smollm2``, ``tabular``, or a Hugging Face folder. With ``spread`` its agent
    records the probabilities of all legal moves."""
    games = [setup.load(spec) for spec in setup.games]
    if setup.model == "tabular":
        from algorithms.tabular import TabularPolicy

        if len(games) > 1:
            raise Unsuitable("model 'tabular' learns one game; give one --game")
        Requires().check("model 'tabular'", games[0].info)
        return TabularPolicy(games[0].info)
    from algorithms.language import LanguagePolicy
    from marl_llm.agents.language import agent_of
    from marl_llm.agents.talking import TalkingAgent
    from marl_llm.inference.folder import read

    folder = model_folder(setup.model, setup)
    if language.dtype == "bfloat16" and not language.lora:
        raise UserError("bfloat16 rounds away the small steps of training a whole model; add --language.lora 16, or leave float32")
    model, tokenizer = read(folder)
    model = model.to(getattr(torch, language.dtype))
    adapted = with_adapters(model, language.lora, setup.seed) if language.lora else None
    agent = agent_of(model, tokenizer, language)
    if isinstance(agent, TalkingAgent):
        agent.chooser.spread = spread
    return LanguagePolicy(agent, adapted, folder)


def model_folder(model: str | None, setup: Setup) -> Path:
    """The Hugging Face folder of ``tiny`` (made for the games, and what is taken for None), ``smollm2``, or one that is given."""
    from marl_llm.inference.smollm import smollm2
    from marl_llm.inference.tiny import tiny

    if model in (None, "tiny"):
        folder = tiny([setup.load(spec) for spec in setup.games], setup.seed, report=setup.report)
    else:
        folder = smollm2(setup.report) if model == "smollm2" else Path(str(model))
    if not (folder / "config.json").exists():
        raise UserError(f"model {model!r} is neither 'tiny', 'smollm2' nor 'tabular', nor a folder with a config.json; give one of these")
    return folder


def with_adapters(model: Any, rank: int, seed: int) -> Any:
    """PEFT's wrapper of ``model``, whose linear layers get adapters in place; they begin without effect."""
    if rank < 1:
        raise UserError(f"--language.lora is {rank}; expected the rank of the adapters, or 0 for none")
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        raise MissingExtra("--language.lora", "lora") from None
    with torch.random.fork_rng(devices=[]):  # PEFT draws from the global generator; our own draws follow
        adapted = get_peft_model(model, LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules="all-linear"))
    draws = torch.Generator().manual_seed(fold(seed, 3) >> 1)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "lora_A" in name:
                value.copy_((torch.rand(value.shape, generator=draws) * 2 - 1) / value.shape[1] ** 0.5)
    return adapted
