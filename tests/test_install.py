"""The wheel in a bare environment: only the core's own dependencies, and every name either works or says what to install."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PACKAGES = ("marl_llm", "games", "algorithms", "tournaments")


def needed(name: str, found: set[str]) -> set[str]:
    """Distributions that ``name`` needs here without any extra, by canonical name."""
    for requirement in map(Requirement, distribution(name).requires or []):
        package = canonicalize_name(requirement.name)
        if package not in found and (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
            found.add(package)
            needed(package, found)
    return found


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel and its declared dependencies, nothing else; its python."""
    root = tmp_path_factory.mktemp("bare")
    source = root / "source"
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(root), str(source)], check=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(root / "venv")], check=True)
    site = next((root / "venv").glob("lib/python*/site-packages"))
    (wheel,) = root.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--no-compile", "--target", str(site), str(wheel)], check=True)
    for name in needed("marl-llm", set()):
        files = distribution(name).files or []
        for top in {file.parts[0] for file in files if ".." not in file.parts and file.parts[0] != "__pycache__"}:
            (site / top).symlink_to(Path(str(distribution(name).locate_file(top))))
    return root / "venv" / "bin" / "python"


def run(python: Path, code: str) -> str:
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False, cwd=python.parent)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_carries_everything(bare: Path) -> None:
    site = next(bare.parent.parent.glob("lib/python*/site-packages"))
    assert (site / "marl_llm" / "py.typed").exists()
    for package in PACKAGES:
        tracked = {path.relative_to(ROOT) for path in (ROOT / package).rglob("*") if path.suffix in (".py", ".yaml", ".jinja")}
        missing = [str(path) for path in tracked if not (site / path).exists()]
        assert not missing
    assert not (site / "tests").exists()


def test_the_core_works_alone(bare: Path) -> None:
    out = run(
        bare,
        "import importlib.util as u; assert not any(u.find_spec(n) for n in ('torch', 'pyspiel', 'transformers', 'pytest'))\n"
        "from marl_llm import registry; from marl_llm.agents.pool import AgentPool\n"
        "from marl_llm.matches import self_play; from marl_llm.play import play\n"
        "spec = 'marl_llm.templates.new_game.game:NewGame'\n"
        "(batch,) = play(self_play(spec, 'random', 2, 20, 0), AgentPool(), registry.game)\n"
        "print(len(batch))",
    )
    assert out.strip() == "20"


def test_every_name_works_or_prints_its_pip_line(bare: Path) -> None:
    out = run(
        bare,
        "import json\nfrom marl_llm.catalogue import catalogue\nfrom marl_llm.registry import load\n"
        "from marl_llm.errors import UserError\nsaid = []\n"
        "for section, entries in catalogue().items():\n"
        "    for entry in entries.values():\n"
        "        try: load(entry, section[:-1]); said.append([section, entry.name, entry.extra, None])\n"
        "        except UserError as error: said.append([section, entry.name, entry.extra, str(error)])\n"
        "print(json.dumps(said))",
    )
    said = json.loads(out)
    assert len(said) > 20
    for section, name, extra, message in said:
        expected = None if extra is None else f"{section[:-1]} {name!r} needs the extra {extra!r}: pip install 'marl-llm[{extra}]'"
        assert message == expected


def test_commands_in_the_bare_environment(bare: Path) -> None:
    for words, code, text in (
        (["games"], 0, "kuhn_poker"),
        (["games", "kuhn_poker"], 2, "pip install 'marl-llm[openspiel]'"),
        (["doctor"], 0, "pip install 'marl-llm[llm]'"),
    ):
        argv = [bare, "-c", "import sys; from marl_llm.cli import run; run()", *words]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=bare.parent)
        assert done.returncode == code, done.stderr
        assert text in done.stdout + done.stderr
