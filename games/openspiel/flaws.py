"""Where OpenSpiel's own description of a game is wrong, as ``check_game`` found over all of its games."""

REFUSED = {"crossword": "its actions are structures, not integers"}

REWARDS_BEFORE_THE_END = frozenset({"python_ant_foraging", "python_hangman", "repeated_leduc_poker"})
"""They state a terminal reward model, and their returns change before the end."""

CLONES_BREAK = frozenset({"python_hangman"})
"""A clone of a clone has lost its game."""

TENSOR_OF_OTHER_STATES = frozenset({"python_dynamic_routing"})
"""Their tensor keeps rows that were written for whatever state was looked at before."""

FORGETFUL = frozenset({"dark_hex_ir", "go_fish", "liars_dice_ir", "phantom_ttt_ir", "repeated_leduc_poker", "turn_based_simultaneous_game"})
"""Their information state does not tell all that the seat has seen and done."""
