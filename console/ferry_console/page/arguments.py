"""The command line of `ferry console`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ferry_console.command_line import add_command
from ferry_console.option_values import port, seconds

if TYPE_CHECKING:
    from ferry_console.command_line import Commands

LOCAL_ADDRESS, USUAL_PORT = "127.0.0.1", 8090

_EPILOG = """\
examples:
  ferry console                          http://127.0.0.1:8090, for whoever can log in to this machine
  ferry console --port 0 --group audit   any free port, another consumer group
  ferry console --host 0.0.0.0           for others too: prints a link with a token, without which nothing is shown
  ferry console --host 0.0.0.0 --token-file /run/secrets/ferry --allowed-host ferry.example

Shows rate and backlog, partitions, what is in flight, where a message is, and dead letters, which it can send again.
Asks Redis and Kafka only while a browser shows the page. It runs until Ctrl-C.
exit codes: 0 ended by Ctrl-C or SIGTERM; 2 wrong usage or setting, or the address can't be had
"""


def add_page(commands: Commands) -> None:
    """Add `console`."""
    summary = "show all of it live in a browser"
    page = add_command(commands, "console", summary, _EPILOG)
    page.add_argument(
        "--host", default=LOCAL_ADDRESS, metavar="ADDRESS", help=f"listen on this address ({LOCAL_ADDRESS})"
    )
    page.add_argument(
        "--port", type=port, default=USUAL_PORT, metavar="NUMBER", help=f"any free one by 0 ({USUAL_PORT})"
    )
    page.add_argument(
        "--token-file", type=Path, metavar="FILE", help="the token is in this file, instead of one made at each start"
    )
    page.add_argument(
        "--allowed-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name by which browsers reach the page, besides addresses and localhost",
    )
    page.add_argument("--group", metavar="NAME", help="another consumer group than CONSUMER_GROUP")
    page.add_argument(
        "--old", type=seconds, default=300.0, metavar="SECONDS", help="warn of messages in flight older than this (300)"
    )
