"""The command line of `ferry dead-letters`."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from ferry_console.moments import moment_ms
from ferry_console.option_values import rows, seconds

if TYPE_CHECKING:
    from argparse import _SubParsersAction

_LIST = """\
examples:
  ferry dead-letters list                               the 50 newest of all routes
  ferry dead-letters list --since 2h --reason invalid   what senders got wrong in the last two hours
  ferry dead-letters list --text "no such order" --since 2026-11-20 --until 2026-11-21T08:30:00Z
  ferry dead-letters list --topic orders --limit 1000 --json

Newest first. A time is ISO 8601, in UTC unless it names a zone, or how long ago: 90s, 15m, 2h, 7d.
Reads Kafka only, joins no group, commits nothing.
exit codes: 0 listed, also when there are none; 1 there is no such dead-letter topic; 2 wrong usage or setting; 3 Kafka
can't be reached
"""
_SHOW = """\
examples:
  ferry dead-letters show messages-0-42
  ferry dead-letters show messages-0-42 --json      also the headers that Ferry added
  ferry dead-letters show messages.dlq-0-17         by where it lies, if it has no task id

exit codes: 0 shown, 1 there is none of that id, 2 wrong usage or setting, 3 Kafka can't be reached
"""


def add_dead_letters(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `dead-letters list` and `dead-letters show`."""
    summary = "tell what has failed for good, and why"
    parser = commands.add_parser(
        "dead-letters", help=summary, description=f"{summary.capitalize()}.", allow_abbrev=False
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    _add_list(_verb(verbs, "list", "the newest ones: id, time, reason, error", _LIST))
    show = _verb(verbs, "show", "one of them, whole: error, origin, headers, value", _SHOW)
    show.add_argument("task_id", metavar="ID", help="a task id, as the list and the worker print it: messages-0-42")
    show.add_argument("--json", action="store_true", help="one JSON object instead of text")


def _add_list(listing: argparse.ArgumentParser) -> None:
    listing.add_argument("--topic", metavar="NAME", help="of one topic, by its own name or its dead-letter topic's")
    listing.add_argument("--reason", dest="with_reason", metavar="NAME", help="such as invalid, poison or ValueError")
    listing.add_argument("--since", type=moment, metavar="TIME", help="written then or later")
    listing.add_argument("--until", type=moment, metavar="TIME", help="written then or before")
    listing.add_argument("--text", metavar="TEXT", help="with this in the error or the value, in capitals or not")
    listing.add_argument("--limit", type=rows, default=50, metavar="NUMBER", help="at most so many (50)")
    listing.add_argument(
        "--timeout", type=seconds, default=30.0, metavar="SECONDS", help="how long the topics are searched (30)"
    )
    listing.add_argument("--json", action="store_true", help="one JSON object instead of text")


def moment(text: str) -> int:
    """A time, in milliseconds since 1970."""
    try:
        return moment_ms(text, int(time.time() * 1000))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _verb(
    verbs: _SubParsersAction[argparse.ArgumentParser], name: str, summary: str, epilog: str
) -> argparse.ArgumentParser:
    return verbs.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
