"""Policy-space response oracles (Lanctot et al. 2017, arXiv 1711.00832), which with exact best responses is the double oracle
(McMahan et al. 2003).

A population begins with one policy. In every epoch an oracle learns to play against the meta-strategy, under which each other seat
draws a member of the population for each match; what it has learned joins the population; evaluation games, one deal played by every
ordered seating, tell what the new member earns with and against the others; and a solver makes a new meta-strategy from that table:

    nash      an equilibrium of the table: double oracle       uniform   every member alike: fictitious self-play
    prd       projected replicator dynamics

The agent on offer is the meta-strategy. Any recipe can be the oracle, neural or language: its own matches are played, with the learner
in one seat of each deal, the seats in turn. An exploiter of some agent is the same with that agent as ``start`` and one epoch. Oracles
learn one after the other and each anew, where the paper has them side by side; one policy answers in all seats.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from algorithms.meta_solvers import SOLVERS, values
from algorithms.parts import PLAYER
from algorithms.tabular import TabularPolicy
from marl_llm.agent import Agent
from marl_llm.agents.mixture import Mixture
from marl_llm.agents.saved import load_agent
from marl_llm.algorithm import Algorithm, Requires, Setup, Unsuitable
from marl_llm.checkpoint import load_json, save_json
from marl_llm.compare import recipe_of
from marl_llm.errors import UserError
from marl_llm.exact import best_response, expected_returns, join, policy_of
from marl_llm.game import Box, Discrete, Factored, GameInfo, Text
from marl_llm.matches import Match, deal_seed, self_play
from marl_llm.payoffs import Payoffs
from marl_llm.records import Batch
from marl_llm.seeding import fold
from marl_llm.tree import TooLarge, Tree, tree_of

ORACLE, EXACT = "oracle", "exact"
SEATS = 4
"""Most seats: every ordered seating of the population is played."""
GAMES = 1  # name of a random stream


@dataclass(frozen=True, kw_only=True)
class PSRO:
    """Settings. An epoch is the oracle's own ``horizon`` of iterations and one of evaluation games."""

    oracle: str = "ppo --horizon 25 --sampler.matches 1024 --alpha 0 --proximal 0 --lr 5e-3 --entropy 0.05"
    """A recipe with its flags that learns best responses; or exact: they and the table are computed, on games small enough."""
    solver: Literal["nash", "uniform", "prd"] = "nash"
    """How the meta-strategy is made; nash needs two seats and a zero-sum game."""
    epochs: int = 12
    """Policies that join the population."""
    deals: int = 1000
    """Deals of the evaluation games, each played by every new ordered seating; matches shown, where the table is exact."""
    start: str = ""
    """Folder of a saved agent that the population begins with; if left out, the oracle before it has learned."""

    @property
    def length(self) -> int:
        """Iterations that an oracle learns for."""
        return 0 if self.oracle == EXACT else recipe_of(self.oracle).horizon

    @property
    def horizon(self) -> int:
        return self.epochs * (self.length + 1)

    def build(self, setup: Setup) -> PSROAlgorithm:
        return PSROAlgorithm(self, setup)


class PSROAlgorithm:
    """The algorithm at work on one game. Member k of the population is named ``memberK`` in evaluation games."""

    requires = Requires(action=(Discrete, Factored, Box, Text), message=True)

    def __init__(self, settings: PSRO, setup: Setup) -> None:
        if len(setup.games) != 1:
            raise Unsuitable(f"psro learns one game at a time; got {', '.join(setup.games)}")
        if settings.deals < 1 or settings.epochs < 1:
            raise UserError(f"psro has deals {settings.deals} and epochs {settings.epochs}; expected at least 1 of each")
        self.settings, self.setup, self.spec, self.length = settings, setup, setup.games[0], settings.length
        self.game = setup.load(self.spec)
        check(settings, self.game.info)
        self.seats = self.game.info.seats
        self.tree = small_tree(setup, self.spec) if settings.oracle == EXACT else None
        self.work = TemporaryDirectory(prefix="psro-")
        self.members: list[Path] = []
        self.earned: dict[tuple[int, ...], list[float]] = {}
        """Mean returns of every seating of members, one a seat."""
        self.games = Payoffs()
        """The evaluation games, counted."""
        self.trained = 0
        self.oracle = self._oracle()
        self._join(self._start)
        self.meta = Mixture(self.members, np.ones((self.seats, 1)))
        self.agents: dict[str, Agent] = {PLAYER: self.meta}
        self._seat_oracle()

    def plan(self, step: int) -> Sequence[Match]:
        self.meta.release()
        if self.trained < self.length:
            assert self.oracle is not None
            return list(self._against_meta(self.oracle.plan(self.trained)))
        if self.tree is not None:
            return list(self_play(self.spec, PLAYER, self.seats, self.settings.deals, fold(self.setup.seed, GAMES, step)))
        self.agents |= {folder.name: load_agent(folder) for folder in self.members}
        names = [folder.name for folder in self.members]
        deals = deal_seed(fold(self.setup.seed, GAMES), np.arange(self.settings.deals)).tolist()
        tables = [tuple(names[k] for k in seating) for seating in self._new_seatings()]
        return [Match(game=self.spec, seed=deal, players=table) for deal in deals for table in tables]

    def learn(self, batch: Batch) -> Mapping[str, float]:
        if self.trained < self.length:
            assert self.oracle is not None
            figures = self.oracle.learn(batch)
            self.trained += 1
            if self.trained == self.length:
                self._join(self._save_oracle)
            return figures
        if self.tree is None:
            self._count(batch)
        else:
            self._compute(self.tree)
        figures = self._solve()
        self.trained, self.oracle = 0, self._oracle()
        self._seat_oracle()
        return figures

    def _oracle(self) -> Algorithm | None:
        """One that has learned nothing yet."""
        if self.settings.oracle == EXACT:
            return None
        return recipe_of(self.settings.oracle).build(replace(self.setup, league=None))

    def _seat_oracle(self) -> None:
        """The agents of an epoch: the meta-strategy and its oracle."""
        oracle = {} if self.oracle is None else {ORACLE: next(iter(self.oracle.agents.values()))}
        self.agents.clear()
        self.agents |= {PLAYER: self.meta, **oracle}

    def _against_meta(self, matches: Sequence[Match]) -> Iterator[Match]:
        """The oracle's own matches on this epoch's deals: it keeps one seat, in turn over deals, and others play the meta-strategy."""
        number: dict[int, int] = {}
        for match in matches:
            seat = number.setdefault(match.seed, len(number)) % self.seats
            players = tuple(ORACLE if place == seat else PLAYER for place in range(self.seats))
            yield replace(match, seed=deal_seed(match.seed, len(self.members)), players=players, learn=match.learn & {seat})

    def _start(self, folder: Path) -> None:
        if self.settings.start:
            if not (Path(self.settings.start) / "agent.json").exists():
                raise UserError(
                    f"--start is {self.settings.start!r}; expected the folder of a saved agent, RUN/checkpoints/STEP/agents/self"
                )
            shutil.copytree(self.settings.start, folder, dirs_exist_ok=True)
        elif self.tree is not None:
            save_table(self.tree, self.tree.uniform_policy(), folder)
        else:
            self._save_oracle(folder)

    def _save_oracle(self, folder: Path) -> None:
        assert self.oracle is not None
        self.oracle.save_past(next(iter(self.oracle.agents)), folder)

    def _join(self, save: Callable[[Path], None]) -> None:
        """What ``save`` writes becomes the newest member."""
        folder = Path(self.work.name) / f"member{len(self.members)}"
        folder.mkdir()
        save(folder)
        self.members.append(folder)

    def _new_seatings(self) -> list[tuple[int, ...]]:
        return [seating for seating in product(range(len(self.members)), repeat=self.seats) if seating not in self.earned]

    def _count(self, batch: Batch) -> None:
        """Enter evaluation games."""
        self.games.observe(batch, {})
        for seating in self._new_seatings():
            met = self.games.seatings.get((self.spec, tuple(self.members[k].name for k in seating)))
            if met is None:
                raise UserError(
                    f"all {self.settings.deals} evaluation games of {self.spec} between members {seating} were void; check the game"
                )
            self.earned[seating] = (met.total / met.matches).tolist()

    def _compute(self, tree: Tree) -> None:
        """An exact best response of every seat joins, and its part of the table is exact."""
        sigma = policy_of(tree, self.meta)
        response = join(tree, [best_response(tree, sigma, seat)[1] for seat in range(self.seats)])
        self._join(lambda folder: save_table(tree, response, folder))
        policies = [policy_of(tree, load_agent(folder)) for folder in self.members]
        for seating in self._new_seatings():
            self.earned[seating] = expected_returns(tree, join(tree, [policies[k] for k in seating])).tolist()

    def payoffs(self) -> NDArray[np.float64]:
        """What seats earn, [seats, members, ..., members] with one axis of members a seat."""
        count = len(self.members)
        earned = [self.earned[seating] for seating in product(range(count), repeat=self.seats)]
        return np.asarray(earned).T.reshape(self.seats, *(count,) * self.seats)

    def _solve(self) -> dict[str, float]:
        """A new meta-strategy; what the newest member gains over the old one, a mean over seats that bounds exploitability from below."""
        table, old = self.payoffs(), np.pad(self.meta.weights, ((0, 0), (0, 1)))
        gains = values(table, old)
        weights = SOLVERS[self.settings.solver](table)
        self.meta.become(self.members, weights)
        gain = float((gains[:, -1] - (gains * old).sum(1)).mean())
        return {"population": float(len(self.members)), "drawn_members": float((weights.max(0) > 0.01).sum()), "oracle_gain": gain}

    def save(self, folder: Path) -> None:
        for member in self.members:
            shutil.copytree(member, folder / member.name)
        if self.oracle is not None:
            (folder / ORACLE).mkdir()
            self.oracle.save(folder / ORACLE)
        earned = [[list(seating), returns] for seating, returns in self.earned.items()]
        state = {"trained": self.trained, "members": len(self.members), "weights": self.meta.weights.tolist(), "earned": earned}
        save_json(folder / "population.json", {**state, "games": self.games.json()})

    def load(self, folder: Path) -> None:
        state = load_json(folder / "population.json")
        for member in self.members:
            shutil.rmtree(member)
        self.members.clear()
        for k in range(state["members"]):
            self._join(lambda into, k=k: shutil.copytree(folder / f"member{k}", into, dirs_exist_ok=True))  # type: ignore[misc]
        self.earned = {tuple(seating): returns for seating, returns in state["earned"]}
        self.games.load(state["games"])
        self.meta.become(self.members[: len(state["weights"][0])], state["weights"])
        self.trained, self.oracle = state["trained"], self._oracle()
        if self.oracle is not None:
            self.oracle.load(folder / ORACLE)
        self._seat_oracle()

    def save_agent(self, player: str, folder: Path) -> None:
        self.meta.save(folder)

    def save_past(self, player: str, folder: Path) -> None:
        self.save_agent(player, folder)


def check(settings: PSRO, info: GameInfo) -> None:
    """Raise ``Unsuitable`` with the reason."""
    if info.anonymous or not 2 <= info.seats <= SEATS:
        raise Unsuitable(
            f"psro plays every ordered seating of its population; expected a game of 2 to {SEATS} seats, {info.name} has {info.seats}"
        )
    if settings.solver == "nash" and (info.seats, info.utility) != (2, "zero_sum"):
        raise Unsuitable(
            f"solver nash needs a zero-sum game of 2 seats; {info.name} is {info.utility} with {info.seats}: give --solver prd"
        )


def small_tree(setup: Setup, spec: str) -> Tree:
    """The tree that exact best responses need; ``Unsuitable`` with the reason where there is none."""
    game = setup.load(spec)
    try:
        tree = tree_of(game) if game.info.enumerable else None
    except TooLarge as error:
        raise Unsuitable(f"an exact oracle needs a small game: {error}; name a recipe as --oracle") from error
    if tree is None or tree.merged or not tree.perfect_recall:
        raise Unsuitable(
            f"an exact oracle needs a small game of hidden information and perfect recall, and {game.info.name} is none; "
            "name a recipe as --oracle"
        )
    return tree


def save_table(tree: Tree, policy: NDArray[np.float64], folder: Path) -> None:
    """A policy of all seats, aligned with ``tree.legal.data``, as a saved agent."""
    table = TabularPolicy(tree.info)
    rows = np.asarray(table.agent.rows(tree.keys))[tree.legal.row_of()]
    with torch.no_grad():
        table.agent.logits[rows, tree.legal.data] = torch.from_numpy(np.log(np.maximum(policy, 1e-300)))
    table.save_agent(folder)
