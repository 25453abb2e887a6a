"""Clocks: Ferry's ledger goes by Redis' clock alone; what else depends on clocks, and whether they agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferry_console.doctor.finding import Area, ok, warning
from ferry_console.moments import age_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferry_console.doctor.finding import Finding

#: Hosts with NTP differ by milliseconds.
TOLERANCE_SECONDS = 5.0
#: A sender may be a little ahead; Kafka itself refuses an hour (message.timestamp.after.max.ms).
RECORD_TOLERANCE_SECONDS = 60.0
_REMEDY = "have all hosts keep the time by NTP: timedatectl shows whether this one does"


def redis_clock(ahead_seconds: float, round_trip_seconds: float) -> Finding:
    """Judge by how much Redis' clock is ahead of this host's; how long asking took is the uncertainty."""
    apart = max(0.0, abs(ahead_seconds) - round_trip_seconds / 2)
    if apart <= TOLERANCE_SECONDS:
        return ok(Area.CLOCKS, "this host's clock and that of Redis agree")
    direction = "ahead of" if ahead_seconds > 0 else "behind"
    return warning(
        Area.CLOCKS,
        f"Redis' clock is {age_text(apart)} {direction} this host's: the ledger goes by Redis' and holds, but times "
        "in logs differ, beat's status line can expire on its way, and a worker whose clock is wrong has its tasks "
        "handed back too early or too late",
        _REMEDY,
    )


def record_clock(topic: str, newest_ms: int | None, host_ms: int) -> Iterator[Finding]:
    """Judge a topic's newest timestamp (ms since 1970, None: no record, or not told), which no clock should be behind.

    It is all that Kafka's protocol tells of its brokers' clocks, or its senders', without writing anything.
    """
    if newest_ms is None or newest_ms < 0:
        return
    ahead_seconds = (newest_ms - host_ms) / 1000
    if ahead_seconds > RECORD_TOLERANCE_SECONDS:
        yield warning(
            Area.CLOCKS,
            f"the newest record of {topic} is dated {age_text(ahead_seconds)} ahead of this host's clock: a sender's "
            "or a broker's clock is ahead, or this one behind; Kafka keeps such records that much longer",
            _REMEDY,
        )
