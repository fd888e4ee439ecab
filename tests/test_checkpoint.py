"""Checkpoints are whole or refused by name, whatever happens to the disk or the process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from marl_llm import checkpoint
from marl_llm.errors import UserError


def fill(folder: Path) -> None:
    checkpoint.save_json(folder / "state.json", {"step": 1})
    (folder / "model").mkdir()
    checkpoint.save_tensors(folder / "model" / "weights.safetensors", {"w": np.arange(1000.0)})


@pytest.fixture
def run(tmp_path: Path) -> Path:
    for step in (0, 2, 10):
        checkpoint.write(checkpoint.path_of(tmp_path, step), fill)
    return tmp_path


def test_newest_is_by_number(run: Path) -> None:
    assert checkpoint.steps(run) == [0, 2, 10]
    assert checkpoint.newest(run) == checkpoint.path_of(run, 10)
    assert checkpoint.at(run, 2) == checkpoint.path_of(run, 2)
    with pytest.raises(UserError, match="no checkpoint of step 3; it has 0, 2, 10"):
        checkpoint.at(run, 3)


WEIGHTS = "model/weights.safetensors"


def truncate(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-1])


def flip(folder: Path) -> None:
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[-7] ^= 1
    (folder / WEIGHTS).write_bytes(data)


def lose_file(folder: Path) -> None:
    (folder / "state.json").unlink()


def lose_marker(folder: Path) -> None:
    (folder / checkpoint.MARKER).unlink()


def break_marker(folder: Path) -> None:
    (folder / checkpoint.MARKER).write_text('{"format": 1, "fil')


def come_from_the_future(folder: Path) -> None:
    marker = json.loads((folder / checkpoint.MARKER).read_text())
    (folder / checkpoint.MARKER).write_text(json.dumps({**marker, "format": 99}))


DAMAGE = [
    (truncate, "weights.safetensors has"),
    (flip, "weights.safetensors was altered"),
    (lose_file, "state.json is missing"),
    (lose_marker, "never finished"),
    (break_marker, "never finished"),
    (come_from_the_future, "format 99"),
]


@pytest.mark.parametrize(("damage", "named"), DAMAGE, ids=[damage.__name__ for damage, _ in DAMAGE])
def test_damage_is_named_and_the_newest_good_one_offered(run: Path, damage: object, named: str) -> None:
    damage(checkpoint.path_of(run, 10))  # type: ignore[operator]
    with pytest.raises(checkpoint.Damaged, match=named):
        checkpoint.at(run, 10)
    lines: list[str] = []
    assert checkpoint.newest(run, lines.append) == checkpoint.path_of(run, 2)
    (line,) = lines
    assert named in line
    assert "000010" in line
    assert f"Taking {checkpoint.path_of(run, 2)}" in line


def test_no_good_one_is_an_error(run: Path) -> None:
    for step in checkpoint.steps(run):
        lose_marker(checkpoint.path_of(run, step))
    with pytest.raises(UserError, match="no good checkpoint"):
        checkpoint.newest(run)
    with pytest.raises(UserError, match="has no checkpoint"):
        checkpoint.newest(run / "elsewhere")


def test_a_failed_write_leaves_nothing(run: Path) -> None:
    def fail(folder: Path) -> None:
        fill(folder)
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        checkpoint.write(checkpoint.path_of(run, 10), fail)
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["000000", "000002", "000010"]
    checkpoint.verify(checkpoint.path_of(run, 10))


KILLED = """
import os, signal, sys
from pathlib import Path
from marl_llm import checkpoint

run, moment = Path(sys.argv[1]), sys.argv[2]
rename = Path.rename
def dies(self, target):
    if moment == "before the rename" or self.name.startswith(".") and moment == "between the renames":
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(self, target)
Path.rename = dies
checkpoint.write(checkpoint.path_of(run, int(sys.argv[3])), lambda folder: checkpoint.save_json(folder / "new.json", 1))
"""


@pytest.mark.parametrize(("moment", "step", "good"), [("before the rename", 20, 10), ("between the renames", 10, 2)])
def test_a_kill_leaves_the_last_good_one(run: Path, moment: str, step: int, good: int) -> None:
    ended = subprocess.run([sys.executable, "-c", KILLED, str(run), moment, str(step)], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert checkpoint.newest(run) == checkpoint.path_of(run, good)
    checkpoint.write(checkpoint.path_of(run, 30), fill)
    assert not list((run / "checkpoints").glob(".*")), "what the killed run left is cleared away"


def test_keep_spares_the_first_and_the_newest(run: Path) -> None:
    checkpoint.write(checkpoint.path_of(run, 11), fill)
    checkpoint.keep(run, 2)
    assert checkpoint.steps(run) == [0, 10, 11]


def test_replacing_a_checkpoint(run: Path) -> None:
    checkpoint.write(checkpoint.path_of(run, 10), lambda folder: checkpoint.save_json(folder / "new.json", 1))
    assert sorted(path.name for path in checkpoint.at(run, 10).iterdir()) == [checkpoint.MARKER, "new.json"]


def test_tensors_come_back_bit_for_bit(tmp_path: Path) -> None:
    half = torch.randn(3, 4, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    tied = half.T  # neither contiguous nor its own storage
    checkpoint.save_tensors(tmp_path / "t", {"half": half, "tied": tied, "array": np.asarray([1, 2])})
    got = checkpoint.load_tensors(tmp_path / "t")
    assert torch.equal(got["half"], half)
    assert torch.equal(got["tied"], tied)
    assert got["array"].tolist() == [1, 2]
    checkpoint.save_tensors(tmp_path / "n", {"x": np.asarray([[0.1, np.inf]])})
    assert checkpoint.load_tensors(tmp_path / "n", "numpy")["x"].tolist() == [[0.1, np.inf]]


def test_json_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(UserError, match=r"a\.json is not JSON"):
        checkpoint.load_json(tmp_path / "a.json")
    with pytest.raises(ValueError, match="JSON"):
        checkpoint.save_json(tmp_path / "b.json", float("nan"))
