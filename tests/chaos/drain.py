"""After the last fault: wait until everything is committed and nothing is in flight; counting begins only then."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.chaos.routes import QUEUE, TOPIC
from tests.chaos.system import GROUP
from tests.support.kafka_records import committed_offsets, end_offsets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.chaos.display import Display
    from tests.chaos.system import System

_LOOK_SECONDS = 1.0
#: The longest spacing of redeliveries is 160 s; what stands still for longer than this has got stuck.
STANDSTILL_SECONDS = 240.0
#: As many times the length of the load: what still moves after that goes round in circles.
MOST_RUNS = 3.0


@dataclass(frozen=True, slots=True)
class Drained:
    """How long it took, of how many seconds at most, and what was left; `rest` is empty if nothing was.

    `ended` is in seconds since 1970.
    """

    seconds: float
    most_seconds: float
    rest: str
    ended: float


def drain(system: System, display: Display, run_seconds: float) -> Drained:
    """Wait as long as there is progress, and no longer than `MOST_RUNS` times the run."""
    start = moved = time.monotonic()
    most = MOST_RUNS * run_seconds
    rest = last = _rest(system)
    display.follow(lambda: f"draining: {rest}")
    while rest and time.monotonic() - moved < STANDSTILL_SECONDS and time.monotonic() - start < most:
        time.sleep(_LOOK_SECONDS)
        rest = _rest(system)
        if rest != last:
            last, moved = rest, time.monotonic()
    return Drained(time.monotonic() - start, most, rest, time.time())


def _rest(system: System) -> str:
    servers = system.kafka.bootstrap_servers
    ends, committed = end_offsets(servers, TOPIC), committed_offsets(servers, GROUP, TOPIC)
    with system.valkey.client() as client:
        queued, unacknowledged = client.llen(QUEUE), client.hlen("unacked")
    return rest_of(ends, committed, queued, unacknowledged)


def rest_of(ends: Mapping[int, int], committed: Mapping[int, int], queued: int, unacknowledged: int) -> str:
    """In words, what keeps each partition's commit from its log's end, and queue and `unacked` from being empty."""
    behind = {partition: end - committed.get(partition, 0) for partition, end in ends.items()}
    counts = {
        "not committed": sum(count for count in behind.values() if count > 0),
        "committed beyond the log": -sum(count for count in behind.values() if count < 0),
        "committed in partitions that don't exist": len(committed.keys() - ends.keys()),
        "queued": queued,
        "not acknowledged": unacknowledged,
    }
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count)


def keys_left(system: System) -> tuple[str, ...]:
    """What Redis holds when all of Ferry has stopped."""
    with system.valkey.client() as client:
        return tuple(sorted(key.decode() for key in client.scan_iter(count=1000)))
