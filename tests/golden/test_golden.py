"""Built-in games play as they did when their golden playthroughs were written."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parent


def _regenerate() -> ModuleType:
    spec = spec_from_file_location("regenerate_golden", HERE / "regenerate.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GOLDEN = _regenerate()


@pytest.mark.parametrize("name", GOLDEN.GAMES)
def test_playthrough_is_unchanged(name: str) -> None:
    stored = (HERE / f"{name}.txt").read_text()
    assert GOLDEN.playthrough(*GOLDEN.GAMES[name]) == stored, "meant to change? run: python tests/golden/regenerate.py"


def test_every_file_has_a_game() -> None:
    assert {file.stem for file in HERE.glob("*.txt")} == set(GOLDEN.GAMES)
