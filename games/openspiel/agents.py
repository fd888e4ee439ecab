"""OpenSpiel's search and solvers as agents: ``minimax``, ``mcts:N``, ``ismcts:N`` and ``cfr``.

Each refuses, in one line that names what fits, a game on which its algorithm would be wrong or would not end.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pyspiel
from numpy.typing import NDArray
from open_spiel.python.algorithms.minimax import alpha_beta_search

from games.openspiel.game import OpenSpiel, SpielState
from games.openspiel.size import UNROLL, fits, positions
from marl_llm.agent import Decision, Immediate, Request, answer, sampled
from marl_llm.errors import UserError
from marl_llm.ragged import Ragged
from marl_llm.seeding import fold

EXPLORATION = 2.0
MEMORY_MB = 256
CFR_ITERATIONS = 100
"""Exploitability reached: 0.001 on kuhn_poker, 0.013 on leduc_poker."""
MINIMAX_POSITIONS = 2_000_000


class Minimax(Immediate):
    """Every best move of perfect play equally often, by alpha-beta search over the whole rest of the game."""

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[tuple[str, str], NDArray[np.float64]] = {}

    def policy(self, request: Request) -> Ragged:
        game = _game(request, "minimax")
        info, name = game.info, game.info.name
        chance = game.kind.chance_mode != pyspiel.GameType.ChanceMode.DETERMINISTIC
        if not info.perfect_information or chance or info.seats != 2 or info.utility != "zero_sum":
            fit = "mcts:100" if info.perfect_information else "cfr or ismcts:100"
            raise UserError(
                f"minimax needs two seats, zero-sum, without chance or hidden information; {name} is not such a game: use {fit}"
            )
        if positions(name) > MINIMAX_POSITIONS:
            raise UserError(f"minimax searches to the end, and {name} has more than {MINIMAX_POSITIONS:,} positions: use mcts:100")
        return Ragged.of([self._best(game, native) for native in _natives(request)], np.float64)

    def _best(self, game: OpenSpiel, native: Any) -> NDArray[np.float64]:
        seat = native.current_player()
        place = game.info.name, game.key(native, seat)
        if place not in self.known:
            after = [native.child(action) for action in native.legal_actions()]
            values = np.asarray([alpha_beta_search(game.native, state, maximizing_player_id=seat)[0] for state in after])
            best = values == values.max()
            self.known[place] = best / best.sum()
        return self.known[place]


class MCTS(Immediate):
    """Monte Carlo tree search with random rollouts (Kocsis and Szepesvari, 2006)."""

    def __init__(self, argument: str | None) -> None:
        super().__init__()
        self.simulations = _count("mcts", argument)

    def decide(self, request: Request) -> Decision:
        game = _game(request, "mcts")
        name, info = game.info.name, game.info
        if info.simultaneous:
            raise UserError(f"mcts needs seats that move in turn; in {name} they move at once")
        if not info.perfect_information:
            raise UserError(f"mcts would see the hidden information of {name}: use ismcts:{self.simulations}")
        if not info.rewards_at_end or game.sampled:
            raise UserError(f"mcts needs a game with returns only at its end and chance that can be enumerated; {name} is not such a game")
        moves = []
        for native, seed in zip(_natives(request), request.seed.tolist(), strict=True):
            rollouts = pyspiel.RandomRolloutEvaluator(1, _stream(seed, 0))
            bot = pyspiel.MCTSBot(game.native, rollouts, EXPLORATION, self.simulations, MEMORY_MB, True, _stream(seed, 1), False)
            moves.append(bot.step(native))
        return answer(request, np.asarray(moves, np.int64))


class ISMCTS(Immediate):
    """Information-set Monte Carlo tree search (Cowling, Powley and Whitehouse, 2012) over resampled worlds."""

    def __init__(self, argument: str | None) -> None:
        super().__init__()
        self.simulations = _count("ismcts", argument)

    def decide(self, request: Request) -> Decision:
        game = _game(request, "ismcts")
        name = game.info.name
        if game.info.simultaneous:
            raise UserError(f"ismcts needs seats that move in turn; in {name} they move at once")
        if game.info.perfect_information:
            raise UserError(f"ismcts is for hidden information, and {name} hides nothing: use mcts:{self.simulations}")
        by_observation = not game.kind.provides_information_state_string
        visits = []
        for i, (native, seed) in enumerate(zip(_natives(request), request.seed.tolist(), strict=True)):
            rollouts = pyspiel.RandomRolloutEvaluator(1, _stream(seed, 0))
            by_visits = pyspiel.ISMCTSFinalPolicyType.NORMALIZED_VISIT_COUNT
            bot = pyspiel.ISMCTSBot(_stream(seed, 1), rollouts, EXPLORATION, self.simulations, -1, by_visits, by_observation)
            try:
                share = dict(bot.get_policy(native))
            except (RuntimeError, pyspiel.SpielError) as error:
                raise UserError(f"ismcts cannot play {name}: OpenSpiel does not resample its hidden information") from error
            visits.append([share.get(action, 0.0) for action in request.legal[i].tolist()])
        # the bot's own draw would follow the order of a hash table, which differs from run to run
        return sampled(request, Ragged.of(visits, np.float64))


class CFR(Immediate):
    """The average policy of CFR+ (Tammelin, 2014) after ``CFR_ITERATIONS`` iterations, solved once a process and game."""

    def policy(self, request: Request) -> Ragged:
        game = _game(request, "cfr")
        info, name = game.info, game.info.name
        if info.simultaneous:
            raise UserError(f"cfr needs seats that move in turn; in {name} they move at once")
        if info.key_kind != "information":
            fit = "minimax or mcts:100" if info.perfect_information else "ismcts:100"
            raise UserError(f"cfr needs information states, and {name} gives none: use {fit}")
        if not fits(name, False):
            raise UserError(f"cfr solves small games, and {name} has more than {UNROLL:,} positions: use ismcts:100")
        solved = _solved(name)
        rows = []
        for native, legal in zip(_natives(request), (request.legal[i] for i in range(len(request))), strict=True):
            chance = solved.action_probabilities(native)
            rows.append([chance[action] for action in legal.tolist()])
        return Ragged.of(rows, np.float64)


@lru_cache(maxsize=32)
def _solved(name: str) -> Any:
    solver = pyspiel.CFRPlusSolver(pyspiel.load_game(name))
    for _ in range(CFR_ITERATIONS):
        solver.evaluate_and_update_policy()
    return solver.tabular_average_policy()


def _game(request: Request, agent: str) -> OpenSpiel:
    game = request.views.game
    if not isinstance(game, OpenSpiel):
        raise UserError(f"{agent} plays OpenSpiel games only, and {game.info.name} is none: use random, or train an agent")
    return game


def _natives(request: Request) -> list[Any]:
    return [state.native for state in request.views.states() if isinstance(state, SpielState)]


def _stream(seed: int, k: int) -> int:
    return int(fold(seed, k)) % 2**31


def _count(agent: str, argument: str | None) -> int:
    if argument is None or not argument.isdecimal() or int(argument) < 1:
        raise UserError(f"agent {agent}:{argument or ''} needs a number of simulations a move, such as {agent}:100")
    return int(argument)
