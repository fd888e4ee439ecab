"""What a turn is worth, in named channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from algorithms.parts import RewardTransform
from marl_llm.game import GameInfo
from marl_llm.records import Batch


@dataclass(frozen=True)
class GameReward(RewardTransform):
    """Channel ``turn.game``: the game's own reward in units of half its range, so that settings carry over between games."""

    def channels(self, batch: Batch, games: Mapping[str, GameInfo]) -> Batch:
        spans = [games[spec].returns[1] - games[spec].returns[0] for spec in batch.tables["game"]]
        half = np.asarray([span / 2 if np.isfinite(span) and span > 0 else 1.0 for span in spans])
        return batch.with_columns(**{"turn.game": batch["turn.reward"] / half[batch["match.game"][batch.up("turn", "match")]]})
