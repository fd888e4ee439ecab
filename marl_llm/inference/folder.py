"""Models as ordinary Hugging Face folders: safetensors only, and no code from the folder is run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging


def read(folder: Path) -> tuple[Any, Any]:
    """Model and tokenizer."""
    with quiet():
        model = AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True, trust_remote_code=False)
        return model, AutoTokenizer.from_pretrained(folder, trust_remote_code=False)


def write(folder: Path, model: Any, tokenizer: Any) -> None:
    """What ``read`` and transformers itself read."""
    with quiet():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' bars, which would break our own."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
