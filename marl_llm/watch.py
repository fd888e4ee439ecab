"""Fixed opponents that a training run meets at every evaluation, always on the same deals, and the alarm for a collapse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from marl_llm import intervals, registry
from marl_llm.agent import Agent
from marl_llm.agents.pool import AgentPool
from marl_llm.anchors import AGENT, ANCHOR, meet, scored
from marl_llm.collapse import RUNNING, CollapseAlarm
from marl_llm.errors import UserError
from marl_llm.game import Game
from marl_llm.intervals import Interval
from marl_llm.matches import Match
from marl_llm.payoffs import Payoffs
from marl_llm.play import play
from marl_llm.records import VOID, Batch


class Watch:
    """``agent`` is the learner, live, named ``player`` in matches; its games against anchors are entered into ``payoffs`` as those
    of ``PLAYER@STEP``. UserError in one line where an anchor cannot play a game."""

    def __init__(
        self, games: Sequence[Game], agent: Agent, player: str, anchors: Sequence[str], deals: int, seed: int, payoffs: Payoffs
    ) -> None:
        if deals < 0 or deals == 1:
            raise UserError(f"--anchor-deals is {deals}; expected at least 2, for an interval, or 0 to meet no anchors")
        self.agent, self.player, self.deals, self.seed, self.payoffs = agent, player, deals, seed, payoffs
        self.alarm = CollapseAlarm()
        pool = AgentPool()
        self.pairs = [(game, name, pool.resolve(name)) for game in games for name in anchors if deals]
        self.prefix = {game.spec: f"{game.spec}/" if len(games) > 1 else "" for game in games}
        self.met: dict[tuple[str, str], tuple[Interval, Batch]] = {}
        for game, name, _ in self.pairs:
            list(play([Match(game=game.spec, seed=0, players=(name,) * game.info.seats)], pool, registry.game, keys=False))

    def measure(self, step: int) -> dict[str, float]:
        """Meet every anchor: ``anchor/NAME``, the mean return against it over all seats, and its 95% interval, ``_low`` and ``_high``."""
        figures: dict[str, float] = {}
        for game, name, anchor in self.pairs:
            batch = meet(game, self.agent, anchor, self.deals, self.seed)
            met = scored(game, batch).gain
            self.met[game.spec, name] = met, batch
            ends = {"": met.mean, "_low": met.low, "_high": met.high}
            figures |= {f"{self.prefix[game.spec]}anchor/{name}{end}": value for end, value in ends.items()}
        return figures

    def judge(self, batch: Batch, step: int, report: Callable[[str], None]) -> dict[str, float]:
        """After ``measure``, with what the same policy then played for training: count the games, and tell whether the alarm is up
        for any anchor, as ``collapse`` 0 or 1, and to ``report`` when it goes up."""
        raised = False
        for (spec, name), (met, games) in self.met.items():
            self.payoffs.observe(games, {AGENT: f"{self.player}@{step}", ANCHOR: name})
            own = self_play_return(batch, spec, self.player)
            key = f"{self.prefix[spec]}{name}"
            up = self.alarm.watch(key, met, own)
            raised |= up
            if up and self.alarm.falls[key] == RUNNING:  # told once, when it goes up
                best = self.alarm.best[key]["low"]
                report(
                    f"step {step}: COLLAPSE: the return against {name} has fallen to {met}, and was at least {best:+.3f}; "
                    f"the self-play return has not moved ({own.mean:+.3f})"
                )
        return {"collapse": float(raised)} if self.met else {}

    def say(self, step: int, report: Callable[[str], None]) -> None:
        """Tell the last measurement."""
        for (spec, name), (met, _) in self.met.items():
            report(f"step {step}: {self.prefix[spec]}return against {name} {met}")

    def json(self) -> dict[str, Any]:
        """For a JSON file; ``load`` reads it back."""
        return self.alarm.json()

    def load(self, saved: dict[str, Any]) -> None:
        self.alarm.load(saved)


def self_play_return(batch: Batch, game: str, player: str) -> Interval:
    """Return of the matches of ``game`` in which ``player`` holds every seat, the mean over seats; 0 without two such deals."""
    seats, names = batch.starts["seat"], np.asarray(batch.tables["player"])
    own = np.add.reduceat(names[batch["seat.player"]] != player, seats[:-1]) == 0
    here = own & (batch["match.end"] != VOID) & (np.asarray(batch.tables["game"])[batch["match.game"]] == game)
    mean, deal = np.add.reduceat(batch["seat.return"], seats[:-1]) / np.diff(seats), batch["match.seed"]
    return intervals.mean(mean[here], deal[here]) if len(np.unique(deal[here])) > 1 else Interval(0.0, 0.0, 0.0, 0)
