"""The command line of `ferry status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferry_console.command_line import add_command
from ferry_console.option_values import seconds

if TYPE_CHECKING:
    from ferry_console.command_line import Commands

_EPILOG = """\
examples:
  ferry status
  ferry status --watch                   again every two seconds, until Ctrl-C
  ferry status --old 60 --json
  ferry status > /dev/null || page-me    as a check

Needs Redis only, and changes nothing there.
exit codes: 0 a consumer is at work on every partition, 1 on some or all it is silent, 2 wrong usage or setting, 3 Redis
can't be reached, 130 Ctrl-C
"""


def add_status(commands: Commands) -> None:
    """Add `status`."""
    status = add_command(commands, "status", "tell how far each partition is, and who is at work on it", _EPILOG)
    status.add_argument(
        "--watch", type=seconds, nargs="?", const=2.0, metavar="SECONDS", help="again and again, every so often (2)"
    )
    status.add_argument("--json", action="store_true", help="one JSON object a look instead of text")
    status.add_argument("--group", metavar="NAME", help="of another consumer group than CONSUMER_GROUP")
    status.add_argument(
        "--old",
        type=seconds,
        default=300.0,
        metavar="SECONDS",
        help="warn of messages in flight older than this (300)",
    )
