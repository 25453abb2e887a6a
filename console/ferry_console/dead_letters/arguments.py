"""The command line of `ferry dead-letters`."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from ferry_console.command_line import add_command, add_dry_run, add_json, add_verbs, add_yes
from ferry_console.moments import moment_ms
from ferry_console.option_values import rows, seconds

if TYPE_CHECKING:
    from ferry_console.command_line import Commands

_DEAD_LETTERS = """\
examples:
  ferry dead-letters list --since 2h --reason invalid    what senders got wrong in the last two hours
  ferry dead-letters show messages-0-42                  one of them, whole
  ferry dead-letters replay --reason ValueError --since 2h
  ferry dead-letters purge --until 30d

exit codes: 0 done, 1 there is none or some could not be replayed or removed, 2 wrong usage or setting, 3 Kafka or Redis
can't be reached
"""
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


_REPLAY = """\
examples:
  ferry dead-letters replay messages-0-42                       one, by its id
  ferry dead-letters replay --reason ValueError --since 2h --dry-run
  ferry dead-letters replay --reason ValueError --since 2h
  ferry dead-letters replay --topic orders --all --limit 100    at most so many, the oldest of each partition first

The record goes to its topic again, with key, headers and value, for the group in which it failed; other groups of Ferry
pass it over. What was replayed is remembered in Redis, and not replayed again without --force.
exit codes: 0 all that was asked for is replayed, now or before; 1 some could not be, or there is none; 2 wrong usage or
setting; 3 Kafka or Redis can't be reached
"""

_PURGE = """\
examples:
  ferry dead-letters purge --until 30d --dry-run                what is older than that, and whether it can be removed
  ferry dead-letters purge --until 30d
  ferry dead-letters purge --topic orders --replayed --yes      what was sent again, without being asked
  ferry dead-letters purge --topic orders --all --all-groups    all there is

Kafka deletes the beginning of a partition and nothing in between: each is emptied up to the first letter that must
stay, because it isn't asked for or is being replayed, and what stays behind that one is told. It is gone for good.
exit codes: 0 all that was asked for is gone, or there was none; 1 some had to stay, or there is no such topic; 2 wrong
usage or setting; 3 Kafka or Redis can't be reached
"""


def add_dead_letters(commands: Commands) -> None:
    """Add `dead-letters list`, `dead-letters show`, `dead-letters replay` and `dead-letters purge`."""
    verbs = add_verbs(
        commands, "dead-letters", "tell what has failed for good, send it again, remove it", _DEAD_LETTERS
    )
    _add_list(add_command(verbs, "list", "list the newest dead letters: id, time, reason, error", _LIST))
    show = add_command(verbs, "show", "show one dead letter, whole: error, origin, headers, value", _SHOW)
    show.add_argument("task_id", metavar="ID", help="a task id, as the list and the worker print it: messages-0-42")
    add_json(show)
    _add_replay(add_command(verbs, "replay", "send dead letters to their topics again", _REPLAY))
    _add_purge(add_command(verbs, "purge", "remove dead letters for good", _PURGE))


def _add_replay(replay: argparse.ArgumentParser) -> None:
    replay.add_argument("task_ids", nargs="*", metavar="ID", help="these alone; else those that options ask for")
    _add_filters(replay, "in which they failed (CONSUMER_GROUP)")
    replay.add_argument("--all", action="store_true", help="without any other option: all of them")
    replay.add_argument("--limit", dest="most", type=rows, metavar="NUMBER", help="at most so many")
    replay.add_argument(
        "--timeout", type=seconds, default=600.0, metavar="SECONDS", help="how long the topics are read (600)"
    )
    replay.add_argument("--force", action="store_true", help="also what was replayed before")
    add_dry_run(replay)
    add_json(replay)


def _add_purge(purge: argparse.ArgumentParser) -> None:
    _add_filters(purge, "in which they failed (CONSUMER_GROUP)")
    purge.add_argument("--all-groups", action="store_true", help="of any group, and what Ferry has not written")
    purge.add_argument("--replayed", action="store_true", help="only what was sent again by replay")
    purge.add_argument("--all", action="store_true", help="without any other option: all of them")
    purge.add_argument(
        "--timeout", type=seconds, default=600.0, metavar="SECONDS", help="how long the topics are read (600)"
    )
    purge.add_argument(
        "--force",
        action="store_true",
        help="also what a replay that was killed may have sent or not; end replays first",
    )
    add_yes(purge)
    add_dry_run(purge)
    add_json(purge)


def _add_filters(parser: argparse.ArgumentParser, of_group: str) -> None:
    parser.add_argument("--topic", metavar="NAME", help="of one topic, by its own name or its dead-letter topic's")
    parser.add_argument("--reason", dest="with_reason", metavar="NAME", help="such as invalid, poison or ValueError")
    parser.add_argument("--since", type=moment, metavar="TIME", help="written then or later")
    parser.add_argument("--until", type=moment, metavar="TIME", help="written then or before")
    parser.add_argument("--text", metavar="TEXT", help="with this in the error or the value, in capitals or not")
    parser.add_argument("--group", metavar="NAME", help=f"of the consumer group {of_group}")


def _add_list(listing: argparse.ArgumentParser) -> None:
    _add_filters(listing, "in which they failed (all)")
    listing.add_argument("--limit", type=rows, default=50, metavar="NUMBER", help="at most so many (50)")
    listing.add_argument(
        "--timeout", type=seconds, default=30.0, metavar="SECONDS", help="how long the topics are searched (30)"
    )
    add_json(listing)


def moment(text: str) -> int:
    """A time, in milliseconds since 1970."""
    try:
        return moment_ms(text, int(time.time() * 1000))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
