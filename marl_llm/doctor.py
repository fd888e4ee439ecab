"""``marl-llm doctor``: what is installed, what each missing extra would add, and what this machine has."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from typing import Any

from marl_llm import __version__
from marl_llm.catalogue import catalogue
from marl_llm.config import parse

OURS = "marl-llm"


@dataclass(frozen=True)
class Settings:
    json: bool = False
    """print one JSON object"""


def main(argv: Sequence[str]) -> int:
    settings = parse(Settings(), argv, prog="marl-llm doctor", description="Show what is installed and what is missing.")
    found = {"marl_llm": __version__, "python": platform.python_version(), **machine(), "extras": extras()}
    if settings.json:
        print(json.dumps(found))
        return 0
    print(f"marl-llm {__version__}, Python {found['python']}, {found['cores']} cores, {found['torch']}")
    print(", ".join(f"{len(entries)} {section}" for section, entries in catalogue().items() if section != "loaders"))
    for name, packages in found["extras"].items():
        missing = [package for package, there in packages.items() if not there]
        there = ", ".join(f"{package} {number}" for package, number in packages.items() if number)
        if missing:
            print(f"  {name:<12} missing {', '.join(missing)}: pip install '{OURS}[{name}]'")
        else:
            print(f"  {name:<12} {there}")
    return 0


def extras() -> dict[str, dict[str, str | None]]:
    """For every extra its packages and their installed versions; None for one that is missing."""
    found: dict[str, dict[str, str | None]] = {name: {} for name in metadata(OURS).get_all("Provides-Extra") or []}
    for line in requires(OURS) or []:
        asked, _, marker = line.partition(";")
        extra = re.search(r"extra == ['\"](.+?)['\"]", marker)
        package = re.match(r"[\w.-]+", asked)
        if extra and package and package[0] != OURS:
            found[extra[1]][package[0]] = _version(package[0])
    return found


def machine() -> dict[str, Any]:
    """Cores that this process may use, and torch's threads and devices."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if not _version("torch"):
        return {"cores": cores, "torch": "no torch"}
    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {"cores": cores, "torch": f"torch {torch.__version__} with {torch.get_num_threads()} threads, {', '.join(gpus) or 'no GPU'}"}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
