"""Where things are kept that are made or fetched once."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """``$MARL_LLM_CACHE``, or the user's cache folder."""
    return Path(os.environ.get("MARL_LLM_CACHE") or Path.home() / ".cache" / "marl-llm")
