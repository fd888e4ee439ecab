"""Players that are adapters (LoRA) over one base model: in memory and on disk each costs its adapters alone.

The base is read once a folder and shape of adapters. It has room for one set; a player puts its own there when it computes.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from marl_llm.agents.language import agent_of
from marl_llm.checkpoint import load_json, load_tensors
from marl_llm.errors import UserError
from marl_llm.inference.folder import quiet, read
from marl_llm.inference.speech import Speech


class Base:
    """A model with room for one set of adapters, and who holds it."""

    def __init__(self, folder: str, config: str, dtype: str) -> None:
        from peft import LoraConfig, get_peft_model

        model, self.tokenizer = read(Path(folder))
        self.model = model.to(getattr(torch, dtype)).eval()
        with torch.random.fork_rng(devices=[]):  # what adapters begin as is drawn, and then overwritten
            self.adapted = get_peft_model(self.model, LoraConfig(**json.loads(config))).eval()
        self.holder: OnBase | None = None


base = lru_cache(maxsize=1)(Base)


class OnBase:
    """A causal language model as far as sampling needs one: its base with its own adapters."""

    def __init__(self, base: Base, adapters: dict[str, Tensor]) -> None:
        self.base, self.adapters = base, adapters
        self.config = base.model.config

    @property
    def device(self) -> Any:
        return self.base.model.device

    def eval(self) -> OnBase:
        return self

    def get_decoder(self) -> Any:
        """The base's decoder, with these adapters in place until another player asks for it."""
        if self.base.holder is not self:
            from peft import set_peft_model_state_dict

            set_peft_model_state_dict(self.base.adapted, self.adapters)
            self.base.holder = self
        return self.base.model.get_decoder()

    def get_output_embeddings(self) -> Any:
        return self.base.model.get_output_embeddings()


def save(folder: Path, adapted: Any, base: Path, speech: Speech) -> None:
    """``adapted``, PEFT's wrapper, as an ordinary PEFT folder, marked with our loader and the folder of its base."""
    with quiet():
        adapted.save_pretrained(folder)
    card = {"loader": "adapters", "base": str(base.resolve()), "dtype": str(adapted.dtype).removeprefix("torch.")}
    (folder / "agent.json").write_text(json.dumps({**card, "speech": speech.json()}))


def load(folder: Path) -> Any:
    """A player that ``save`` wrote."""
    card, config = load_json(folder / "agent.json"), load_json(folder / "adapter_config.json")
    if not (Path(card["base"]) / "config.json").exists():
        raise UserError(f"the base model of {folder} is not at {card['base']} any more; put it back there")
    shape = {name: config[name] for name in ("r", "lora_alpha", "lora_dropout")} | {"target_modules": sorted(config["target_modules"])}
    shared = base(card["base"], json.dumps(shape), card["dtype"])
    return agent_of(OnBase(shared, load_tensors(folder / "adapter_model.safetensors")), shared.tokenizer, Speech(**card["speech"]))
