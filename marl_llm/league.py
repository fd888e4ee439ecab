"""Past policies of a run as opponents: who they are, what was earned against them, and whom to meet next.

A member is the learner as it was before some step, saved as an agent's folder and named ``PLAYER@STEP``; it never changes, and
nobody learns from its turns. Training and evaluation games are counted apart. As the learner changes, so does its name in the
training table: ``PLAYER@STEP+`` is the learner from the step on at which the newest member joined until the next one does.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np

from marl_llm import checkpoint
from marl_llm.game import Spec
from marl_llm.payoffs import Payoffs
from marl_llm.records import Batch
from marl_llm.seeding import uniform

Draw = Literal["uniform", "prioritised"]


class League:
    """``folder`` holds the members' folders; ``save(player, folder)`` writes a learner as it is now, see ``Algorithm.save_past``."""

    def __init__(self, folder: Path, save: Callable[[str, Path], None]) -> None:
        self.folder, self._save = folder, save
        self.members: dict[str, Path] = {}
        """In the order of joining; agent pools resolve these names from these folders."""
        self.training, self.evaluation = Payoffs(), Payoffs()

    def learner(self, player: str) -> str:
        """The present name of ``player`` in the training table: its own until a member of it has joined."""
        return next((f"{name}+" for name in reversed(self.members) if name.rpartition("@")[0] == player), player)

    def add(self, player: str, step: int) -> None:
        """The learner ``player``, as it is before ``step``, joins."""
        name = f"{player}@{step}"
        self.members[name] = checkpoint.write(self.folder / name, lambda into: self._save(player, into))

    def draw(self, how: Draw, player: str, game: Spec, count: int, seed: int) -> list[str]:
        """``count`` opponents for ``player`` among the members, with replacement; ValueError where there are none.

        ``prioritised`` is prioritised fictitious self-play (Vinyals et al. 2019, f_hard): a member is drawn in proportion to
        (1 - x)^2, x being how often the learner comes out ahead of it since the newest member joined, (ahead + 1) / (matches + 2).
        Draws are systematic: every member comes floor or ceil of its expected number of times.
        """
        names = list(self.members)
        if not names:
            raise ValueError("the league has no members yet; expected add() before draw()")
        weights = np.ones(len(names))
        if how == "prioritised":
            found = [self.training.ahead(game, self.learner(player), name) for name in names]
            weights = np.asarray([(1 - (ahead + 1) / (matches + 2)) ** 2 for ahead, matches in found])
        points = (np.arange(count) + uniform(seed)) / count
        mass = np.cumsum(weights) / weights.sum()
        return [names[min(i, len(names) - 1)] for i in np.searchsorted(mass, points, side="right").tolist()]

    def observe(self, batch: Batch) -> None:
        """Count an iteration's matches."""
        self.training.observe(batch, {player: self.learner(player) for player in batch.tables["player"]})

    def save(self, file: Path) -> None:
        """Members' names and both tables, as JSON."""
        tables = {"training": self.training.json(), "evaluation": self.evaluation.json()}
        checkpoint.save_json(file, {"members": list(self.members), **tables})

    def load(self, file: Path) -> None:
        """Read what ``save`` wrote; ``checkpoint.Damaged`` names a member whose folder is not what it was."""
        saved = checkpoint.load_json(file)
        for name in saved["members"]:
            checkpoint.verify(self.folder / name)
        self.members.clear()
        self.members.update({name: self.folder / name for name in saved["members"]})
        self.training.load(saved["training"])
        self.evaluation.load(saved["evaluation"])
