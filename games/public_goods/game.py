"""Public goods: everyone gives a part of an endowment to a pot from which all gain, so each does best to let the others give.

One family: linear, threshold, sequential and repeated goods, with synergy between those who give and with fines. ``payoff`` has the
equation of a round. All seats give at once (``observe="none"``) and learn what the group gave, or one after another: then each sees
the gift just before its own (``"partial"``; at the end of a round what the group gave) or every gift (``"full"``). With ``fine``
all gifts are shown after each round and every seat may fine one other seat, at a price; who fined whom is shown too (Fehr and
Gaechter, 2000, with one fine a round in place of points).
"""

from __future__ import annotations

from inspect import signature
from math import isfinite
from typing import Any

from games.public_goods import texts
from games.public_goods.boards import PublicGoodsBoards
from games.public_goods.payoff import Payoff
from games.public_goods.state import PublicGoodsState
from marl_llm.boards import Boards
from marl_llm.errors import UserError
from marl_llm.game import Discrete, Game, GameInfo, Seat, State

SMALL = 50_000
"""Most plays of a game whose tree is unrolled."""
LINEAR = ("seats", "mpcr", "levels", "rounds")
"""Parameters of the linear game; its name gives them all, and of the others those that are not as in it."""


class PublicGoods(Game):
    """``levels`` tokens make up the endowment; giving k of them is action k. ``mpcr`` is the return of a token to every seat.

    ``cost`` of giving is "linear" or "quadratic". ``threshold`` endowments must be given in a round, or every seat loses ``penalty``;
    where they are, every seat gains ``benefit``. ``fine`` is what a fined seat loses, ``ratio`` times what the fine costs; to fine
    nobody is action 0, to fine the k-th seat action k. UserError for a value out of range.
    """

    def __init__(
        self,
        seats: int = 4,
        mpcr: float = 0.5,
        levels: int = 4,
        rounds: int = 1,
        observe: str = "none",
        cost: str = "linear",
        synergy: float = 0.0,
        threshold: float = 0.0,
        penalty: float = 0.0,
        benefit: float = 0.0,
        fine: float = 0.0,
        ratio: float = 3.0,
    ) -> None:
        given = {name: value for name, value in locals().items() if name != "self"}
        _check(given)
        kind = {name: value for name, value in _changed(given).items() if name not in LINEAR}
        self.seats, self.mpcr, self.levels, self.rounds = seats, float(mpcr), levels, rounds
        self.observe, self.cost, self.synergy = observe, cost, synergy
        self.threshold, self.penalty, self.benefit = threshold, penalty, benefit
        self.fine, self.price = fine, fine / ratio if fine else 0.0
        self.sequential, self.public = observe != "none", observe == "full" or fine > 0
        self.giving = seats if self.sequential else 1
        """Stages of a round in which seats give."""
        self.stages = self.giving + (fine > 0)
        """Stages of a round."""
        self.payoff = Payoff.of(seats, levels, self.mpcr, cost, synergy, threshold, penalty, benefit)
        low, high = self.payoff.bounds()
        choices = (levels + 1) * (seats if fine else 1)
        self.info = GameInfo(
            name=f"public_goods({','.join(f'{name}={value}' for name, value in {**{n: given[n] for n in LINEAR}, **kind}.items())})",
            seats=seats,
            returns=(rounds * (low - fine * (seats - 1) - self.price), rounds * high),
            max_decisions=seats * rounds * (2 if fine else 1),
            action=Discrete(max(levels, seats if fine else 0) + 1),
            vector=(3 + seats * (self.sequential or fine > 0) + (1 + seats) * (fine > 0),),
            table=(1 + 2 * seats,),
            perfect_information=observe == "full" and not fine,
            rewards_at_end=rounds == 1 and not fine,
            enumerable=choices ** min(seats * rounds, 16) <= SMALL,
            anonymous=not (self.sequential or synergy or fine),
            simultaneous=not self.sequential or fine > 0,
            key_kind="information",
            summary="Public goods" if kind else "Linear public goods",
        )

    def start(self, seed: int) -> State:
        return PublicGoodsState(self)

    def rules(self, seat: Seat) -> str:
        return texts.rules(self)

    def boards(self, rows: int) -> Boards:
        return PublicGoodsBoards(self, rows)


def _changed(given: dict[str, Any]) -> dict[str, Any]:
    """The parameters that do not have their defaults."""
    return {name: given[name] for name, known in signature(PublicGoods).parameters.items() if given[name] != known.default}


def _check(values: dict[str, Any]) -> None:
    def wrong(name: str, expected: str) -> UserError:
        return UserError(f"public_goods: {name} is {values[name]!r}; expected {expected}")

    for name in ("seats", "levels", "rounds"):
        if not isinstance(values[name], int) or values[name] < 1:
            raise wrong(name, "an integer of at least 1")
    for name, known in (("observe", ("none", "partial", "full")), ("cost", ("linear", "quadratic"))):
        if values[name] not in known:
            raise wrong(name, " or ".join(known))
    for name in ("mpcr", "synergy", "threshold", "penalty", "benefit", "fine", "ratio"):
        value = values[name]
        if not isinstance(value, (int, float)) or not isfinite(value) or value < 0:
            raise wrong(name, "a number of at least 0, such as 0.5")
    if values["threshold"] > values["seats"]:
        raise wrong("threshold", f"at most {values['seats']}, the endowments of all seats")
    stakes = values["penalty"] or values["benefit"]
    if stakes and not values["threshold"]:
        raise wrong("penalty" if values["penalty"] else "benefit", "0 without a threshold; give threshold=2.5 or the like")
    if values["threshold"] and not stakes:
        raise wrong("threshold", "0 where nothing depends on it; give penalty=1.5 or benefit=1.5 or the like")
    if values["fine"] and (values["seats"] < 2 or not values["ratio"]):
        raise wrong("fine", "0 with one seat or a ratio of 0; there is nobody to fine, or no price that buys it")
