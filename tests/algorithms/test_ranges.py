"""A setting out of its range is refused in one line, before anything starts."""

from __future__ import annotations

import pytest

from marl_llm.cli import main


@pytest.mark.parametrize(
    ("recipe", "flags", "told"),
    [
        ("latr", ["--sampler.leaves", "0"], "sampler.leaves is 0; expected at least 1"),
        ("latr", ["--sampler.alike", "1.5"], "sampler.alike is 1.5; expected 0 to 1"),
        ("s-grpo", ["--sampler.exits", "0"], "sampler.exits is 0; expected at least 1"),
        ("grpo-care", ["--loss.follow", "-1"], "loss.follow is -1.0; expected 0 to 1"),
        ("grpo", ["--learner.epochs", "0"], "learner.epochs is 0; expected at least 1"),
        ("mars", ["--learner.minibatch", "0"], "learner.minibatch is 0; expected at least 1"),
        ("riskpo", ["--credit.terms.0.estimator.bundle", "0"], "estimator.bundle is 0; expected at least 1"),
    ],
)
def test_out_of_range(recipe, flags, told, tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["train", recipe, "--game", "kuhn_poker", "--model", "tabular", "--out", str(out), *flags]) == 2
    assert told in capsys.readouterr().err.strip().splitlines()[-1]
    assert not out.exists()
