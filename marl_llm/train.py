"""Self-play training: plan, play, learn; now and then evaluate and write a checkpoint. The loop is ``Training.step``."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from marl_llm import checkpoint, config, registry
from marl_llm.agents.pool import AgentPool
from marl_llm.algorithm import Algorithm, Recipe, Setup
from marl_llm.errors import MissingExtra, UserError
from marl_llm.evaluate import say_truth, truth_of
from marl_llm.interrupt import interruptible
from marl_llm.iteration import played
from marl_llm.league import League
from marl_llm.metrics import Metrics
from marl_llm.progress import Progress, progress
from marl_llm.records import Batch
from marl_llm.report.page import write_report
from marl_llm.watch import Watch

EPISODES = 64
"""Matches of an evaluated iteration that are kept for replay."""
SHOWN = ("exploitability", "anchor/")
"""Figures beside the progress bar."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """Where and how long to train; the recipe's own settings stand beside these."""

    game: tuple[str, ...]
    """One or more games to learn."""
    model: str | None = None
    """Base of a language recipe: tiny (made for the games), tabular (a table, as a yardstick), or a Hugging Face folder."""
    steps: int | None = None
    """Iterations in all, also after --resume; the recipe's horizon if left out."""
    seed: int = 0
    out: Path | None = None
    """Run folder; runs/RECIPE-GAME-SEED if left out."""
    resume: bool = False
    """Go on from the newest good checkpoint of --out."""
    in_flight: int = 4096
    """Matches in progress at once."""
    evaluate_every: int = 10
    anchors: tuple[str, ...] = ()
    """Agents to meet at every evaluation, on the same deals each time; random if left out where nothing exact is known."""
    anchor_deals: int = 100
    """Deals against an anchor, each played in every seat; 0 leaves them out."""
    checkpoint_every: int = 50
    keep: int = 3
    """Checkpoints kept beside the first."""
    wandb: str | None = None
    """Project of Weights & Biases to record the run in as well; WANDB_MODE=offline keeps that on disk."""


class Training:
    """A run in progress: an algorithm, its games, and where its records go."""

    def __init__(self, recipe: Recipe, run: Run, folder: Path, report: Callable[[str], None]) -> None:
        if run.wandb and not find_spec("wandb"):
            raise MissingExtra("--wandb", "wandb")
        self.run, self.folder = run, folder
        self.league = League(folder / "league", lambda player, into: self.algorithm.save_past(player, into))
        self.algorithm: Algorithm = recipe.build(Setup(run.game, registry.game, run.model, run.seed, report, self.league))
        self.pool = AgentPool(self.algorithm.agents, self.league.members)
        self.done = 0
        self.player, self.agent = next(iter(self.algorithm.agents.items()))
        self.truths = {spec: truth for spec in run.game if (truth := truth_of(registry.game(spec), self.agent))}
        anchors = run.anchors or (() if len(self.truths) == len(run.game) else ("random",))
        games = [registry.game(spec) for spec in run.game]
        self.watch = Watch(games, self.agent, self.player, anchors, run.anchor_deals, run.seed, self.league.evaluation)
        self.metrics: Metrics | None = None
        self.report = report

    def step(self, stop: Callable[[], bool]) -> dict[str, float] | None:
        """One iteration; its figures, or None if it was stopped before anything was learned."""
        began = perf_counter()
        averages = [truth.average for truth in self.truths.values() if truth.average]
        before = [average.mass for average in averages]
        for truth in self.truths.values():
            truth.observe(self.agent, self.done)
        due = self.done % self.run.evaluate_every == 0
        figures = self.measure() | self.watch.measure(self.done) if due else {}
        planned = perf_counter()
        self.pool.release()  # what a past policy has computed before must not tell a resumed run from another
        batch = played(self.algorithm, self.done, self.pool, registry.game, in_flight=self.run.in_flight, stop=stop)
        ended = perf_counter()
        if stop():
            for average, mass in zip(averages, before, strict=True):  # a resumed run counts this iteration again
                average.mass = mass
            return None
        self.league.observe(batch)
        if due:
            figures |= self.watch.judge(batch, self.done, self.report)
        figures |= self.algorithm.learn(batch)
        figures |= {"evaluate_s": planned - began, "play_s": ended - planned, "learn_s": perf_counter() - ended}
        figures |= summary(batch)
        if due:
            (self.folder / "episodes").mkdir(exist_ok=True)
            batch.take(np.arange(min(EPISODES, len(batch)))).save(self.folder / "episodes" / f"{self.done:06d}.npz")
        self.done += 1
        return figures

    def measure(self) -> dict[str, float]:
        """Exact figures now; of several games each under its own name."""
        found = {spec: truth.measure(self.agent) for spec, truth in self.truths.items()}
        if len(self.run.game) == 1:
            return dict(*found.values()) if found else {}
        return {f"{spec}/{name}": value for spec, figures in found.items() for name, value in figures.items()}

    def save(self) -> Path:
        """Write a checkpoint of this moment, whole or not at all."""

        def fill(folder: Path) -> None:
            for part in ("algorithm", f"agents/{self.player}"):
                (folder / part).mkdir(parents=True)
            self.algorithm.save(folder / "algorithm")
            self.algorithm.save_agent(self.player, folder / "agents" / self.player)
            for i, spec in enumerate(self.run.game):
                (folder / f"truth{i}").mkdir()
                if spec in self.truths:
                    self.truths[spec].save(folder / f"truth{i}")
            hashes = {spec: registry.file_hash(spec) for spec in self.run.game}
            self.league.save(folder / "league.json")
            checkpoint.save_json(folder / "watch.json", self.watch.json())
            checkpoint.save_json(folder / "run.json", {"step": self.done, "games": list(self.run.game), "files": hashes})

        written = checkpoint.write(checkpoint.path_of(self.folder, self.done), fill)
        checkpoint.keep(self.folder, self.run.keep)
        return written

    def load(self, folder: Path) -> None:
        """Go on from a checkpoint."""
        saved = checkpoint.load_json(folder / "run.json")
        for spec, known in saved["files"].items():
            if known and registry.file_hash(spec) != known:
                raise UserError(f"the file of game {spec} has changed since this run began; restore it, or start a new run")
        self.algorithm.load(folder / "algorithm")
        for i, spec in enumerate(self.run.game):
            if spec in self.truths:
                self.truths[spec].load(folder / f"truth{i}")
        self.league.load(folder / "league.json")
        self.watch.load(checkpoint.load_json(folder / "watch.json"))
        self.done = saved["step"]


def summary(batch: Batch) -> dict[str, float]:
    """Figures of a batch that every algorithm shares."""
    figures = {
        "matches": float(len(batch)),
        "turns": float(batch.size("turn")),
        "information_sets": float(len(np.unique(batch["turn.key"]))),
        "faults": float((batch["turn.fault"] > 0).sum()),
        "not_played": float((batch["match.end"] > 0).sum()),
    }
    learners = np.flatnonzero(batch["seat.learn"])
    seats = batch["seat.seat"][learners]
    for seat in np.unique(seats).tolist() if batch["seat.seat"].max() < 4 else []:
        figures[f"return_{seat}"] = float(batch["seat.return"][learners[seats == seat]].mean())
    return figures


def train(recipe: Recipe, run: Run, folder: Path, settings: str = "") -> tuple[Training, bool]:
    """Train in ``folder``; the run, and whether it was interrupted. ``settings`` is kept as config.yaml."""
    steps = recipe.horizon if run.steps is None else run.steps
    if steps < 1:
        raise UserError(f"--steps is {steps}; expected at least 1")
    with progress(steps, "training") as bar, interruptible() as stopped:
        training = Training(recipe, run, folder, bar.say)
        folder.mkdir(parents=True, exist_ok=True)
        if run.resume:
            training.load(checkpoint.newest(folder, bar.say))
        else:
            (folder / "config.yaml").write_text(settings)
            training.save()
        training.metrics = Metrics(folder, training.done, wandb=run.wandb)
        bar.begin(training.done)
        _loop(training, steps, bar, stopped)
        training.metrics.close()
        write_report(folder, bar.say)
        return training, stopped()


def _loop(training: Training, steps: int, bar: Progress, stopped: Callable[[], bool]) -> None:
    run, metrics = training.run, training.metrics
    assert metrics is not None
    saved = training.done
    if not training.done and training.truths:
        say_truth(bar, 0, training.measure(), ", before training")
    while training.done < steps and not stopped():
        figures = training.step(stopped)
        if figures is None:
            break
        metrics.write(training.done - 1, figures)
        bar.advance(1, **{name: figures[name] for name in figures if name.startswith(SHOWN) and not name.endswith(("_low", "_high"))})
        if training.done % run.checkpoint_every == 0:
            training.save()
            saved = training.done
    if saved != training.done:
        training.save()
    if not stopped():
        exact = training.measure()
        if figures := exact | training.watch.measure(training.done):
            metrics.write(training.done, figures)
        if exact:
            say_truth(bar, training.done, exact, ", trained")
        training.watch.say(training.done, bar.say)


def settings_of(recipe: Recipe, argv: Sequence[str], prog: str) -> tuple[Recipe, Run, str]:
    """The recipe and run that flags (and --config) say, and all settings as YAML."""
    parts: list[Any] = [Run(game=()), recipe]
    both: Any = dataclass(frozen=True, kw_only=True)(type("Train", tuple(type(part) for part in parts), {}))
    defaults = {f.name: getattr(part, f.name) for part in parts for f in fields(part)}
    parsed = config.parse(both(**defaults), argv, prog=prog, description="Train by self-play.")
    parsed = replace(parsed, game=tuple(registry.game(spec).spec for spec in parsed.game))  # a file's path holds from anywhere
    run, tuned = (replace(part, **{f.name: getattr(parsed, f.name) for f in fields(part)}) for part in parts)
    return tuned, run, config.dump(parsed)


def main(argv: Sequence[str]) -> int:
    """``marl-llm train RECIPE --game G``."""
    if not argv or argv[0].startswith("-"):
        raise UserError("train needs a recipe first; expected marl-llm train RECIPE --game G (see marl-llm algorithms)")
    name, *flags = argv
    prog = f"marl-llm train {name}"
    recipe, run, text = settings_of(registry.recipe(name), flags, prog)
    if not run.game and not (run.resume and run.out):
        raise UserError("train needs a game; give --game G (see marl-llm games)")
    games = "-".join(spec.rsplit("/", 1)[-1] for spec in run.game)
    folder = run.out or Path("runs") / f"{name}-{games}-{run.seed}"
    if run.resume:
        recipe, run, text = resumed(folder, registry.recipe(name), flags, prog)
    elif (folder / "config.yaml").exists():
        raise UserError(f"{folder} holds a run already; add --resume to go on with it, or choose another --out")
    training, interrupted = train(recipe, run, folder, text)
    if interrupted:
        again = shlex.join([*without_resume(flags), "--resume"])
        print(f"stopped at step {training.done}; go on with: {prog} {again}", file=sys.stderr)
        return 130
    print(folder)
    return 0


def resumed(folder: Path, recipe: Recipe, flags: Sequence[str], prog: str) -> tuple[Recipe, Run, str]:
    """Settings of a run to go on with: its own; flags may only change how long it lasts and what is kept."""
    kept = folder / "config.yaml"
    if not kept.exists():
        raise UserError(f"there is no run in {folder} to resume; expected a folder that marl-llm train wrote")
    _, _, own = settings_of(recipe, ["--config", str(kept)], prog)
    tuned, run, now = settings_of(recipe, ["--config", str(kept), *without_config(flags)], prog)
    free = {"steps", "out", "resume", "checkpoint_every", "keep", "wandb"}
    changed = [a for a, b in zip(own.splitlines(), now.splitlines(), strict=False) if a != b and a.split(":")[0] not in free]
    if changed or len(own.splitlines()) != len(now.splitlines()):
        raise UserError(f"--resume goes on with the run's own settings, and the flags differ from: {'; '.join(changed)}. Leave them out")
    return tuned, replace(run, resume=True), own


def without_config(flags: Sequence[str]) -> list[str]:
    """Flags without --config FILE: a resumed run has its own."""
    rest = list(flags)
    if "--config" in rest:
        at = rest.index("--config")
        del rest[at : at + 2]
    return rest


def without_resume(flags: Sequence[str]) -> list[str]:
    """Flags as first given."""
    return [flag for flag in flags if flag != "--resume"]
