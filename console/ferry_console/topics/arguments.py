"""The command line of `ferry topics create`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferry_console.command_line import add_command, add_dry_run, add_json, add_verbs

if TYPE_CHECKING:
    from ferry_console.command_line import Commands

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


def add_topics(commands: Commands) -> None:
    """Add `topics` with `create`."""
    summary = "create the topics of the routes and their dead-letter topics"
    create = add_command(add_verbs(commands, "topics", summary, _EPILOG), "create", summary, _EPILOG)
    create.add_argument("topics", nargs="*", metavar="TOPIC", help="these topics instead of those of the routes")
    create.add_argument(
        "--partitions", type=int, metavar="NUMBER", help="partitions of each topic; dead letters have one"
    )
    create.add_argument("--replicas", type=int, metavar="NUMBER", help="how many brokers keep each topic")
    add_dry_run(create)
    add_json(create)
