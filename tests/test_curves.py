"""Learning curves: means and intervals by hand, and the picture that compare leaves."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.image import imread

from marl_llm import curves, intervals
from marl_llm.cli import main


def cell(seed, values, recipe="a"):
    points = [{"matches": 10 * k, "seconds": k + seed, "exploitability": value} for k, value in enumerate(values)]
    return {"game": "g", "recipe": recipe, "seed": seed, "curve": points}


def test_means_and_intervals_over_seeds():
    found = curves.curve([cell(0, [1.0, 0.5]), cell(2, [3.0, 0.5, 0.1])])
    assert found["exploitability"].tolist() == [2.0, 0.5]
    assert found["matches"].tolist() == [0, 10]
    assert found["seconds"].tolist() == [1, 2]
    first = intervals.mean([1.0, 3.0])
    assert (found["low"][0], found["high"][0]) == pytest.approx((first.low, first.high))
    assert found["low"][1] == found["high"][1] == 0.5


def test_every_recipe_is_drawn(tmp_path):
    one = [cell(seed, [1.0, 0.5 - 0.1 * seed]) for seed in range(2)]
    two = [cell(seed, [1.0, 0.2], "b") for seed in range(2)]
    curves.draw(one, ["a"], tmp_path / "one.png")
    curves.draw([*one, *two], ["a", "b"], tmp_path / "both.png")
    first, both = imread(tmp_path / "one.png"), imread(tmp_path / "both.png")
    assert first.shape == both.shape
    assert np.abs(first - both).max() > 0.5


@pytest.mark.parametrize(
    ("game", "figure"), [("kuhn_poker", "exploitability"), ("connect_four", "return against random"), ("two_step", "return")]
)
def test_compare_leaves_curves(game, figure, tmp_path):
    argv = ["compare", "nfsp --matches 16 --hidden 8", "--game", game, "--seeds", "2", "--matches", "64", "--out", str(tmp_path)]
    assert main(argv) == 0
    assert imread(tmp_path / "curves.png").ndim == 3
    for file in tmp_path.glob("*.json"):
        kept = json.loads(file.read_text())
        assert [point["matches"] for point in kept["curve"]] == [0, 16, 32, 48, 64]
        assert all(point[figure] is not None for point in kept["curve"])
        seconds = [point["seconds"] for point in kept["curve"]]
        assert seconds == sorted(seconds)
        assert seconds[-1] <= kept["seconds"]


def test_without_matplotlib_the_figures_stand_and_the_extra_is_named(tmp_path):
    code = (
        "import sys; sys.modules['matplotlib'] = None; from marl_llm.cli import main; "
        f"sys.exit(main(['compare', 'nfsp --matches 16 --hidden 8', '--game', 'kuhn_poker', '--seeds', '2', "
        f"'--matches', '16', '--out', {str(tmp_path)!r}, '--json']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "needs the extra 'plot': pip install 'marl-llm[plot]'" in done.stderr
    assert json.loads(done.stdout.splitlines()[-1])[0]["figure"] == "exploitability"
    assert not (tmp_path / "curves.png").exists()
