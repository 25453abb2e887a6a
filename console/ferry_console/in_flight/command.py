"""`ferry in-flight list`: ask Redis, and tell."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol

from ferry_console.columns import show
from ferry_console.in_flight.document import document
from ferry_console.in_flight.flights import Wanted
from ferry_console.in_flight.reading import read_in_flight
from ferry_console.in_flight.stages import Stage
from ferry_console.in_flight.text import heading, table, warning_lines
from ferry_console.output import json_line, say
from ferry_shared.errors import RedisUnavailable
from ferry_shared.ledger.client import connect
from ferry_shared.logs import printable
from ferry_shared.settings import ConsumerSettings, load

if TYPE_CHECKING:
    from ferry_console.in_flight.flights import InFlight

EXIT_OK, EXIT_NO_PARTITION, EXIT_UNREACHABLE = 0, 1, 3


class InFlightArguments(Protocol):
    """What the command line gives; None where nothing is asked for."""

    topic: str | None
    partition: int | None
    older_than: float | None
    state: str | None
    limit: int
    group: str | None
    json: bool


def main(arguments: InFlightArguments) -> int:
    """Print what is in flight; the exit code says whether there is such a partition (0), or not (1)."""
    settings = load(ConsumerSettings)
    stage = Stage(arguments.state) if arguments.state else None
    wanted = Wanted(arguments.limit, arguments.topic, arguments.partition, arguments.older_than, stage)
    group = arguments.group or settings.consumer_group
    try:
        answer = read_in_flight(connect(settings.ledger_url), settings, group, wanted)
    except RedisUnavailable as error:
        print(f"ferry: {error}; CELERY_BROKER_URL says where it is", file=sys.stderr)
        return EXIT_UNREACHABLE
    if not answer.partitions:
        print(f"ferry: {printable(_nowhere(group, wanted))}", file=sys.stderr)
    _tell(answer, as_json=arguments.json)
    return EXIT_OK if answer.partitions else EXIT_NO_PARTITION


def _tell(answer: InFlight, *, as_json: bool) -> None:
    if as_json:
        say([json_line(document(answer))])
        return
    say([heading(answer), *warning_lines(answer)])
    if rows := table(answer):
        show(rows)


def _nowhere(group: str, wanted: Wanted) -> str:
    where = "" if wanted.topic is None else f" of {wanted.topic}"
    number = "" if wanted.partition is None else f" {wanted.partition}"
    return f"group {group} has no ledger of any partition{number}{where}: ferry status lists those that it has"
