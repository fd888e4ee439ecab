"""Matrix games: one table of payoffs for any number of seats that move at once, played once or again and again.

``matrix(payoffs=climbing)``, ``matrix(payoffs=prisoners_dilemma,rounds=10,memory=1)``, ``matrix(payoffs='penalty(k=-25)')``,
``matrix(payoffs=[[4,0],[0,2]],team=True)``, ``matrix(payoffs='my_game.npy')``; or from Python ``Matrix(array)``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from games.payoff_tables import payoff_table
from games.rounds import CODES, Positions, Rounds, whole
from marl_llm.errors import UserError
from marl_llm.game import Action, Discrete, GameInfo, Seat


class Matrix(Rounds):
    """``rounds`` of the game of ``payoffs`` (see ``payoff_table``); a return is the sum of what the rounds paid.

    Before a round every seat sees what all played in the last ``memory`` rounds, by default in all. With less than that seats
    forget, and the key is the Markov state with what they remember. A situation is those rounds' joint moves, each an index
    into the flat table, as one number whose last digit is the latest.
    """

    def __init__(self, payoffs: Any = "prisoners_dilemma", rounds: int = 1, memory: int | None = None, *, team: bool = False) -> None:
        self.table = table = payoff_table(payoffs, team=team)
        shape = table.payoffs.shape[1:]
        self.seats, self.joint = len(shape), int(np.prod(shape))
        self.choices = np.asarray(shape)
        self.rounds = whole("matrix", "rounds", rounds, 1)
        self.memory = rounds - 1 if memory is None else whole("matrix", "memory", memory, 0)
        if self.memory >= rounds:
            raise UserError(f"matrix: memory is {memory} and rounds is {rounds}; expected a memory below the number of rounds")
        self.span = self.joint**self.memory
        if rounds * self.span * max(self.joint, self.seats**2) >= CODES:
            raise UserError(
                f"matrix: {self.memory} rounds of {self.joint} joint moves cannot be remembered; expected a smaller memory, such as 1"
            )
        self.flat = table.payoffs.reshape(self.seats, -1).T
        """Payoffs by joint move, [joint moves, seats]."""
        size = 1 + self.memory * int(self.choices.sum())
        self.info = GameInfo(
            name=f"matrix(payoffs={table.title},rounds={rounds},memory={self.memory})",
            seats=self.seats,
            returns=(rounds * float(self.flat.min()), rounds * float(self.flat.max())),
            max_decisions=rounds * self.seats,
            action=Discrete(max(shape)),
            utility=table.utility,
            vector=(size,),
            table=(size,),
            rewards_at_end=rounds == 1,
            enumerable=self.small(),
            simultaneous=True,
            key_kind="information" if self.memory == rounds - 1 else "state",
            summary=f"Matrix game {table.title}",
        )

    def rules(self, seat: Seat) -> str:
        names = self.table.names
        order = (seat, *(other for other in range(self.seats) if other != seat))
        who = ["you", *(f"player {other + 1}" for other in order[1:])]
        lines = []
        for place in np.ndindex(*(int(self.choices[s]) for s in order)):
            moves = np.empty(self.seats, np.int64)
            moves[list(order)] = place
            paid = self.table.payoffs[:, *moves][list(order)].tolist()
            gets = [f"{one} {'get' if one == 'you' else 'gets'} {value:g}" for one, value in zip(who, paid, strict=True)]
            told = f"everyone gets {paid[0]:g}" if self.info.utility == "team" else ", ".join(gets)
            lines.append(f"{', '.join(f'{one} {names[action]}' for one, action in zip(who, place, strict=True))}: {told}")
        repeated = "" if self.rounds == 1 else f", in each of {self.rounds} rounds"
        own = ", ".join(names[: self.choices[seat]])
        return f"A game of {self.seats} players, who choose at once{repeated}. You choose one of {own}.\n" + "\n".join(lines)

    def gains(self, position: Positions, moves: NDArray[np.int64]) -> NDArray[np.float64]:
        return self.flat[self._joint(moves)]

    def after(self, position: Positions, moves: NDArray[np.int64]) -> Positions:
        return (position % self.span * self.joint + self._joint(moves)) % self.span  # the oldest joint move is forgotten

    def _joint(self, moves: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.ravel_multi_index(tuple(moves.T), tuple(self.choices))

    def _seen(self, position: Positions) -> NDArray[np.int64]:
        """What was played in the last ``memory`` rounds, earliest first, [n, memory, seats]; -1 before the first round."""
        round_, situation = np.divmod(position, self.span)
        ago = np.arange(self.memory - 1, -1, -1)
        joint = situation[:, None] // self.joint**ago % self.joint
        moves = np.stack(np.unravel_index(joint, tuple(self.choices)), -1)
        return np.where((ago < round_[:, None])[:, :, None], moves, -1)

    def text(self, position: int, seat: Seat | None) -> str:
        round_, names = position // self.span, self.table.names
        told = [] if seat is None else [f"You are player {seat + 1}."]
        told.append(f"Round {round_ + 1} of {self.rounds}.")
        for number, moves in enumerate(self._seen(np.asarray([position]))[0].tolist(), round_ - self.memory + 1):
            if number > 0:
                played = [f"{'you' if s == seat else f'player {s + 1}'} chose {names[action]}" for s, action in enumerate(moves)]
                told.append(f"In round {number} {', '.join(played)}.")
        return " ".join(told)

    def vectors(self, position: Positions) -> NDArray[np.float32]:
        """The share of rounds played; then for each remembered round, earliest first, every seat's action one-hot, zeros if none."""
        seat, action = np.repeat(np.arange(self.seats), self.choices), np.concatenate([np.arange(n) for n in self.choices])
        hot = self._seen(position)[:, :, seat] == action
        return np.column_stack([position // self.span / self.rounds, hot.reshape(len(position), -1)]).astype(np.float32)

    def action_text(self, seat: Seat, action: Action) -> str:
        return self.table.names[action]
