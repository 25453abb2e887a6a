"""The command line of `ferry topics create`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import _SubParsersAction

_EPILOG = """\
examples:
  ferry topics create                        every topic of the routes, each with its dead-letter topic
  ferry topics create orders --partitions 12 --replicas 3
  ferry topics create --dry-run              what is missing; Kafka says whether it would create it
  ferry topics create --json

Topics become what the consumer makes of them at its start: CONSUMER_TOPIC_PARTITIONS and
CONSUMER_TOPIC_REPLICATION_FACTOR where no option says otherwise. What is there already is never changed.
exit codes: 0 all are there, 1 one is there and differs, 2 wrong usage or setting, 3 Kafka can't be reached or refuses
"""


def add_topics(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `topics` with `create`."""
    summary = "create the topics of the routes and their dead-letter topics"
    topics = _described(commands, "topics", summary)
    verbs = topics.add_subparsers(dest="verb", required=True, metavar="VERB")
    create = _described(verbs, "create", summary)
    create.add_argument("topics", nargs="*", metavar="TOPIC", help="these topics instead of those of the routes")
    create.add_argument("--partitions", type=int, metavar="N", help="partitions of each topic; dead letters have one")
    create.add_argument("--replicas", type=int, metavar="N", help="how many brokers keep each topic")
    create.add_argument("--dry-run", action="store_true", help="say what would happen, and change nothing")
    create.add_argument("--json", action="store_true", help="one JSON object instead of text")


def _described(
    commands: _SubParsersAction[argparse.ArgumentParser], name: str, summary: str
) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
