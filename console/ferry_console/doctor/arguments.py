"""The command line of `ferry doctor`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import _SubParsersAction

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


def add_doctor(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `doctor`."""
    summary = "look at everything that Ferry needs, and say what is wrong and what to do"
    doctor = commands.add_parser(
        "doctor",
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    doctor.add_argument("--json", action="store_true", help="one JSON object instead of text")
