"""An environment's documentation, which its module carries as docstring, as rules to read: prose without headings, tables and code."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any

_LEFT_OUT = ("|", "#", "```", "This environment is part of", "![", "<img")
_OF_THE_API = re.compile(r"\n *#+ *(Arguments|Usage|Version|Step|API|Credits|Citation|References?)\b")
"""From here on it tells how the environment is made and stepped."""


def rules(env: Any) -> str:
    """The prose about ``env``; its name where there is none."""
    inner = type(env.unwrapped)
    page = inner.__doc__ or getattr(sys.modules[inner.__module__], "__doc__", None) or ""
    return "\n".join(_paragraphs(_OF_THE_API.split(f"\n{page}")[0])) or str(env.unwrapped)


def _paragraphs(page: str) -> Iterator[str]:
    for paragraph in page.split("\n\n"):
        lines = [line.strip() for line in paragraph.strip().splitlines() if not line.strip().startswith("#")]
        if lines and not lines[0].startswith(_LEFT_OUT):
            yield " ".join(re.sub(r"<[^<>]+>", "", line) for line in lines)
