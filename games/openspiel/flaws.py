"""Where OpenSpiel's own description of a game is wrong, as ``check_game`` found over all of its games."""

REFUSED = {
    "chat_game": "it allows more actions than it states",
}
REWARDS_BEFORE_THE_END = frozenset({"python_ant_foraging", "python_hangman", "repeated_leduc_poker"})
"""They state a terminal reward model, and their returns change before the end."""

TENSOR_OF_OTHER_STATES = frozenset({"python_dynamic_routing"})
"""Their tensor keeps rows that were written for whatever state was looked at before."""
