"""The command line of `ferry doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferry_console.command_line import add_command, add_json

if TYPE_CHECKING:
    from ferry_console.command_line import Commands

_EPILOG = """\
examples:
  ferry doctor
  ferry doctor | grep -v '^ok'           only what deserves attention
  ferry doctor --json > doctor.json      for a bug report: it holds no password
  ferry doctor > /dev/null || exit 1     in a script, before a release

Looks at settings, installed clients, Redis, Kafka with topics and rights, clocks, consumers and workers. It changes
nothing. Run it with the same settings, and in the same directory, as the consumer.
exit codes: 0 no error was found, 1 an error was found, 2 wrong usage
"""


def add_doctor(commands: Commands) -> None:
    """Add `doctor`."""
    summary = "look at everything that Ferry needs, and say what is wrong and what to do"
    add_json(add_command(commands, "doctor", summary, _EPILOG))
