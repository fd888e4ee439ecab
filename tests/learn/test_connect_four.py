"""PPO's self-play on Connect Four beats MCTS with 100 simulations a move more often than not, over both seats."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.learn
MINUTES = 60


def test_mcts_is_beaten_within_an_hour():
    script = Path(__file__).with_name("connect_four.py")
    told = subprocess.run([sys.executable, str(script), str(MINUTES), "0"], capture_output=True, text=True, check=True).stdout
    print(told)
    assert json.loads(told.splitlines()[-1])["mean"] >= 0.6
