"""The command line of `ferry trace`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferry_console.command_line import add_command, add_json

if TYPE_CHECKING:
    from ferry_console.command_line import Commands

_EPILOG = """\
examples:
  ferry trace messages-0-42
  ferry trace messages-0-42@billing      of the consumer group billing
  ferry trace messages-0-42 --json

Tells the record, its times, where it is or how it ended, and its dead letters. Changes nothing; while Kafka or Redis is
away it tells the other half.
exit codes: 0 there is or was such a message, 1 there isn't, 2 wrong usage or setting, 3 a server can't be reached
"""


def add_trace(commands: Commands) -> None:
    """Add `trace`."""
    trace = add_command(commands, "trace", "tell what is known of one message", _EPILOG)
    trace.add_argument("task_id", metavar="ID", help="a task id, as the worker prints it: messages-0-42")
    add_json(trace)
