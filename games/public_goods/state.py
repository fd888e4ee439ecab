"""One match of public goods: the plain statement of the rules, for trees, search and tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from games.public_goods import texts
from games.public_goods.payoff import received
from marl_llm.game import Action, Seat, State, View
from marl_llm.seeding import uniform

if TYPE_CHECKING:
    from games.public_goods.game import PublicGoods

Rounds = tuple[tuple[int, ...], ...]
"""One number a seat, of every round; of the present round only what has happened."""


class PublicGoodsState(State):
    """``gifts`` in tokens and ``fines`` (0 nobody, k the k-th seat) so far, and what each seat has gained by them."""

    def __init__(self, game: PublicGoods, gifts: Rounds = (), fines: Rounds = (), gained: Sequence[float] | None = None) -> None:
        self.game, self.gifts, self.fines = game, gifts, fines
        self.gained = [0.0] * game.seats if gained is None else gained

    @property
    def round(self) -> int:
        """Rounds that are over."""
        return len(self.fines) if self.game.fine else sum(len(gifts) == self.game.seats for gifts in self.gifts)

    @property
    def now(self) -> tuple[int, ...]:
        """Gifts of the present round."""
        return self.gifts[-1] if len(self.gifts) > self.round else ()

    @property
    def fining(self) -> bool:
        return len(self.now) == self.game.seats

    def to_act(self) -> tuple[Seat, ...]:
        if self.round == self.game.rounds:
            return ()
        return (len(self.now),) if self.game.sequential and not self.fining else tuple(range(self.game.seats))

    def legal(self, seat: Seat) -> Sequence[int]:
        if not self.fining:
            return range(self.game.levels + 1)
        return [choice for choice in range(self.game.seats + 1) if choice != seat + 1]

    def apply(self, moves: Mapping[Seat, Action]) -> None:
        made = tuple(int(moves[seat]) for seat in self.to_act())
        if self.fining:
            self.fines = (*self.fines, made)
            choices = np.asarray(made)
            self._gain(-self.game.price * (choices > 0) - self.game.fine * received(choices))
        else:
            now = self.now + made
            self.gifts = (*self.gifts[: self.round], now)
            if len(now) == self.game.seats:
                self._gain(self.game.payoff(np.asarray(now)))

    def _gain(self, gains: NDArray[np.float64]) -> None:
        self.gained = [sum(pair) for pair in zip(self.gained, gains.tolist(), strict=True)]

    def returns(self) -> Sequence[float]:
        return self.gained

    def seen(self, seat: Seat) -> list[int]:
        """All that ``seat`` has learned, as ``texts`` explains."""
        game, seen = self.game, []
        for k, gifts in enumerate(self.gifts):
            if game.observe == "partial" and 0 < seat <= len(gifts):
                seen.append(gifts[seat - 1])
            if game.observe == "full":
                seen += gifts
            elif len(gifts) == game.seats:
                seen += gifts if game.public else (gifts[seat], sum(gifts))
            seen += self.fines[k] if k < len(self.fines) else ()
        return seen

    def view(self, seat: Seat | None) -> View:
        if seat is None:
            told = f"Given so far: {self.gifts}" + (f"; fined so far: {self.fines}" if self.game.fine else "")
            return View(text=lambda: told, vector=self._table, key=lambda: told)
        return View(
            text=lambda: texts.view(self.game, seat, self.seen(seat), self.round, self.fining),
            vector=lambda: self._vector(seat),
            key=lambda: texts.key(seat, self.seen(seat)),
        )

    def _vector(self, seat: Seat) -> NDArray[np.float64]:
        """The share of rounds played, and what this seat and the mean seat gave in the last full round; where seats give in turn
        or fine, the gifts of this round that it sees, one number a seat; where they fine, whether now, and who was fined last."""
        game, now = self.game, self.now
        last = next((gifts for gifts in reversed(self.gifts) if len(gifts) == game.seats), (0,) * game.seats)
        numbers = [self.round / game.rounds, last[seat] / game.levels, sum(last) / (game.levels * game.seats)]
        if game.sequential or game.fine:
            shown = [game.observe == "full" or self.fining or (game.observe == "partial" and k == seat - 1) for k in range(len(now))]
            numbers += [gift / game.levels if seen else 0 for gift, seen in zip(now, shown, strict=True)]
            numbers += [0] * (game.seats - len(now))
        if game.fine:
            fined = received(np.asarray(self.fines[-1])) if self.fines else np.zeros(game.seats)
            numbers += [self.fining, *(fined / game.seats)]
        return np.asarray(numbers)

    def _table(self) -> NDArray[np.float64]:
        """The share of rounds played, every seat's gift of this round, and what it has gained."""
        game, now = self.game, self.now
        return np.asarray([self.round / game.rounds, *(gift / game.levels for gift in now), *[0] * (game.seats - len(now)), *self.gained])

    def action_text(self, seat: Seat, action: Action) -> str:
        return texts.action(self.fining, action)

    def clone(self) -> State:
        return PublicGoodsState(self.game, self.gifts, self.fines, self.gained)

    def resample(self, seat: Seat, seed: int) -> State:
        """Where a seat sees one gift before its own, the earlier ones are drawn anew, every number of tokens as likely. Of rounds
        that are over nothing counts any more but what the seat has seen, which stays."""
        world = PublicGoodsState(self.game, self.gifts, self.fines, self.gained)
        if self.game.observe == "partial" and self.now and not self.fining:
            drawn = [int(uniform(seed, k) * (self.game.levels + 1)) for k in range(len(self.now))]
            kept = [gift if k in (seat - 1, seat) else new for k, (gift, new) in enumerate(zip(self.now, drawn, strict=True))]
            world.gifts = (*self.gifts[:-1], tuple(kept))
        return world
