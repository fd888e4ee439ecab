"""``marl-llm new-game NAME``: writes a package with a working game in it, its catalogue and its test, ready to be changed."""

from __future__ import annotations

import keyword
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from marl_llm.config import parse
from marl_llm.errors import UserError

TEMPLATES = Path(__file__).parent / "templates" / "new_game"

PYPROJECT = """\
[build-system]
requires = ["setuptools>=69"]
build-backend = "setuptools.build_meta"

[project]
name = "{name}"
version = "0.1.0"
description = "A game for marl-llm"
requires-python = ">=3.11"
dependencies = ["marl-llm"]

[project.entry-points."marl_llm.catalogue"]
{name} = "{name}:catalogue.yaml"

[tool.setuptools.packages.find]
where = ["src"]

[tool.setuptools.package-data]
{name} = ["catalogue.yaml"]

[tool.pytest.ini_options]
pythonpath = ["src"]
"""

CATALOGUE = """\
games:
  {name}:
    target: {name}.game:{kind}
    summary: Take 1 to 3 stones in turn; who takes the last one wins
"""


@dataclass(frozen=True)
class Settings:
    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")]
    """lower-case name of the game, its package and its folder"""
    into: Path = Path()
    """folder in which the package's folder is made"""


def main(argv: Sequence[str]) -> int:
    settings = parse(Settings, argv, prog="marl-llm new-game", description="Write a package with a new game in it.")
    root = write(settings.name, settings.into)
    kind = class_name(settings.name)
    print(f"wrote {root}. Next:")
    print(f"  marl-llm check-game {root / 'src' / settings.name / 'game.py'}:{kind}")
    print(f"  cd {root} && python -m pytest")
    print(f"  pip install -e {root}    # then it is a game by name: marl-llm play {settings.name}")
    return 0


def write(name: str, into: Path) -> Path:
    """Write the package; its folder. UserError for a name that cannot be one, and for a folder that is there already."""
    if not name.isidentifier() or keyword.iskeyword(name) or name != name.lower() or name in sys.stdlib_module_names:
        raise UserError(f"{name!r} cannot name a package; expected lower-case letters, digits and _, such as {'my_game'!r}")
    root = into / name
    if root.exists():
        raise UserError(f"{root} exists already; choose another name or remove it")
    package = Path("src") / name  # an installed package is then found also by who stands beside its folder
    texts = {
        Path("pyproject.toml"): PYPROJECT.format(name=name),
        package / "__init__.py": "",
        package / "catalogue.yaml": CATALOGUE.format(name=name, kind=class_name(name)),
        package / "game.py": _template("game.py", name),
        Path("tests") / "test_game.py": _template("test_game.py", name),
    }
    for path, text in texts.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def class_name(name: str) -> str:
    """``my_game`` becomes ``MyGame``."""
    return "".join(part.capitalize() for part in name.split("_"))


def _template(file: str, name: str) -> str:
    text = (TEMPLATES / file).read_text().replace("marl_llm.templates.new_game", name)
    return text.replace("NewGame", class_name(name)).replace("new_game", name)
