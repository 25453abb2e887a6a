"""The command lines of `ferry up` and `ferry demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ferry_console.command_line import add_command
from ferry_console.option_values import seconds

if TYPE_CHECKING:
    import argparse

    from ferry_console.command_line import Commands

_UP = """\
examples:
  ferry up
  ferry up --data /var/tmp/ferry    data in another place; it is there again at the next start

Kafka and Valkey come from Python packages, on free ports if the usual ones are taken.
exit codes: 0 ended by Ctrl-C or SIGTERM, 1 something could not be started or has ended, 2 wrong usage or setting
"""
_DEMO = """\
examples:
  ferry demo "hello" "world"
  ferry demo --timeout 120          on a slow machine

Uses the system that ferry up runs, or starts one for as long as it takes.
exit codes: 0 every message is accounted for, 1 not every one, 2 wrong usage or setting
"""


def add_local(commands: Commands) -> None:
    """Add `up` and `demo`."""
    _add_data(add_command(commands, "up", "run the whole system on this machine until Ctrl-C", _UP))
    demo = add_command(commands, "demo", "send messages through the whole system and account for each", _DEMO)
    demo.add_argument("words", nargs="*", metavar="TEXT", help="messages to send besides a file of a thousand")
    demo.add_argument(
        "--timeout", type=seconds, default=60.0, metavar="SECONDS", help="how long messages may take (60)"
    )
    _add_data(demo)


def _add_data(parser: argparse.ArgumentParser) -> None:
    data = parser.add_argument(
        "--data", type=Path, default=Path(".ferry"), metavar="FOLDER", help="where Kafka and Valkey keep data (.ferry)"
    )
    # Of shtab, which isn't imported for that: a folder, in each shell's words.
    data.complete = {"bash": "_shtab_compgen_dirs", "zsh": "_files -/", "tcsh": "d"}  # type: ignore[attr-defined]
