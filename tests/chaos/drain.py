"""After the last fault: wait until everything is committed and nothing is in flight; counting begins only then."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.chaos.routes import QUEUE, TOPIC
from tests.chaos.system import GROUP
from tests.support.kafka_records import committed_offsets, end_offsets

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.chaos.system import System

_LOOK_SECONDS = 1.0
#: The longest spacing of redeliveries is 160 s; what stands still for longer than this has got stuck.
STANDSTILL_SECONDS = 240.0


@dataclass(frozen=True, slots=True)
class Drained:
    """What was left. `rest` is empty if nothing was; `keys` are those that Redis holds at the end."""

    seconds: float
    rest: str
    keys: tuple[str, ...]


def drain(system: System, tell: Callable[[str], None]) -> Drained:
    """Wait as long as there is progress."""
    start = moved = time.monotonic()
    last: object = None
    while rest := _rest(system):
        now = (rest, system.progress.ended)
        if now != last:
            last, moved = now, time.monotonic()
        if time.monotonic() - moved > STANDSTILL_SECONDS:
            break
        tell(f"draining: {rest}")
        time.sleep(_LOOK_SECONDS)
    return Drained(time.monotonic() - start, rest, _keys(system))


def _rest(system: System) -> str:
    servers = system.kafka.bootstrap_servers
    ends, committed = end_offsets(servers, TOPIC), committed_offsets(servers, GROUP, TOPIC)
    open_offsets = {partition: end - committed.get(partition, 0) for partition, end in ends.items()}
    with system.valkey.client() as client:
        queued, unacknowledged = int(client.llen(QUEUE)), int(client.hlen("unacked"))
    counts = {
        "not committed": sum(open_offsets.values()),
        "queued": queued,
        "not acknowledged": unacknowledged,
    }
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count)


def _keys(system: System) -> tuple[str, ...]:
    with system.valkey.client() as client:
        return tuple(sorted(key.decode() for key in client.scan_iter(count=1000)))
