"""`ferry drain`: pause, and wait until nothing is in flight."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Protocol

from ferry_console.local.stop_signals import stop_signals
from ferry_console.moments import moment_text
from ferry_console.operating.drain_progress import drain_progress
from ferry_console.operating.drain_reading import DrainReader
from ferry_console.operating.drain_report import EXIT_INTERRUPTED, Drain, DrainEnd, report
from ferry_console.operating.draining import EndRate
from ferry_console.operating.operator_name import operator_name
from ferry_console.operating.outcome import EXIT_UNREACHABLE, tell
from ferry_console.operating.pausing import unknown_target
from ferry_shared.errors import RedisUnavailable
from ferry_shared.ledger.client import connect, server_time_ms
from ferry_shared.ledger.pauses import Pause, pause, read_pauses
from ferry_shared.logs import printable
from ferry_shared.settings import ConsumerSettings, load

if TYPE_CHECKING:
    import redis

    from ferry_console.operating.drain_progress import Show

LOOK_EVERY_SECONDS = 0.5
#: A dispatch whose reply was lost can follow a look that saw nothing in flight.
QUIET_LOOKS = 3


class DrainArguments(Protocol):
    """What the command line gives; no `targets` means all topics of the group."""

    targets: list[str]
    reason: str
    timeout: float
    dry_run: bool
    json: bool


def main(arguments: DrainArguments) -> int:
    """Drain, and say so; returns the exit code."""
    settings = load(ConsumerSettings)
    client = connect(settings.ledger_url)
    drain = Drain(operator_name(), 0, settings.consumer_group)
    with stop_signals(_end_at_once):
        try:
            end = _drained(client, settings, arguments, drain)
        except RedisUnavailable as error:
            held = f"; paused until now: {', '.join(drain.pauses)}" if drain.ours else ""
            print(f"ferry: {error}; CELERY_BROKER_URL says where it is{held}", file=sys.stderr)
            return EXIT_UNREACHABLE
        except KeyboardInterrupt:
            end = DrainEnd.INTERRUPTED
    return tell(report(drain, end), as_json=arguments.json)


def _drained(client: redis.Redis, settings: ConsumerSettings, arguments: DrainArguments, drain: Drain) -> DrainEnd:
    reader = DrainReader(client, settings)
    drain.at_ms = server_time_ms(client)
    if not reader.complete:
        drain.warnings.append("Redis has too many keys to search them all: there may be more partitions")
    for target in arguments.targets:
        drain.warnings += unknown_target(client, settings, target)
    targets = list(dict.fromkeys(arguments.targets)) or reader.topics
    if not targets:
        return DrainEnd.EMPTY
    why = f"drain: {arguments.reason}" if arguments.reason else "drain"
    wanted = Pause(drain.who, drain.at_ms, why)
    if arguments.dry_run:
        present = read_pauses(client, settings.ferry_key_prefix, settings.consumer_group)
        drain.pauses = {target: present.get(target, wanted) for target in targets}
        drain.ours = [target for target in targets if target not in present]
        drain.look = reader.look(targets, drain.paused_ms)
        return DrainEnd.WOULD
    _pause(client, settings, targets, wanted, drain)
    with drain_progress() as show:
        return _wait(reader, drain, arguments.timeout, show)


def _pause(client: redis.Redis, settings: ConsumerSettings, targets: list[str], wanted: Pause, drain: Drain) -> None:
    for target in targets:
        holds, is_new = pause(client, settings.ferry_key_prefix, settings.consumer_group, target, wanted)
        drain.pauses[target] = holds
        if is_new:
            drain.ours.append(target)
        told = "paused" if is_new else "is paused already"
        line = f"{target} {told} by {holds.who} since {moment_text(holds.when_ms)}: {holds.why}"
        print(f"ferry: {printable(line)}", file=sys.stderr, flush=True)


def _wait(reader: DrainReader, drain: Drain, seconds: float, show: Show) -> DrainEnd:
    """Look until nothing is in flight, or the time is over; while Redis is away, go on."""
    began = time.monotonic()
    ending, rate, quiet_looks = EndRate(), 0.0, 0
    while True:
        try:
            look = reader.look([*drain.pauses], drain.paused_ms)
        except RedisUnavailable:
            look = None
        now = time.monotonic()
        drain.seconds = now - began
        if look is not None:
            drain.look, rate = look, ending.note(now, look.in_flight)
        show(look, rate)
        quiet_looks = quiet_looks + 1 if look is not None and not look.left else 0
        if quiet_looks == QUIET_LOOKS:
            return DrainEnd.DRAINED
        if not quiet_looks and drain.seconds >= seconds:
            return DrainEnd.UNREACHABLE if look is None else DrainEnd.LATE
        time.sleep(LOOK_EVERY_SECONDS)


def _end_at_once() -> None:
    os._exit(EXIT_INTERRUPTED)
