"""``marl-llm COMMAND ...``: finds the command in the catalogues, runs it, and turns what happened into an exit code.

0 done, 1 failed, 2 wrong usage, 130 interrupted. A command is ``main(argv) -> int``; what a person must put right it
raises as UserError, which is shown as one line.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from marl_llm import __version__
from marl_llm.catalogue import catalogue, lookup
from marl_llm.errors import UserError
from marl_llm.registry import load

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if os.getcwd() not in sys.path:  # so that module:Class finds the modules of the folder one stands in
        sys.path.append(os.getcwd())
    try:
        if not words or words[0] in ("-h", "--help", "help"):
            return usage()
        if words[0] == "--version":
            print(f"marl-llm {__version__}")
            return DONE
        return load(lookup("commands", words[0]), "command")(words[1:])
    except UserError as error:
        print(f"marl-llm: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE


def usage() -> int:
    """Print the commands."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, show_header=False, padding=(0, 2))
    for entry in catalogue()["commands"].values():
        table.add_row(f"[bold]{entry.name}[/]", entry.summary)
    console = Console(highlight=False)
    console.print("[bold]marl-llm[/]: language-model and neural agents that learn by playing games\n")
    console.print("usage: marl-llm COMMAND ...      marl-llm COMMAND --help      marl-llm --version\n")
    console.print(table)
    return DONE


def run() -> None:
    """The console script. One thread a process unless the environment says otherwise: two busy processes with a thread for
    every core slow each other down many times over."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        code = main()
    except SystemExit as stop:  # --help of a command
        raise stop
    except Exception:
        import traceback

        traceback.print_exc()
        code = FAILED
    sys.exit(code)
