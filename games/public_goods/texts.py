"""What players of public goods read, and the key of what they know.

``seen`` is everything a seat has learned since the start, in order, as integers. Of every round: the gift just before its own
(``observe="partial"``, but for the first seat), then all gifts in order of seats (where gifts are public), else its own and the
group's, then whom each seat fined (where there are fines).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from games.public_goods.payoff import needed
from marl_llm.game import Seat

if TYPE_CHECKING:
    from games.public_goods.game import PublicGoods


def rules(game: PublicGoods) -> str:
    levels = game.levels
    told = [
        f"A public goods game of {game.seats} players. In each round every player has {levels} tokens and "
        f"{'' if game.sequential else 'secretly '}gives some of them to a pot, keeping the rest.",
        f"Every token in the pot pays {game.mpcr:g} to each player.",
    ]
    if game.sequential:
        seen = "all gifts so far" if game.observe == "full" else "the gift just before theirs"
        told.append(f"They give one after another, player 1 first, and see {seen}.")
    if game.cost == "quadratic":
        told.append(f"Giving k tokens costs k*k/{levels} tokens.")
    if game.synergy:
        told.append(
            f"A token that you give pays you another {game.synergy / levels:g} for each token given in the round by players before you."
        )
    goal = needed(game.threshold, levels)
    if game.penalty:
        told.append(f"If all give fewer than {goal} tokens in a round, every player loses {game.penalty * levels:g} tokens.")
    if game.benefit:
        told.append(f"If all give at least {goal} tokens in a round, every player gains {game.benefit * levels:g} tokens.")
    if game.fine:
        told.append(
            f"Then all see who gave what, and may fine one other player, who loses {game.fine * levels:g} tokens; a fine costs "
            f"{game.price * levels:g}. Answer with the number of tokens that you give, and then with whom you fine or nobody."
        )
    else:
        told.append("Answer with the number of tokens that you give.")
    return " ".join(told)


def per_round(game: PublicGoods, seat: Seat, seen: Sequence[int]) -> list[Sequence[int]]:
    """``seen`` cut into rounds; what is known of the present one comes last, if anything is."""
    before = game.observe == "partial" and seat > 0
    width = before + (game.seats if game.public else 2) + game.seats * (game.fine > 0)
    return [seen[i : i + width] for i in range(0, len(seen), width)]


def key(seat: Seat, seen: list[int]) -> str:
    return f"{seat}:{seen}"


def view(game: PublicGoods, seat: Seat, seen: Sequence[int], round_: int, fining: bool) -> str:
    past = per_round(game, seat, seen)
    now = past.pop() if len(past) > round_ else ()
    told = [f"You are player {seat + 1}. Round {round_ + 1} of {game.rounds}."]
    told += [f"In round {k} {_happened(game, seat, known)}." for k, known in enumerate(past, 1)]
    if now:
        told.append(f"In this round {_happened(game, seat, now)}.")
    if fining:
        told.append("Whom do you fine?")
    return " ".join(told)


def _happened(game: PublicGoods, seat: Seat, known: Sequence[int]) -> str:
    parts = []
    if game.observe == "partial" and seat > 0:
        parts, known = [f"player {seat} gave {known[0]}"] if not game.public or len(known) == 1 else [], known[1:]
    if game.public:
        parts += [f"{_who(other, seat)} gave {gift}" for other, gift in enumerate(known[: game.seats])]
        parts += [f"{_who(other, seat)} fined {_whom(choice, seat)}" for other, choice in enumerate(known[game.seats :])]
    elif known:
        parts.append(f"you gave {known[0]} and all gave {known[1]}")
    return ", ".join(parts)


def _who(other: Seat, seat: Seat) -> str:
    return "you" if other == seat else f"player {other + 1}"


def _whom(choice: int, seat: Seat) -> str:
    return _who(choice - 1, seat) if choice else "nobody"


def action(fining: bool, number: int) -> str:
    """An action as players write it."""
    return str(number) if not fining else f"player {number}" if number else "nobody"
