"""The command line of `ferry in-flight`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferry_console.command_line import add_command, add_json, add_verbs
from ferry_console.in_flight.stages import Stage
from ferry_console.option_values import partition, rows, seconds

if TYPE_CHECKING:
    from ferry_console.command_line import Commands

_LIST = """\
examples:
  ferry in-flight list                                  the 50 oldest of all topics
  ferry in-flight list --older-than 300                 what is in flight for more than five minutes
  ferry in-flight list --topic orders --state running
  ferry in-flight list --state failed --limit 1000 --json

Needs Redis only, and changes nothing there. ferry trace ID tells more of one of them.
exit codes: 0 listed, also when nothing is in flight; 1 there is no such partition; 2 wrong usage or setting; 3 Redis
can't be reached
"""


def add_in_flight(commands: Commands) -> None:
    """Add `in-flight list`."""
    verbs = add_verbs(commands, "in-flight", "tell what is dispatched and not yet ended", _LIST)
    listing = add_command(verbs, "list", "list what is in flight, the oldest first", _LIST)
    listing.add_argument("--topic", metavar="NAME", help="of one topic")
    listing.add_argument("--partition", type=partition, metavar="NUMBER", help="of one partition")
    listing.add_argument(
        "--older-than", type=seconds, metavar="SECONDS", help="dispatched longer ago than this, wherever it is now"
    )
    listing.add_argument("--state", choices=[str(stage) for stage in Stage], help="how far it is")
    listing.add_argument("--limit", type=rows, default=50, metavar="NUMBER", help="at most so many (50)")
    listing.add_argument("--group", metavar="NAME", help="of another consumer group than CONSUMER_GROUP")
    add_json(listing)
