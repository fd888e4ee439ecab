"""Settings: flags, YAML, and one line for what is wrong with either."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Literal

import pytest
import tyro
from hypothesis import given
from hypothesis import strategies as st

from marl_llm.config import dump, parse
from marl_llm.errors import UserError


@dataclass(frozen=True)
class Loss:
    clip: float = 0.2
    """how far the ratio may go"""


@dataclass(frozen=True)
class Sum(Loss):
    length: int = 10


@dataclass(frozen=True)
class Term:
    level: str = "turn"
    weight: float = 1.0


@dataclass(frozen=True)
class Recipe:
    loss: Loss = Loss()
    terms: tuple[Term, ...] = (Term(), Term("match"))
    n_steps: int = 3
    shuffle: bool = True
    names: tuple[str, ...] = ("a",)
    limit: int | None = None
    kind: Literal["local", "ray"] = "local"


@dataclass(frozen=True)
class Command:
    recipe: tyro.conf.Positional[str]
    game: str
    resume: bool = False
    weights: dict[str, float] = field(default_factory=dict)


SET = Recipe(loss=Sum(), terms=(Term("match", 2.0), Term()))


def file(tmp_path: Path, text: str) -> str:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    return str(path)


def test_flags_renumber_the_parts_of_an_instance() -> None:
    got = parse(SET, ["--loss.length", "4", "--terms.1.weight=-0.5", "--no-shuffle", "--names", "x", "y", "--limit", "7", "--n-steps", "1"])
    assert got == replace(
        SET, loss=Sum(length=4), terms=(SET.terms[0], Term(weight=-0.5)), shuffle=False, names=("x", "y"), limit=7, n_steps=1
    )


def test_a_class_gives_defaults_and_required_flags() -> None:
    assert parse(Command, ["mars", "--game", "kuhn_poker", "--resume"]) == Command("mars", "kuhn_poker", True)
    with pytest.raises(UserError, match="Missing from marl-llm train: --game"):
        parse(Command, ["mars"], prog="marl-llm train")


def test_a_file_counts_less_than_a_flag(tmp_path: Path) -> None:
    path = file(tmp_path, "loss: {clip: 1e-3, length: 6}\nshuffle: false\nterms: [{weight: 3}, {}]\nlimit: null\n")
    got = parse(replace(SET, limit=4), ["--config", path, "--loss.length", "8"])
    assert got == replace(SET, loss=Sum(1e-3, 8), shuffle=False, terms=(Term("match", 3.0), Term()), limit=None)
    command = file(tmp_path, "game: kuhn_poker\nresume: true\nweights: {a: 1, b: 2}\n")
    assert parse(Command, ["mars", f"--config={command}"]) == Command("mars", "kuhn_poker", True, {"a": 1.0, "b": 2.0})


numbers = st.floats(allow_nan=False)


@given(clip=numbers, weight=numbers, steps=st.integers(), shuffle=st.booleans(), limit=st.none() | st.integers())
def test_dump_and_parse_are_inverse(
    tmp_path_factory: pytest.TempPathFactory, clip: float, weight: float, steps: int, shuffle: bool, limit: int | None
) -> None:
    settings = replace(SET, loss=Sum(clip), terms=(Term("x y", weight), Term()), n_steps=steps, shuffle=shuffle, limit=limit, names=())
    path = tmp_path_factory.getbasetemp() / "round.yaml"
    path.write_text(dump(settings))
    assert parse(SET, ["--config", str(path)]) == settings


@pytest.mark.parametrize(
    ("argv", "text", "words"),
    [
        (["--los.clip", "3"], "", ["--los.clip", "did you mean --loss.clip"]),
        (["--loss.clip", "wide"], "", ["--loss.clip", "wide"]),
        (["--kind", "cloud"], "", ["--kind", "cloud", "local", "ray"]),
        (["--n-steps"], "", ["--n-steps"]),
        ([], "loss: {clp: 3}", ["c.yaml", "loss.clp", "did you mean loss.clip"]),
        ([], "loss: {clip: wide}", ["--loss.clip", "wide", "c.yaml"]),
        ([], "loss: 3", ["loss", "mapping of clip, length"]),
        ([], "terms: [{weight: 3}]", ["terms", "list of 2 mappings"]),
        ([], "[1, 2]", ["[1, 2]", "mapping"]),
        ([], "loss: {", ["c.yaml", "not YAML"]),
        ([], "loss: {target: 'os:system'}", ["unknown", "loss.target"]),
        (["--config"], "", ["--config needs a file"]),
        (["--config", "nowhere.yaml"], "", ["nowhere.yaml"]),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argv: list[str], text: str, words: list[str], encoding: str
) -> None:
    monkeypatch.setattr("sys.stdout", TextIOWrapper(BytesIO(), encoding))
    with pytest.raises(UserError) as caught:
        parse(SET, [*argv, *(["--config", file(tmp_path, text)] if text else [])])
    message = str(caught.value)
    assert "\n" not in message
    assert "│" not in message
    assert "---" not in message
    assert all(word in message for word in words), message


def test_help_is_printed_and_ends_well(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        parse(SET, ["--help"], prog="marl-llm train mars", description="Train.")
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert "--loss.clip" in out
    assert "how far the ratio may go" in out
    assert "--config FILE" in out
