"""After the last fault: wait until everything is committed and nothing is in flight; counting begins only then."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.chaos.routes import QUEUE, TOPIC
from tests.chaos.system import GROUP
from tests.support.kafka_records import committed_offsets, end_offsets

if TYPE_CHECKING:
    from tests.chaos.display import Display
    from tests.chaos.system import System

_LOOK_SECONDS = 1.0
#: The longest spacing of redeliveries is 160 s; what stands still for longer than this has got stuck.
STANDSTILL_SECONDS = 240.0


@dataclass(frozen=True, slots=True)
class Drained:
    """How long it took, and what was left; `rest` is empty if nothing was."""

    seconds: float
    rest: str


def drain(system: System, display: Display) -> Drained:
    """Wait as long as there is progress."""
    start = moved = time.monotonic()
    rest = last = _rest(system)
    display.follow(lambda: f"draining: {rest}")
    while rest and time.monotonic() - moved < STANDSTILL_SECONDS:
        time.sleep(_LOOK_SECONDS)
        rest = _rest(system)
        if rest != last:
            last, moved = rest, time.monotonic()
    return Drained(time.monotonic() - start, rest)


def _rest(system: System) -> str:
    servers = system.kafka.bootstrap_servers
    ends, committed = end_offsets(servers, TOPIC), committed_offsets(servers, GROUP, TOPIC)
    with system.valkey.client() as client:
        queued, unacknowledged = client.llen(QUEUE), client.hlen("unacked")
    counts = {
        "not committed": sum(end - committed.get(partition, 0) for partition, end in ends.items()),
        "queued": queued,
        "not acknowledged": unacknowledged,
    }
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count)


def keys_left(system: System) -> tuple[str, ...]:
    """What Redis holds when all of Ferry has stopped."""
    with system.valkey.client() as client:
        return tuple(sorted(key.decode() for key in client.scan_iter(count=1000)))
