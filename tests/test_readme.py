"""The README does what it says: every snippet is executed, section by section, and shown output is what comes out."""

from __future__ import annotations

import io
import re
import shlex
import subprocess
import tomllib
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from marl_llm import cli
from marl_llm.catalogue import catalogue

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
SECTIONS = {section.splitlines()[0].strip("# "): section for section in README.split("\n## ")}
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def make(words: list[str]) -> None:
    """The target is there, and its commands are ones we have."""
    done = subprocess.run(["make", "--dry-run", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout


def pip(words: list[str]) -> None:
    """The extras are there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = re.fullmatch(rf"{project['name']}\[(.+)\]", words[-1])
    assert asked
    assert set(asked[1].split(",")) <= set(project["optional-dependencies"])


def marl_llm(words: list[str]) -> None:
    assert cli.main(words[1:]) == 0


COMMANDS = {"make": make, "pip": pip, "marl-llm": marl_llm}


@pytest.mark.parametrize("title", [title for title, section in SECTIONS.items() if FENCE.search(section)])
def test_section(title: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO("1\n" * 20))  # somebody plays
    shown = ""
    for language, text in FENCE.findall(SECTIONS[title]):
        if language == "text":
            assert shown == text
        elif language == "bash":
            for line in text.splitlines():
                words = shlex.split(line)
                COMMANDS[words[0]](words)
        elif file := re.match(r"# (\w+\.py)\n", text):
            Path(file[1]).write_text(text)
        else:
            assert language == "python"
            with redirect_stdout(io.StringIO()) as out:
                exec(compile(text, title, "exec"), {"__name__": "__main__"})
            shown = out.getvalue()


def test_the_readme_begins_with_the_two_commands() -> None:
    assert FENCE.findall(README)[0] == ("bash", "make demo\nmake test\n")


def test_make_has_a_target_for_every_tier() -> None:
    markers = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["markers"]
    for marker in markers:
        make(["make", re.search(r"make ([\w-]+)\)", marker)[1]])  # type: ignore[index]


def test_every_recipe_of_the_tables_is_there() -> None:
    rows = [line for line in README.splitlines() if re.match(r"\| (sampler|reward|credit|loss|learner|`)", line)]
    named = {name for line in rows for name in re.findall(r"`([a-z][a-z0-9_-]+)`", line)}
    assert len(named) > 60
    assert named - {"vdn"} <= {*catalogue()["algorithms"], *catalogue()["games"]}
