"""`ferry status`: print a group's status once, or again and again."""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn, Protocol

from rich.console import Console

from ferry_console.local.stop_signals import stop_signals
from ferry_console.output import json_line, say
from ferry_console.status.document import document
from ferry_console.status.reading import read_group
from ferry_console.status.screen import appended, redrawn
from ferry_console.status.text import Page
from ferry_console.status.text import page as page_of
from ferry_shared.errors import RedisUnavailable
from ferry_shared.ledger.client import connect
from ferry_shared.logs import printable
from ferry_shared.settings import ConsumerSettings, load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ferry_console.status.group_status import GroupStatus

EXIT_SERVED, EXIT_NOT_SERVED, EXIT_UNREACHABLE, EXIT_INTERRUPTED = 0, 1, 3, 130


class StatusArguments(Protocol):
    """What the command line gives.

    `watch` is the number of seconds between two looks, None for a single one; `old` the age in seconds from which a
    message in flight is told of.
    """

    watch: float | None
    json: bool
    group: str | None
    old: float


def main(arguments: StatusArguments) -> int:
    """Print the status; the exit code says whether somebody is at work on every partition (0) or not (1)."""
    settings = load(ConsumerSettings)
    client = connect(settings.ledger_url)
    group = arguments.group or settings.consumer_group

    def look() -> GroupStatus:
        return read_group(client, settings, group)

    if arguments.watch is not None:
        _watch(look, group, arguments, arguments.watch)
    try:
        status = look()
    except RedisUnavailable as error:
        print(f"ferry: {error}; CELERY_BROKER_URL says where it is", file=sys.stderr)
        return EXIT_UNREACHABLE
    say(_page(status, arguments).lines)
    return EXIT_SERVED if status.is_served else EXIT_NOT_SERVED


def _watch(
    look: Callable[[], GroupStatus], group: str, arguments: StatusArguments, interval_seconds: float
) -> NoReturn:
    """Look again and again until a signal; while Redis is away, say so and go on."""
    with stop_signals(_end_at_once), _shown(arguments) as show:
        while True:
            began = time.monotonic()
            try:
                page = _page(look(), arguments)
            except RedisUnavailable as error:
                page = _problem(group, error, arguments)
            show(page)
            time.sleep(max(0.0, interval_seconds - (time.monotonic() - began)))


@contextmanager
def _shown(arguments: StatusArguments) -> Iterator[Callable[[Page], None]]:
    console = Console(highlight=False)
    if arguments.json:
        yield lambda page: say(page.lines)
    elif console.is_terminal:
        with redrawn(console) as show:
            yield show
    else:
        yield appended


def _page(status: GroupStatus, arguments: StatusArguments) -> Page:
    return Page((json_line(document(status, arguments.old)),)) if arguments.json else page_of(status, arguments.old)


def _problem(group: str, error: RedisUnavailable, arguments: StatusArguments) -> Page:
    if arguments.json:
        return Page((json_line({"group": group, "error": str(error)}),))
    return Page((printable(f"group {group}: {error}; looking again"),))


def _end_at_once() -> None:
    os._exit(EXIT_INTERRUPTED)
