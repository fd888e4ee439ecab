"""QMIX's two-step game: a team of two whose first move chooses between a safe and a better but riskier second step.

Seat 0's first move leads to state A, where all joint moves pay 7, or to state B, where they pay [[0, 1], [1, 8]]. The best is 8;
an additive fit of the joint values (VDN) goes for 7 (Rashid et al. 2018, arXiv 1803.11485). Both seats see the state, seat 1's
first move changes nothing, and each seat knows what it did itself. The source's discount of 0.99 is left to the learner.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from marl_llm.game import Action, Discrete, Game, GameInfo, Seat, State, View

PAY = np.asarray([[[7, 7], [7, 7]], [[0, 1], [1, 8]]])
"""Of both seats, by state, seat 0's and seat 1's second move."""
MOVES = "AB"


class TwoStep(Game):
    """The vector of a seat is the state (start, A, B) and its own first move, each one-hot; that of the table is the state."""

    info = GameInfo(
        name="two_step",
        seats=2,
        returns=(0.0, 8.0),
        max_decisions=4,
        action=Discrete(2),
        utility="team",
        vector=(5,),
        table=(3,),
        rewards_at_end=True,
        enumerable=True,
        simultaneous=True,
        key_kind="information",
        summary="QMIX's two-step game",
    )

    def start(self, seed: int) -> State:
        return TwoStepState(())

    def rules(self, seat: Seat) -> str:
        return (
            "A game of two players who are one team, in two steps. In each step both choose A or B at once. Player 1's first choice leads "
            "to state A or to state B; player 2's first choice changes nothing. The second choices pay each player: in state A always 7; "
            "in state B 8 if both choose B, 1 if one does, 0 if none does."
        )


class TwoStepState(State):
    """The joint moves so far."""

    def __init__(self, moves: tuple[tuple[int, int], ...]) -> None:
        self.moves = moves

    def to_act(self) -> tuple[Seat, ...]:
        return (0, 1) if len(self.moves) < 2 else ()

    def legal(self, seat: Seat) -> Sequence[int]:
        return range(2)

    def apply(self, moves: Mapping[Seat, Action]) -> None:
        self.moves = (*self.moves, (moves[0], moves[1]))

    def returns(self) -> Sequence[float]:
        if len(self.moves) < 2:
            return (0.0, 0.0)
        (state, _), second = self.moves
        return (float(PAY[state][second]),) * 2

    def view(self, seat: Seat | None) -> View:
        state = self.moves[0][0] + 1 if self.moves else 0
        place = f"Step 2, state {MOVES[state - 1]}." if state else "Step 1."
        if seat is None:
            return View(text=lambda: place, vector=lambda: np.eye(3)[state], key=lambda: place)
        own = self.moves[0][seat] if self.moves else None
        mine = "" if own is None else f" In step 1 you chose {MOVES[own]}."
        return View(
            text=lambda: f"You are player {seat + 1}. {place}{mine}",
            vector=lambda: np.concatenate([np.eye(3)[state], np.zeros(2) if own is None else np.eye(2)[own]]),
            key=lambda: f"{seat}:{state}:{'' if own is None else own}",
        )

    def action_text(self, seat: Seat, action: Action) -> str:
        return MOVES[action]

    def clone(self) -> State:
        return TwoStepState(self.moves)

    def resample(self, seat: Seat, seed: int) -> State:
        """Only seat 1's first move is ever hidden, and it changes nothing."""
        return self.clone()
